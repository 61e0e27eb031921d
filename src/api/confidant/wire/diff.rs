//! What differs between two revisions, without any value.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Dates;
use crate::api::json::Json;
use crate::domain::credential::{Credential, Material};
use crate::domain::name::RecordId;
use crate::domain::record::{Entry, Stamp};
use crate::domain::service::Service;

pub fn credential(pair: &[Entry<Credential>; 2]) -> Json {
    let (old, new) = ordered(pair);
    let (was, is) = (&old.body, &new.body);
    let documentation = |credential: &Credential| Json::or_null(credential.about.documentation.as_ref(), Json::text);
    let rotated = |credential: &Credential| Dates::Http.text(credential.rotated_at);
    let members = [
        changed("name", was.title != is.title, || (Json::text(&is.title), Json::text(&was.title))),
        enabled(was.about.enabled, is.about.enabled),
        changed("documentation", was.about.documentation != is.about.documentation, || {
            (documentation(is), documentation(was))
        }),
        changed("last_rotation_date", was.rotated_at != is.rotated_at, || (rotated(is), rotated(was))),
        keys("credential_pairs", pairs(&is.material, &was.material), pairs(&was.material, &is.material)),
        metadata(was.about.metadata.as_deref(), is.about.metadata.as_deref()),
        tags(&was.about.tags, &is.about.tags),
    ];
    finish(&old.stamp, &new.stamp, members)
}

pub fn service(pair: &[Entry<Service>; 2]) -> Json {
    let (old, new) = ordered(pair);
    let (was, is) = (&old.body, &new.body);
    let account = |service: &Service| Json::or_null(service.account.as_ref(), Json::text);
    let members = [
        enabled(was.enabled, is.enabled),
        changed("account", was.account != is.account, || (account(is), account(was))),
        ids("credentials", &was.credentials, &is.credentials),
        ids("blind_credentials", &was.blind_credentials, &is.blind_credentials),
    ];
    finish(&old.stamp, &new.stamp, members)
}

type Member = Option<(&'static str, Json)>;

/// Whichever is asked for first, the lower revision is the old one.
fn ordered<B>(pair: &[Entry<B>; 2]) -> (&Entry<B>, &Entry<B>) {
    let [first, second] = pair;
    if first.stamp.number <= second.stamp.number { (first, second) } else { (second, first) }
}

/// A revision differs from itself in nothing, and from any other at least in who wrote it when.
fn finish(old: &Stamp, new: &Stamp, members: impl IntoIterator<Item = Member>) -> Json {
    if old.number == new.number {
        return super::empty();
    }
    let by = both(Json::text(&new.by), Json::text(&old.by));
    let date = both(Dates::Http.text(new.at), Dates::Http.text(old.at));
    Json::object(members.into_iter().flatten().chain([("modified_by", by), ("modified_date", date)]))
}

fn both(added: Json, removed: Json) -> Json {
    Json::object([("added", added), ("removed", removed)])
}

fn changed(name: &'static str, differs: bool, sides: impl FnOnce() -> (Json, Json)) -> Member {
    differs.then(|| {
        let (added, removed) = sides();
        (name, both(added, removed))
    })
}

fn enabled(was: bool, is: bool) -> Member {
    changed("enabled", was != is, || (Json::Bool(is), Json::Bool(was)))
}

/// A side on which there is nothing is left out.
fn keys(name: &'static str, added: Vec<&str>, removed: Vec<&str>) -> Member {
    let sides = [("added", added), ("removed", removed)];
    let sides: Vec<_> =
        sides.into_iter().filter(|(_, keys)| !keys.is_empty()).map(|(side, keys)| (side, Json::texts(keys))).collect();
    (!sides.is_empty()).then(|| (name, Json::object(sides)))
}

/// Keys of the one whose value the other does not have: a changed one is on both sides.
fn pairs<'a>(one: &'a Material, other: &Material) -> Vec<&'a str> {
    let fields = one.fields().iter().filter(|field| !other.fields().contains(field));
    let mut names: Vec<&str> = fields.map(|field| field.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn metadata(was: Option<&str>, is: Option<&str>) -> Member {
    let read = |text: Option<&str>| -> Map<String, Value> {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    let (was, is) = (read(was), read(is));
    let beyond = |one: &'_ Map<String, Value>, other: &Map<String, Value>| -> BTreeSet<String> {
        one.iter().filter(|(key, value)| other.get(*key) != Some(value)).map(|(key, _)| key.clone()).collect()
    };
    let (added, removed) = (beyond(&is, &was), beyond(&was, &is));
    keys("metadata", added.iter().map(String::as_str).collect(), removed.iter().map(String::as_str).collect())
}

/// Both sides, always.
fn tags(was: &[String], is: &[String]) -> Member {
    let (was, is): (BTreeSet<_>, BTreeSet<_>) = (was.iter().collect(), is.iter().collect());
    changed("tags", was != is, || (Json::texts(is.difference(&was)), Json::texts(was.difference(&is))))
}

fn ids(name: &'static str, was: &[RecordId], is: &[RecordId]) -> Member {
    let beyond = |one: &[RecordId], other: &[RecordId]| -> Vec<String> {
        one.iter().filter(|id| !other.contains(id)).map(RecordId::hex).collect()
    };
    let (added, removed) = (beyond(is, was), beyond(was, is));
    keys(name, added.iter().map(String::as_str).collect(), removed.iter().map(String::as_str).collect())
}
