//! A blind credential: its users encrypt and decrypt it, and what it holds means nothing here.

use serde::{Deserialize, Serialize};

use crate::domain::credential::{About, Words, check_words};
use crate::domain::name::RecordId;
use crate::domain::{Error, Result, Violation};

/// Bytes: of ciphertext as of the values of a credential; of a wrapped key and its description; of a name of a key.
const PAIRS_LIMIT: usize = 512 * 1024;
const DATA_KEY_LIMIT: usize = 64 * 1024;
const WORD_LIMIT: usize = 253;
const KEY_COUNT_LIMIT: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlindCredential {
    /// What people call it. Unique among blind credentials.
    pub title: String,
    pub about: About,
    /// Names of what is in it, as its users say.
    pub keys: Vec<String>,
    pub envelope: Envelope,
}

/// What its users made, as they sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// A JSON object as text: ciphertext by region.
    pub pairs: String,
    /// A JSON object as text: the wrapped data key by region.
    pub data_key: String,
    pub cipher_type: String,
    pub cipher_version: u64,
}

/// What a caller wants changed; `None` keeps what is there.
#[derive(Debug, Default)]
pub struct Patch {
    pub words: Words,
    pub keys: Option<Vec<String>>,
    pub envelope: Option<Envelope>,
}

impl BlindCredential {
    pub fn patched(&self, patch: Patch) -> Self {
        let (title, about) = patch.words.over(&self.title, &self.about);
        Self {
            title,
            about,
            keys: patch.keys.unwrap_or_else(|| self.keys.clone()),
            envelope: patch.envelope.unwrap_or_else(|| self.envelope.clone()),
        }
    }

    /// Within the limits; what is wrong is told by the names of the fields.
    pub fn check(&self) -> Result<()> {
        check_words(&self.title, &self.about)?;
        let long = |text: &str, limit: usize| (text.len() > limit).then(|| format!("is longer than {limit} bytes"));
        let Envelope { pairs, data_key, cipher_type, .. } = &self.envelope;
        let found = [
            ("credential_pairs", long(pairs, PAIRS_LIMIT)),
            ("data_key", long(data_key, DATA_KEY_LIMIT)),
            ("cipher_type", long(cipher_type, WORD_LIMIT)),
            ("credential_keys", self.keys.iter().find_map(|key| long(key, WORD_LIMIT))),
            (
                "credential_keys",
                (self.keys.len() > KEY_COUNT_LIMIT).then(|| format!("has more than {KEY_COUNT_LIMIT}")),
            ),
        ];
        let violations: Vec<Violation> =
            found.into_iter().filter_map(|(field, why)| Some(Violation { field: field.into(), why: why? })).collect();
        if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
    }
}

/// Its name as a record.
pub fn record_name(id: RecordId) -> String {
    format!("/blind/{}", id.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blind() -> BlindCredential {
        let envelope =
            Envelope { pairs: "{}".into(), data_key: "{}".into(), cipher_type: "fernet".into(), cipher_version: 2 };
        BlindCredential { title: "b".into(), about: About::default(), keys: vec!["k".into()], envelope }
    }

    #[test]
    fn a_patch_keeps_what_it_does_not_name() {
        assert_eq!(blind().patched(Patch::default()), blind());
        let next =
            blind().patched(Patch { words: Words { enabled: Some(false), ..Words::default() }, ..Patch::default() });
        assert!(!next.about.enabled && next.envelope == blind().envelope);
    }

    #[test]
    fn limits_are_told_by_field() {
        assert!(blind().check().is_ok());
        let keys = vec!["x".repeat(WORD_LIMIT + 1)];
        let long = BlindCredential { keys, ..blind() };
        assert!(long.check().unwrap_err().to_string().starts_with("credential_keys"));
    }
}
