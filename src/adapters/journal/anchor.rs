//! What the chain of writes is told of a journal, so that it is missed when it is gone or shorter.

use serde::{Deserialize, Serialize};

use super::line::{hex, parse_hex};
use crate::app::audit::Position;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    pub stage: Stage,
    pub file: String,
    pub n: u64,
    hash: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Opened,
    /// On the disk up to here.
    Reached,
    Closed,
}

impl Anchor {
    pub(super) fn new(stage: Stage, file: String, position: &Position) -> Self {
        Self { stage, file, n: position.number, hash: hex(&position.hash) }
    }

    pub fn position(&self) -> Option<Position> {
        Some(Position { number: self.n, hash: parse_hex(&self.hash)? })
    }
}
