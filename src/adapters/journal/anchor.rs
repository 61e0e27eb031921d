//! What the chain of writes is told of a journal, so that it is missed when it is gone or shorter.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::line::parse_hex;
use crate::app::audit::{Note, Position};

/// A note like others, with a place in a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    at: Timestamp,
    who: String,
    scheme: String,
    #[serde(rename = "action")]
    pub stage: Stage,
    #[serde(rename = "name")]
    pub file: String,
    pub n: u64,
    hash: String,
    outcome: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    #[serde(rename = "open journal")]
    Opened,
    /// On the disk up to here.
    #[serde(rename = "sync journal")]
    Reached,
    #[serde(rename = "close journal")]
    Closed,
}

impl Anchor {
    pub fn new(at: Timestamp, stage: Stage, file: String, position: &Position) -> Self {
        Self {
            at,
            who: "strongroom".into(),
            scheme: "internal".into(),
            stage,
            file,
            n: position.number,
            hash: hex::encode(position.hash),
            outcome: "done".into(),
        }
    }

    pub fn position(&self) -> Option<Position> {
        Some(Position { number: self.n, hash: parse_hex(&self.hash)? })
    }

    pub fn note(&self) -> Note {
        // Every field is text or a number.
        Note::stored(serde_json::to_string(self).unwrap_or_default())
    }

    /// `None`: a note of something else.
    pub fn of(note: &Note) -> Option<Self> {
        serde_json::from_str(note.as_str()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_is_a_note_like_others() {
        let position = Position { number: 7, hash: [0xab; 32] };
        let anchor = Anchor::new(Timestamp::UNIX_EPOCH, Stage::Reached, "a.jsonl".into(), &position);
        let note = anchor.note();
        let start = r#"{"at":"1970-01-01T00:00:00Z","who":"strongroom","scheme":"internal","action":"sync journal","name":"a.jsonl","n":7,"#;
        assert!(note.as_str().starts_with(start), "{}", note.as_str());
        assert_eq!((Anchor::of(&note), anchor.position()), (Some(anchor.clone()), Some(position)));
        for other in
            [r#"{"at":"1970-01-01T00:00:00Z","who":"a","scheme":"basic","action":"read","outcome":"done"}"#, "{", "7"]
        {
            assert_eq!(Anchor::of(&Note::stored(other.into())), None);
        }
    }
}
