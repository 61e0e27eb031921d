//! Words that resources and the domain have in common.

use crate::domain::authority::{ExtendedKeyUsage, KeyAlgorithm, KeyUsage};
use crate::domain::client::State;
use crate::domain::credential::Kind;
use crate::k8s::crd;

/// Word for word: the compiler finds one that a side lacks.
macro_rules! words {
    ($($from:ty => $to:ty { $($word:ident)+ })+) => {$(
        impl From<$from> for $to {
            fn from(word: $from) -> Self {
                match word { $(<$from>::$word => Self::$word),+ }
            }
        }
    )+};
}

words! {
    crd::CredentialType => Kind { Value Json Password User Rsa Ssh Certificate Pairs }
    crd::ClientState => State { Active Suspended Revoked }
    State => crd::ClientState { Active Suspended Revoked }
    crd::KeyAlgorithm => KeyAlgorithm { EcdsaP256 EcdsaP384 Rsa2048 Rsa3072 Rsa4096 Ed25519 }
    crd::KeyUsage => KeyUsage {
        DigitalSignature ContentCommitment KeyEncipherment DataEncipherment KeyAgreement EncipherOnly DecipherOnly
    }
    crd::ExtendedKeyUsage => ExtendedKeyUsage { ServerAuth ClientAuth CodeSigning EmailProtection TimeStamping }
}
