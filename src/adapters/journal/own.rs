//! What a journal notes about itself, in the chain like every other line: that it was opened and after
//! which others, that everything above is sealed, that it was closed.
//!
//! Each carries a keyed MAC of the position above it, so a journal can be neither made nor rewritten
//! by somebody who only can write files.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::line::parse_hex;
use crate::app::audit::{Note, Position};
use crate::app::ports::Mac;

/// Which notes are a journal's own: no other note begins like this.
const FIRST_KEY: &str = "{\"journal\":";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "journal", rename_all = "lowercase", deny_unknown_fields)]
pub enum Own {
    /// The first line.
    Opened {
        at: Timestamp,
        chain: String,
        /// Journals that are over and were not closed in order, or that this one goes on for.
        after: Vec<End>,
        seal: Seal,
    },
    Sealed {
        at: Timestamp,
        seal: Seal,
    },
    /// The last line.
    Closed {
        at: Timestamp,
        seal: Seal,
    },
}

/// MAC of the position above, under a key of this epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    epoch: u32,
    mac: String,
}

impl From<Mac> for Seal {
    fn from(mac: Mac) -> Self {
        Self { epoch: mac.epoch, mac: hex::encode(mac.bytes) }
    }
}

impl Seal {
    pub fn mac(&self) -> Option<Mac> {
        Some(Mac { epoch: self.epoch, bytes: parse_hex(&self.mac)? })
    }
}

/// Where a journal ends: its last whole line, and how much of a torn one follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    pub chain: String,
    pub n: u64,
    hash: String,
    pub torn: u64,
}

impl End {
    pub(super) fn new(chain: &str, position: &Position, torn: u64) -> Self {
        Self { chain: chain.to_owned(), n: position.number, hash: hex::encode(position.hash), torn }
    }

    pub fn position(&self) -> Option<Position> {
        Some(Position { number: self.n, hash: parse_hex(&self.hash)? })
    }
}

impl Own {
    /// `None`: somebody else's note. An error: it begins like one of these and is none.
    pub fn parse(note: &str) -> Option<Result<Self, serde_json::Error>> {
        note.starts_with(FIRST_KEY).then(|| serde_json::from_str(note))
    }

    pub(super) fn note(&self) -> serde_json::Result<Note> {
        Ok(Note::stored(serde_json::to_string(self)?))
    }

    pub fn seal(&self) -> &Seal {
        match self {
            Self::Opened { seal, .. } | Self::Sealed { seal, .. } | Self::Closed { seal, .. } => seal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_notes_are_told_from_others() {
        let mac = Mac { epoch: 3, bytes: [7; 32] };
        let seal = Seal::from(mac);
        let end = End::new("c0", &Position { number: 5, hash: [1; 32] }, 17);
        let at = Timestamp::UNIX_EPOCH;
        for own in [
            Own::Opened { at, chain: "c1".into(), after: vec![end], seal: seal.clone() },
            Own::Sealed { at, seal: seal.clone() },
            Own::Closed { at, seal },
        ] {
            let note = own.note().unwrap();
            assert!(note.as_str().starts_with(FIRST_KEY), "{}", note.as_str());
            assert_eq!(Own::parse(note.as_str()).unwrap().unwrap(), own);
            assert_eq!(own.seal().mac(), Some(mac));
        }
        assert!(Own::parse(r#"{"who":"{\"journal\":"}"#).is_none());
        assert!(Own::parse(r#"{"journal":"burnt"}"#).unwrap().is_err());
    }
}
