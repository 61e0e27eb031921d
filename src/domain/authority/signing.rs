//! What a certificate signing request asks for, as far as any authority here would grant it: names and a key. What else
//! stood in it is gone before this is made.

use super::{AlternativeName, KeyAlgorithm};

/// Only of a request whose own signature was verified: its maker holds the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningRequest {
    pub common_name: String,
    pub alternative_names: Vec<AlternativeName>,
    pub key: PublicKey,
}

/// A public key of an algorithm that keys are made of here too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    pub algorithm: KeyAlgorithm,
    /// SubjectPublicKeyInfo.
    pub der: Vec<u8>,
}
