//! What a certificate says, in the words of requests and beside them. Others made it: what cannot be told is carried, what
//! cannot be read is refused.

use std::net::IpAddr;

use der::Decode;
use der::asn1::ObjectIdentifier;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::oid_registry::{
    OID_PKCS1_RSAENCRYPTION, OID_X509_COMMON_NAME, OID_X509_COUNTRY_NAME, OID_X509_LOCALITY_NAME,
    OID_X509_ORGANIZATION_NAME, OID_X509_ORGANIZATIONAL_UNIT, OID_X509_STATE_OR_PROVINCE_NAME, Oid,
};
use x509_parser::x509::{AttributeTypeAndValue, SubjectPublicKeyInfo, X509Name};

use super::keys::RsaNumbers;
use super::{pem, reading};
use crate::domain::authority::{AlternativeName, Carried, DistinguishedName, ExtendedKeyUsage, Inspection, KeyUsage};

type Read<T> = Result<T, &'static str>;

/// The first certificate of the text; the error says what is wrong with it.
pub(super) fn inspect(text: &str) -> Read<Inspection> {
    inspect_parsed(&reading::parse(&pem::first_certificate(text)?)?)
}

pub(super) fn inspect_parsed(certificate: &X509Certificate<'_>) -> Read<Inspection> {
    require_single_extensions(certificate)?;
    let (subject, subject_says_more) = name(certificate.subject());
    let (alternative_names, other_names) = alternative_names(certificate)?;
    let (extended_key_usages, other_usages) = extended_key_usages(certificate)?;
    Ok(Inspection {
        subject,
        alternative_names,
        key_usages: key_usages(certificate),
        extended_key_usages,
        carried: Carried {
            subject: Some(certificate.subject().as_raw().to_vec()),
            subject_says_more,
            alternative_names: other_names,
            extended_key_usages: other_usages,
        },
        key_bits: rsa(certificate.public_key()).map(|key| key.bits()),
        is_authority: reading::is_authority(certificate)?,
        is_self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw()
            && certificate.verify_signature(None).is_ok(),
        not_before: reading::timestamp(certificate.validity().not_before),
        not_after: reading::timestamp(certificate.validity().not_after),
    })
}

/// Two of one sort contradict each other, and each reader believes another one.
fn require_single_extensions(certificate: &X509Certificate<'_>) -> Read<()> {
    certificate.extensions_map().map(|_| ()).map_err(|_| "has one extension twice")
}

fn find<'a, 'b>(certificate: &'b X509Certificate<'a>, oid: &str) -> Option<&'b X509Extension<'a>> {
    certificate.extensions().iter().find(|extension| extension.oid.to_id_string() == oid)
}

/// The six parts that requests have words for, and whether there is more to the name.
fn name(name: &X509Name<'_>) -> (DistinguishedName, bool) {
    let (mut parts, mut says_more) = (DistinguishedName::default(), false);
    for rdn in name.iter_rdn() {
        says_more |= rdn.iter().count() != 1;
        for attribute in rdn.iter() {
            match (part(&mut parts, attribute.attr_type()), text(attribute)) {
                (Some(part @ None), Some(text)) => *part = Some(text),
                _ => says_more = true,
            }
        }
    }
    (parts, says_more)
}

fn part<'a>(name: &'a mut DistinguishedName, attribute: &Oid<'_>) -> Option<&'a mut Option<String>> {
    let parts = [
        (OID_X509_COMMON_NAME, &mut name.common_name),
        (OID_X509_ORGANIZATION_NAME, &mut name.organization),
        (OID_X509_ORGANIZATIONAL_UNIT, &mut name.organizational_unit),
        (OID_X509_LOCALITY_NAME, &mut name.locality),
        (OID_X509_STATE_OR_PROVINCE_NAME, &mut name.state),
        (OID_X509_COUNTRY_NAME, &mut name.country),
    ];
    parts.into_iter().find_map(|(oid, part)| (oid == *attribute).then_some(part))
}

/// By the string types that names have (RFC 5280, section 4.1.2.4). In a TeletexString all but ASCII is anybody's guess.
fn text(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    const UTF8: u32 = 12;
    const PRINTABLE: u32 = 19;
    const TELETEX: u32 = 20;
    const IA5: u32 = 22;
    const BMP: u32 = 30;
    let bytes = attribute.as_slice();
    match attribute.attr_value().header.tag().0 {
        UTF8 => String::from_utf8(bytes.to_vec()).ok(),
        PRINTABLE | TELETEX | IA5 => bytes.is_ascii().then(|| String::from_utf8_lossy(bytes).into_owned()),
        BMP if bytes.len().is_multiple_of(2) => {
            let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

type Told<T> = (Vec<T>, Option<Vec<u8>>);

fn alternative_names(certificate: &X509Certificate<'_>) -> Read<Told<AlternativeName>> {
    let Some(extension) = find(certificate, "2.5.29.17") else { return Ok((Vec::new(), None)) };
    let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else {
        return Err("has alternative names that cannot be read");
    };
    let told: Vec<_> = names.general_names.iter().filter_map(alternative_name).collect();
    let is_all = told.len() == names.general_names.len();
    Ok((told, (!is_all).then(|| extension.value.to_vec())))
}

fn alternative_name(name: &GeneralName<'_>) -> Option<AlternativeName> {
    match name {
        GeneralName::DNSName("*") => Some(AlternativeName::Dns("*".into())),
        GeneralName::DNSName(host) => {
            AlternativeName::parse(host).filter(|name| matches!(name, AlternativeName::Dns(_)))
        }
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(AlternativeName::Ip)
        }
        _ => None,
    }
}

fn key_usages(certificate: &X509Certificate<'_>) -> Vec<KeyUsage> {
    const BITS: [KeyUsage; 9] = [
        KeyUsage::DigitalSignature,
        KeyUsage::ContentCommitment,
        KeyUsage::KeyEncipherment,
        KeyUsage::DataEncipherment,
        KeyUsage::KeyAgreement,
        KeyUsage::KeyCertSign,
        KeyUsage::CrlSign,
        KeyUsage::EncipherOnly,
        KeyUsage::DecipherOnly,
    ];
    let flags = certificate.key_usage().ok().flatten().map_or(0, |usage| usage.value.flags);
    BITS.into_iter().enumerate().filter_map(|(bit, usage)| (flags >> bit & 1 == 1).then_some(usage)).collect()
}

/// Read here: x509-parser keeps no order.
fn extended_key_usages(certificate: &X509Certificate<'_>) -> Read<Told<ExtendedKeyUsage>> {
    let Some(extension) = find(certificate, "2.5.29.37") else { return Ok((Vec::new(), None)) };
    let all = Vec::<ObjectIdentifier>::from_der(extension.value)
        .map_err(|_| "has extended key usages that cannot be read")?;
    let told: Vec<_> = all.iter().filter_map(extended_key_usage).collect();
    let is_all = told.len() == all.len();
    Ok((told, (!is_all).then(|| extension.value.to_vec())))
}

fn extended_key_usage(oid: &ObjectIdentifier) -> Option<ExtendedKeyUsage> {
    const PURPOSES: [(ObjectIdentifier, ExtendedKeyUsage); 5] = [
        (ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"), ExtendedKeyUsage::ServerAuth),
        (ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2"), ExtendedKeyUsage::ClientAuth),
        (ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3"), ExtendedKeyUsage::CodeSigning),
        (ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.4"), ExtendedKeyUsage::EmailProtection),
        (ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8"), ExtendedKeyUsage::TimeStamping),
    ];
    PURPOSES.iter().find_map(|(known, usage)| (known == oid).then_some(*usage))
}

/// `None`: the key is not RSA.
pub(super) fn rsa<'a>(key: &'a SubjectPublicKeyInfo<'_>) -> Option<RsaNumbers<'a>> {
    let is_rsa = key.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION;
    is_rsa.then(|| RsaNumbers::from_der(&key.subject_public_key.data).ok()).flatten()
}
