//! Whose manner a certificate is made in, and what is taken over as it stands from the one that it follows.

use serde::{Deserialize, Serialize};

/// Programs that were written for another product look at more than names and usages: the order of a name's parts, which
/// extensions are there, in which form the private key comes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conventions {
    /// Begins a little before now, ends before its authority, has the usages that its role implies; the chain stands in
    /// `certificate` and the root in `ca`; PKCS#8.
    #[default]
    Own,
    /// Begins now, may outlive its authority, has the usages that were asked for and no others; `certificate` stands
    /// alone and `ca` is who signed it; RSA, PKCS#1.
    Credhub(Carried),
}

impl Conventions {
    pub fn is_own(&self) -> bool {
        *self == Self::Own
    }
}

/// What a certificate that is made anew takes over from the one before it, in DER: a name with its string types, by which
/// what the old one signed is found again, and what the words of a request cannot tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    pub subject: Option<Vec<u8>>,
    /// The name has parts that [`super::DistinguishedName`] cannot hold.
    pub subject_says_more: bool,
    /// Only if some are neither hosts nor addresses.
    pub alternative_names: Option<Vec<u8>>,
    /// Only if some are not known here.
    pub extended_key_usages: Option<Vec<u8>>,
}

impl Carried {
    /// Whether the words beside it tell all of what it holds.
    pub fn is_told(&self) -> bool {
        !self.subject_says_more && self.alternative_names.is_none() && self.extended_key_usages.is_none()
    }
}
