//! The kinds of credential as a table: which fields each has, and how it looks as a Kubernetes Secret.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    Value,
    Json,
    Password,
    User,
    Rsa,
    Ssh,
    Certificate,
    Pairs,
}

/// One field of a kind.
#[derive(Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// CredHub's name of the field.
    pub name: &'static str,
    /// Its key in a Kubernetes Secret.
    pub secret_key: &'static str,
    pub required: bool,
}

const fn field(name: &'static str, secret_key: &'static str) -> FieldSpec {
    FieldSpec { name, secret_key, required: true }
}

const fn optional(name: &'static str, secret_key: &'static str) -> FieldSpec {
    FieldSpec { name, secret_key, required: false }
}

impl Kind {
    pub const ALL: [Self; 8] =
        [Self::Value, Self::Json, Self::Password, Self::User, Self::Rsa, Self::Ssh, Self::Certificate, Self::Pairs];

    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "Value",
            Self::Json => "Json",
            Self::Password => "Password",
            Self::User => "User",
            Self::Rsa => "Rsa",
            Self::Ssh => "Ssh",
            Self::Certificate => "Certificate",
            Self::Pairs => "Pairs",
        }
    }

    /// The fields in their order; empty for pairs, whose fields are the caller's.
    pub fn fields(self) -> &'static [FieldSpec] {
        const VALUE: &[FieldSpec] = &[field("value", "value")];
        const PASSWORD: &[FieldSpec] = &[field("password", "password")];
        const USER: &[FieldSpec] = &[field("username", "username"), field("password", "password")];
        const RSA: &[FieldSpec] = &[field("public_key", "public_key"), field("private_key", "private_key")];
        const SSH: &[FieldSpec] = &[optional("public_key", "ssh-publickey"), field("private_key", "ssh-privatekey")];
        const CERTIFICATE: &[FieldSpec] =
            &[field("certificate", "tls.crt"), field("private_key", "tls.key"), optional("ca", "ca.crt")];
        match self {
            Self::Value | Self::Json => VALUE,
            Self::Password => PASSWORD,
            Self::User => USER,
            Self::Rsa => RSA,
            Self::Ssh => SSH,
            Self::Certificate => CERTIFICATE,
            Self::Pairs => &[],
        }
    }

    /// Types that Kubernetes checks where one fits; only these are ever made, never a token type.
    pub fn secret_type(self) -> &'static str {
        match self {
            Self::User => "kubernetes.io/basic-auth",
            Self::Ssh => "kubernetes.io/ssh-auth",
            Self::Certificate => "kubernetes.io/tls",
            Self::Value | Self::Json | Self::Password | Self::Rsa | Self::Pairs => "Opaque",
        }
    }

    /// The key in a Kubernetes Secret for a field; pairs keep their own names.
    pub fn secret_key(self, field: &str) -> &str {
        self.fields().iter().find(|spec| spec.name == field).map_or(field, |spec| spec.secret_key)
    }

    /// The keys in a Kubernetes Secret that a credential of this kind may have; `None`: any.
    pub fn secret_keys(self) -> Option<Vec<&'static str>> {
        (self != Self::Pairs).then(|| self.fields().iter().map(|spec| spec.secret_key).collect())
    }
}
