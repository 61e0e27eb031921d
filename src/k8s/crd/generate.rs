//! The parameters of `source.generate`: CredHub's, in camelCase. Each belongs to some types only; the table below
//! becomes one CEL rule for each row, so that a parameter without effect is refused and not ignored.

use kube::KubeSchema;
use kube::core::{Reason, Rule};
use schemars::Schema;
use serde::{Deserialize, Serialize};

use super::certificate::{AlternativeName, Country, ExtendedKeyUsage, KeyAlgorithm, KeyUsage, SubjectText};
use super::credential::CredentialType::{self, Certificate, Json, Password, Rsa, Ssh, User, Value};
use super::duration::GoDuration;
use super::name::LocalReference;

/// How to generate the value. `{}` takes every default; Certificate needs a subject, and `ca` or `selfSigned`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.?includeSpecial.orValue(false) || !self.?excludeNumber.orValue(false) || !self.?excludeUpper.orValue(false) || !self.?excludeLower.orValue(false)",
        "excludeNumber, excludeUpper and excludeLower leave no character: remove one of them or set includeSpecial"
    ),
    validation = (
        "!has(self.keyUsage) || !self.keyUsage.exists(u, u in ['KeyEncipherment', 'DataEncipherment']) || self.?keyAlgorithm.orValue('EcdsaP256').startsWith('Rsa')",
        "keyUsage KeyEncipherment and DataEncipherment need an RSA key: choose Rsa2048, Rsa3072 or Rsa4096 as keyAlgorithm (RFC 5480, RFC 8410)"
    ),
    validation = (
        "!has(self.keyUsage) || !('KeyAgreement' in self.keyUsage) || self.?keyAlgorithm.orValue('EcdsaP256') != 'Ed25519'",
        "keyUsage KeyAgreement is not possible with keyAlgorithm Ed25519 (RFC 8410)"
    ),
    validation = (
        "!has(self.keyUsage) || !self.keyUsage.exists(u, u in ['EncipherOnly', 'DecipherOnly']) || 'KeyAgreement' in self.keyUsage",
        "keyUsage EncipherOnly and DecipherOnly mean something only beside KeyAgreement (RFC 5280)"
    ),
)]
pub struct Generate {
    /// Password, User: number of characters. Default 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 200))]
    pub length: Option<i64>,

    /// Password, User: punctuation too. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_special: Option<bool>,

    /// Password, User: no digits. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_number: Option<bool>,

    /// Password, User: no capital letters. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_upper: Option<bool>,

    /// Password, User: no small letters. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_lower: Option<bool>,

    /// User: the user name. Default: 20 random letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<SubjectText<253>>,

    /// Rsa, Ssh: bits of the key: 2048 (default), 3072 or 4096.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [2048, 3072, 4096]))]
    pub key_length: Option<i64>,

    /// Ssh: the comment at the end of the public key. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_comment: Option<SubjectText<253>>,

    /// Certificate: common name (CN).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common_name: Option<SubjectText<64>>,

    /// Certificate: organization (O).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<SubjectText<64>>,

    /// Certificate: organizational unit (OU).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_unit: Option<SubjectText<64>>,

    /// Certificate: city or place (L).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locality: Option<SubjectText<128>>,

    /// Certificate: state or province (ST).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<SubjectText<128>>,

    /// Certificate: country (C): two capital letters, such as `DE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,

    /// Certificate: the names that it is valid for: DNS names (`*.example.org` too) and IP addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "set"))]
    pub alternative_names: Vec<AlternativeName>,

    /// Certificate: key usages: DigitalSignature, ContentCommitment (also called non-repudiation), KeyEncipherment and
    /// DataEncipherment (these two with RSA keys only), KeyAgreement, EncipherOnly, DecipherOnly.
    /// Default: DigitalSignature, with an RSA key KeyEncipherment too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7), extend("x-kubernetes-list-type" = "set"))]
    pub key_usage: Vec<KeyUsage>,

    /// Certificate: extended key usages: ServerAuth, ClientAuth, CodeSigning, EmailProtection, TimeStamping.
    /// Default: no extended key usage extension.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub extended_key_usage: Vec<ExtendedKeyUsage>,

    /// Certificate: EcdsaP256 (default), EcdsaP384, Rsa2048, Rsa3072, Rsa4096 or Ed25519.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_algorithm: Option<KeyAlgorithm>,

    /// Certificate: how long it is valid, such as `2160h`, from one minute to 100 years. Default `8760h` (a year).
    /// Longer than the authority's `issuance.maxValidity`, or beyond its own end, is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (
        "duration(self) >= duration('1m') && duration(self) <= duration('876000h')",
        "duration must be between 1m and 876000h"
    ))]
    pub duration: Option<GoDuration>,

    /// Certificate: the CertificateAuthority that signs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<LocalReference>,

    /// Certificate: true signs it with its own key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_signed: Option<bool>,
}

/// Which parameters belong to which types.
const BELONGS: [(&str, &[CredentialType]); 23] = [
    ("secretRef.key", &[Value, Json, Password]),
    ("generate.length", &[Password, User]),
    ("generate.includeSpecial", &[Password, User]),
    ("generate.excludeNumber", &[Password, User]),
    ("generate.excludeUpper", &[Password, User]),
    ("generate.excludeLower", &[Password, User]),
    ("generate.username", &[User]),
    ("generate.keyLength", &[Rsa, Ssh]),
    ("generate.sshComment", &[Ssh]),
    ("generate.commonName", &[Certificate]),
    ("generate.organization", &[Certificate]),
    ("generate.organizationUnit", &[Certificate]),
    ("generate.locality", &[Certificate]),
    ("generate.state", &[Certificate]),
    ("generate.country", &[Certificate]),
    ("generate.alternativeNames", &[Certificate]),
    ("generate.keyUsage", &[Certificate]),
    ("generate.extendedKeyUsage", &[Certificate]),
    ("generate.keyAlgorithm", &[Certificate]),
    ("generate.duration", &[Certificate]),
    ("generate.ca", &[Certificate]),
    ("generate.selfSigned", &[Certificate]),
    ("generate", &[Password, User, Rsa, Ssh, Certificate]),
];

/// Adds the rules that tie `source` to `type`: they see the whole spec, so they cannot stand on `Generate` itself.
pub(super) fn tie_source_to_type(spec: &mut Schema) {
    for (field, types) in BELONGS {
        add(spec, belongs(field, types));
    }
    let unless_certificate = format!("self.type != '{Certificate:?}' || !has(self.source.generate) || ");
    let subject = ["commonName", "organization", "organizationUnit", "locality", "state", "country"];
    let any = subject.map(|field| format!("has(self.source.generate.{field})")).join(" || ");
    let one_signer = "has(self.source.generate.ca) != self.source.generate.?selfSigned.orValue(false)";
    add(
        spec,
        Rule::new(format!("{unless_certificate}{any}"))
            .message("a Certificate needs a subject: set commonName, organization, organizationUnit, locality, state or country")
            .field_path(".source.generate")
            .reason(Reason::FieldValueRequired),
    );
    add(
        spec,
        Rule::new(format!("{unless_certificate}{one_signer}"))
            .message("a Certificate needs exactly one signer: set ca, or selfSigned: true")
            .field_path(".source.generate")
            .reason(Reason::FieldValueInvalid),
    );
}

fn belongs(field: &str, types: &[CredentialType]) -> Rule {
    let names = types.iter().map(|t| format!("{t:?}")).collect::<Vec<_>>();
    let set = std::iter::successors(Some(field), |path| path.rsplit_once('.').map(|(parent, _)| parent))
        .map(|path| format!("has(self.source.{path})"))
        .collect::<Vec<_>>();
    let unset = set.iter().rev().map(|has| format!("!{has}")).collect::<Vec<_>>().join(" || ");
    Rule::new(format!("{unset} || self.type in ['{}']", names.join("', '")))
        .message(format!("source.{field} is for type {} only", names.join(", ")).as_str())
        .field_path(format!(".source.{field}"))
        .reason(Reason::FieldValueForbidden)
}

fn add(schema: &mut Schema, rule: Rule) {
    kube::core::validate(schema, rule).expect("a rule is plain JSON");
}

#[cfg(test)]
mod tests {
    use super::*;
    use CredentialType::Pairs;

    #[test]
    fn every_parameter_belongs_to_some_types() {
        let all = serde_json::to_value(schemars::schema_for!(Generate)).expect("a schema");
        let fields = all["properties"].as_object().expect("an object").keys();
        for field in fields {
            let path = format!("generate.{field}");
            assert!(BELONGS.iter().any(|(known, _)| *known == path), "{path} is missing in BELONGS");
        }
    }

    #[test]
    fn what_cannot_be_generated_is_not_in_any_row() {
        for (field, types) in BELONGS.iter().filter(|(field, _)| field.starts_with("generate")) {
            assert!(!types.contains(&Value) && !types.contains(&Json) && !types.contains(&Pairs), "{field}");
        }
    }

    #[test]
    fn a_rule_looks_at_each_level_before_the_next() {
        let rule = belongs("generate.keyLength", &[Rsa, Ssh]).rule;
        let expected =
            "!has(self.source.generate) || !has(self.source.generate.keyLength) || self.type in ['Rsa', 'Ssh']";
        assert_eq!(rule, expected);
    }
}
