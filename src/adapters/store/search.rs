//! What both databases agree on when they look up parts of names by trigrams: what is worth it, and how many of them.

use std::collections::BTreeSet;

use crate::domain::record::Class;

/// Only these are searched by what is in their names.
pub(super) const CLASS: Class = Class::Credential;
/// So many names are looked through without asking the index.
pub(super) const FEW: usize = 256;
/// A part that is in more names than this is common: looking through names in their order soon fills a page.
pub(super) const COMMON: usize = 4096;
/// More trigrams of a long part make a search no narrower, but each has to be looked up.
const MOST: usize = 16;

/// Of a long part only some, from all over it.
pub(super) fn enough<T>(trigrams: BTreeSet<T>) -> impl Iterator<Item = T> {
    let apart = trigrams.len().div_ceil(MOST).max(1);
    trigrams.into_iter().step_by(apart)
}
