//! Credentials as Confidant's clients write and see them.

use super::Dates;
use super::reader::{Reader, text};
use crate::api::json::Json;
use crate::app::credentials::Draft;
use crate::domain::Result;
use crate::domain::credential::change::Patch;
use crate::domain::credential::rotation::Rotation;
use crate::domain::credential::{About, Credential, Field, Form, Kind, Words};
use crate::domain::record::Entry;

/// The name in a body, whatever else is wrong with it: where the permission to create is asked.
pub fn title(body: &Json) -> Option<String> {
    body.get("name").and_then(text)
}

pub fn draft(body: &Json, needs_documentation: bool) -> Result<Draft> {
    let mut reader = Reader::new(body);
    if needs_documentation {
        reader.require_documentation();
    }
    reader.require("credential_pairs");
    let material = reader.pairs();
    reader.require("name");
    let (title, about) = words(&mut reader).over("", &About::default());
    reader.finish(Draft { title, kind: Kind::Pairs, about, material: material.unwrap_or_default() })
}

pub fn patch(body: &Json) -> Result<Patch> {
    let mut reader = Reader::new(body);
    let patch = Patch { words: words(&mut reader), material: reader.pairs() };
    reader.finish(patch)
}

fn words(reader: &mut Reader<'_>) -> Words {
    Words { tags: reader.texts("tags"), ..reader.words() }
}

/// Whether a credential is to be archived, or only looked at for it.
pub fn force(body: &Json) -> Result<bool> {
    let mut reader = Reader::new(body);
    let force = reader.boolean("force");
    reader.finish(force.unwrap_or(false))
}

/// How much of a credential is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Show {
    Nothing,
    Keys,
    Pairs,
}

/// All of its members, always.
pub fn credential(entry: &Entry<Credential>, show: Show, permissions: Json, rotation: &Rotation) -> Json {
    let Credential { title, about, rotated_at, .. } = &entry.body;
    let keys = entry.body.readable().filter(|_| show != Show::Nothing).map(|field| field.name.as_str());
    let pairs = entry.body.readable().filter(|_| show == Show::Pairs);
    let own = [
        ("id", Json::text(entry.head.id.hex())),
        ("name", Json::text(title)),
        ("enabled", Json::Bool(about.enabled)),
        ("documentation", Json::or_null(about.documentation.as_ref(), Json::text)),
        ("metadata", Json::Literal(metadata(about).into())),
        ("credential_keys", Json::texts(keys)),
        ("credential_pairs", Json::object(pairs.map(|field| (field.name.clone(), scalar(field))))),
        ("permissions", permissions),
        ("tags", Json::texts(&about.tags)),
        ("last_rotation_date", Dates::Iso.text(*rotated_at)),
        ("next_rotation_date", Json::or_null(rotation.due(&about.tags, *rotated_at), |at| Dates::Iso.text(at))),
    ];
    Json::object(own.into_iter().chain(Dates::Iso.stamp(&entry.stamp)))
}

/// Over another API it may be any JSON; clients of this one go through its members.
fn metadata(about: &About) -> &str {
    about.metadata.as_deref().filter(|text| text.trim_start().starts_with('{')).unwrap_or("{}")
}

/// In a list.
pub fn listed(entry: &Entry<Credential>, rotation: &Rotation) -> Json {
    credential(entry, Show::Nothing, super::empty(), rotation)
}

/// One of its revisions, under an id of its own.
pub fn archived(entry: &Entry<Credential>, rotation: &Rotation) -> Json {
    super::archived(listed(entry, rotation), entry.stamp.number)
}

fn scalar(field: &Field) -> Json {
    match field.form {
        Form::Text => Json::Text(field.value.clone()),
        Form::Literal => Json::Literal(field.value.clone()),
    }
}

/// In the answer to a create that had none, and only there, metadata is null.
pub fn created(entry: &Entry<Credential>, permissions: Json, rotation: &Rotation) -> Json {
    let mut json = credential(entry, Show::Pairs, permissions, rotation);
    if let (Json::Object(members), None) = (&mut json, &entry.body.about.metadata) {
        members.iter_mut().filter(|(name, _)| name == "metadata").for_each(|(_, value)| *value = Json::Null);
    }
    json
}
