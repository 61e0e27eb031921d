//! The one integration binary: every further one would link Strongroom again.

mod cluster;
mod crd_rules;
