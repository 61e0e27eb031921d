//! Blind credentials as Confidant's clients write and see them.

use super::Dates;
use super::reader::Reader;
use crate::api::json::Json;
use crate::domain::Result;
use crate::domain::blind::{BlindCredential, Envelope, Patch};
use crate::domain::credential::About;
use crate::domain::record::Entry;

const REQUIRED: [&str; 5] = ["cipher_version", "cipher_type", "credential_pairs", "data_key", "name"];

pub fn draft(body: &Json, needs_documentation: bool) -> Result<BlindCredential> {
    let mut reader = Reader::new(body);
    for field in REQUIRED {
        reader.require(field);
    }
    if needs_documentation {
        reader.require_documentation();
    }
    let envelope = envelope(&mut reader);
    let (title, about) = reader.words().over("", &About::default());
    let blind = BlindCredential {
        title,
        about,
        keys: reader.texts("credential_keys").unwrap_or_default(),
        envelope: envelope.unwrap_or_default(),
    };
    reader.finish(blind)
}

/// New ciphertext comes with everything that it takes to open it.
pub fn patch(body: &Json) -> Result<Patch> {
    let mut reader = Reader::new(body);
    let has_ciphertext = body.get("credential_pairs").is_some();
    if has_ciphertext {
        for field in ["data_key", "cipher_type", "cipher_version"] {
            reader.require(field);
        }
    }
    // Without ciphertext the rest of it is checked, and otherwise ignored.
    let envelope = envelope(&mut reader).filter(|_| has_ciphertext);
    let patch = Patch { words: reader.words(), keys: reader.texts("credential_keys"), envelope };
    reader.finish(patch)
}

fn envelope(reader: &mut Reader<'_>) -> Option<Envelope> {
    let (pairs, data_key) = (reader.object("credential_pairs"), reader.object("data_key"));
    let (cipher_type, cipher_version) = (reader.text("cipher_type"), reader.whole_number("cipher_version"));
    Some(Envelope { pairs: pairs?, data_key: data_key?, cipher_type: cipher_type?, cipher_version: cipher_version? })
}

/// By itself, with its ciphertext.
pub fn blind(entry: &Entry<BlindCredential>) -> Json {
    shown(entry, true, Dates::Http)
}

/// In a service.
pub fn member(entry: &Entry<BlindCredential>, with_pairs: bool) -> Json {
    shown(entry, with_pairs, Dates::Iso)
}

/// One of its revisions, under an id of its own.
pub fn archived(entry: &Entry<BlindCredential>) -> Json {
    super::archived(blind(entry), entry.stamp.number)
}

/// In a list.
pub fn listed(entry: &Entry<BlindCredential>) -> Json {
    Json::object(about(entry, Dates::Http))
}

fn shown(entry: &Entry<BlindCredential>, with_pairs: bool, dates: Dates) -> Json {
    let BlindCredential { about: words, keys, envelope, .. } = &entry.body;
    let opaque = |text: &str| Json::Literal(if with_pairs { text.into() } else { "{}".into() });
    let own = [
        ("credential_pairs", opaque(&envelope.pairs)),
        ("credential_keys", Json::texts(keys)),
        ("cipher_type", Json::text(&envelope.cipher_type)),
        ("cipher_version", Json::number(envelope.cipher_version)),
        ("data_key", opaque(&envelope.data_key)),
        ("metadata", Json::Literal(words.metadata.as_deref().unwrap_or("{}").into())),
    ];
    Json::object(about(entry, dates).into_iter().chain(own))
}

fn about(entry: &Entry<BlindCredential>, dates: Dates) -> Vec<(&'static str, Json)> {
    let BlindCredential { title, about, .. } = &entry.body;
    let own = [
        ("id", Json::text(entry.head.id.hex())),
        ("name", Json::text(title)),
        ("enabled", Json::Bool(about.enabled)),
        ("documentation", Json::or_null(about.documentation.as_ref(), Json::text)),
    ];
    own.into_iter().chain(dates.stamp(&entry.stamp)).collect()
}
