//! The words of X.509 that Credentials and CertificateAuthorities share.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::name::text;

/// One part of a subject, no longer than X.520 allows (`MAX`) and without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubjectText<const MAX: u32>(String);

impl<const MAX: u32> SubjectText<MAX> {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: u32> From<&str> for SubjectText<MAX> {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<const MAX: u32> JsonSchema for SubjectText<MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("SubjectText{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": MAX, "pattern": r"^[^\x00-\x1f\x7f]+$"})
    }
}

text!(
    /// An ISO 3166 country code, as a PrintableString of two letters.
    Country,
    {"type": "string", "pattern": "^[A-Z]{2}$", "maxLength": 2}
);

text!(
    /// A DNS name or an IP address.
    AlternativeName,
    {
        "type": "string",
        "minLength": 1,
        "maxLength": 253,
        "x-kubernetes-validations": [{
            "rule": concat!(
                "isIP(self) || self.matches('^([*][.])?[_A-Za-z0-9]([-_A-Za-z0-9]{0,61}[_A-Za-z0-9])?",
                "([.][_A-Za-z0-9]([-_A-Za-z0-9]{0,61}[_A-Za-z0-9])?)*$')",
            ),
            "message": "alternativeNames holds DNS names (*.example.org too) and IP addresses",
        }],
    }
);

text!(
    /// A DNS name, or `*.` and a DNS name, where the star stands for exactly one label.
    DnsPattern,
    {
        "type": "string",
        "minLength": 1,
        "maxLength": 253,
        "pattern": r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    }
);

/// Who a certificate authority is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthoritySubject {
    /// Common name (CN): what people see when they look at a chain.
    pub common_name: SubjectText<64>,

    /// Organization (O).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<SubjectText<64>>,

    /// Organizational unit (OU).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_unit: Option<SubjectText<64>>,

    /// City or place (L).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locality: Option<SubjectText<128>>,

    /// State or province (ST).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<SubjectText<128>>,

    /// Country (C): two capital letters, such as `DE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
}

/// The key of a certificate: its algorithm and size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KeyAlgorithm {
    #[default]
    EcdsaP256,
    EcdsaP384,
    Rsa2048,
    Rsa3072,
    Rsa4096,
    Ed25519,
}

/// RFC 5280's key usages, without those that only an authority may have (certificate and CRL signing):
/// a Credential is never an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KeyUsage {
    DigitalSignature,
    ContentCommitment,
    KeyEncipherment,
    DataEncipherment,
    KeyAgreement,
    EncipherOnly,
    DecipherOnly,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExtendedKeyUsage {
    ServerAuth,
    ClientAuth,
    CodeSigning,
    EmailProtection,
    TimeStamping,
}

impl<const MAX: u32> fmt::Display for SubjectText<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
