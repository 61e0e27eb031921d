//! From what people wrote into a resource to what the domain understands. Used by the controllers and by
//! the webhook. Names the fields of the resource in whatever it refuses.

mod authority;
mod client;
mod credential;
mod fields;
#[cfg(test)]
mod tests;
mod words;

use jiff::SignedDuration;
use kube::ResourceExt;

pub use authority::{AuthorityWish, parent_of};
pub use client::ClientWish;
pub use credential::{CredentialWish, SourceWish};
pub use fields::{AUTHORITY_FIELDS, CLIENT_FIELDS, renamed, under};

use crate::domain::{Error, Result};

const VALIDITY_DEFAULT: SignedDuration = SignedDuration::from_hours(8760);

fn namespace(resource: &impl ResourceExt) -> String {
    resource.namespace().unwrap_or_default()
}

fn number<T: TryFrom<i64>>(field: &str, number: i64) -> Result<T> {
    T::try_from(number).map_err(|_| Error::invalid(field, "is out of range"))
}
