//! What CredHub's program prints when it exports, as YAML or JSON: each credential as if a caller had set it. Reads text
//! that is there already, and knows no store.
//!
//! Every text becomes one that is wiped. What cannot be wiped are the copies that the YAML parser makes of all scalars
//! while it reads: they are freed at the end of reading, before anything is written, and lie in free memory until
//! something else takes their place. JSON is read where it lies and leaves no copies but of texts with escapes.

mod order;

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use warp::http::StatusCode;

use crate::api::credhub::error::Failure;
use crate::api::credhub::wire::fields::Fields;
use crate::api::credhub::wire::{name, value};
use crate::api::json::Json;
use crate::domain::credential::Kind;
use crate::domain::name::Path;

pub use crate::api::credhub::wire::value::{Certificate, Given, word};
pub use order::{Authority, Order, sign, split};

/// One entry of the list.
pub struct Exported {
    /// As it stands there, for people.
    pub name: String,
    /// Or why it cannot be read. Names fields, never values.
    pub credential: Result<Credential, String>,
}

pub struct Credential {
    pub path: Path,
    pub kind: Kind,
    pub metadata: Option<String>,
    pub given: Given,
}

impl Exported {
    pub fn certificate(&self) -> Option<&Certificate> {
        match &self.credential.as_ref().ok()?.given {
            Given::Certificate(certificate) => Some(certificate),
            Given::Material(_) => None,
        }
    }
}

/// All entries, in their order. `Err`: the text is none that could have been exported.
pub fn read(text: &str) -> Result<Vec<Exported>, String> {
    let json = text.trim_start().starts_with('{').then(|| read_json(text)).flatten();
    let mut all = json.map_or_else(|| read_yaml(text), Ok)?;
    refuse_repeated(&mut all);
    Ok(all)
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    credentials: Vec<&'a RawValue>,
}

/// Letter by letter. `None`: it is something else, which may be YAML with braces.
fn read_json(text: &str) -> Option<Vec<Exported>> {
    let Document { credentials } = serde_json::from_str(text).ok()?;
    Some(credentials.into_iter().enumerate().map(|(at, raw)| entry(at, raw.get().as_bytes())).collect())
}

/// A parser's own words would repeat the value that it stumbles over.
fn read_yaml(text: &str) -> Result<Vec<Exported>, String> {
    let document = serde_yaml::from_str::<Json>(text).map_err(|error| {
        let place = error.location().map(|at| format!(" (line {}, column {})", at.line(), at.column()));
        let place = place.unwrap_or_default();
        let advice = "export it with --output-json, which keeps every number";
        format!("is neither YAML nor JSON, or has a number or a tag that is not kept exactly{place}: {advice}")
    })?;
    match document.get("credentials") {
        Some(Json::List(entries)) => Ok(entries.iter().enumerate().map(|(at, json)| yaml_entry(at, json)).collect()),
        Some(Json::Null) => Ok(Vec::new()),
        Some(_) => Err("has credentials that are no list".into()),
        None => Err("has no credentials: it must begin with `credentials:`, as `credhub export` prints it".into()),
    }
}

fn yaml_entry(at: usize, json: &Json) -> Exported {
    let mut read = entry(at, &whole(json).bytes());
    if has_bare_text(json) && read.credential.is_ok() {
        read.credential = Err("value has a number, or true or false, where a text belongs: put it in quotes".into());
    }
    read
}

/// The program that exports has all its numbers as doubles, and prints large whole ones with an exponent: they are whole
/// numbers again.
fn whole(json: &Json) -> Json {
    match json {
        Json::Null => Json::Null,
        Json::Bool(value) => Json::Bool(*value),
        Json::Literal(text) => Json::Literal(text.expose().strip_suffix(".0").unwrap_or(text.expose()).into()),
        Json::Text(text) => Json::Text(text.clone()),
        Json::Shared(text) => Json::Shared(text.clone()),
        Json::List(items) => Json::List(items.iter().map(whole).collect()),
        Json::Object(members) => Json::object(members.iter().map(|(name, value)| (name.clone(), whole(value)))),
    }
}

const TEXTS: [&str; 7] = ["username", "password", "public_key", "private_key", "certificate", "ca", "ca_name"];

/// Without quotes `0x1F` arrives as 31: what the text was cannot be known any more.
fn has_bare_text(json: &Json) -> bool {
    let is_bare = |value: &Json| matches!(value, Json::Literal(_) | Json::Bool(_));
    let is_json = json.get("type").and_then(Json::as_text).is_some_and(|it| it.expose().eq_ignore_ascii_case("json"));
    match json.get("value") {
        _ if is_json => false,
        Some(value @ Json::Object(_)) => TEXTS.iter().any(|name| value.get(name).is_some_and(is_bare)),
        value => value.is_some_and(is_bare),
    }
}

fn entry(at: usize, bytes: &[u8]) -> Exported {
    let unnamed = || format!("entry {}", at + 1);
    let Ok(fields) = Fields::read(bytes, StatusCode::BAD_REQUEST) else {
        return Exported { name: unnamed(), credential: Err("is no object with name, type and value".into()) };
    };
    let named = fields.text("name").ok().flatten().filter(|name| !name.is_empty());
    let printable = |name: String| name.chars().filter(|c| !c.is_control()).take(1100).collect();
    Exported { name: named.map_or_else(unnamed, printable), credential: credential(&fields).map_err(words) }
}

/// Its other fields say of the version what is found out or made anew here: its id, when it was made, how long it lasts.
fn credential(fields: &Fields<'_>) -> Result<Credential, Failure> {
    let path = name::path(&fields.text("name")?.unwrap_or_default())?;
    let kind = fields.text("type")?.as_deref().and_then(value::kind);
    let kind = kind.ok_or_else(|| Failure::bad("type must be value, json, password, user, certificate, ssh or rsa"))?;
    Ok(Credential { path, kind, metadata: value::metadata(fields)?, given: value::given(kind, fields)? })
}

fn words(failure: Failure) -> String {
    match failure {
        Failure::Told(_, words) => words,
        Failure::Error(error) => error.to_string(),
    }
}

/// Nobody can say which of them counts. Case makes no other name.
fn refuse_repeated(all: &mut [Exported]) {
    let lower = |entry: &Exported| entry.credential.as_ref().ok().map(|it| it.path.as_str().to_ascii_lowercase());
    let mut times: HashMap<String, usize> = HashMap::new();
    all.iter().filter_map(lower).for_each(|name| *times.entry(name).or_default() += 1);
    for entry in all {
        let is_repeated = lower(entry).is_some_and(|name| times[&name] > 1);
        if is_repeated {
            entry.credential = Err("is there more than once".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<(String, String)> {
        let told = |entry: Exported| (entry.name, entry.credential.err().unwrap_or_default());
        read(text).unwrap().into_iter().map(told).collect()
    }

    #[test]
    fn yaml_and_json_are_read_alike() {
        let yaml = "credentials:\n- name: /a\n  type: json\n  value: {b: 1.5, a: [x, null, true]}\n  metadata: {k: v}\n  \
                    id: 7\n- name: b\n  type: user\n  value:\n    username: u\n    password: \"12\"\n    password_hash: h\n";
        let json = r#"{"credentials":[{"name":"/a","type":"json","value":{"b": 1.5,"a":["x",null,true]},
                     "metadata":{"k":"v"},"id":7},{"name":"b","type":"user","value":{"username":"u","password":"12"}}]}"#;
        let [one, other] = [yaml, json].map(|text| {
            let all = read(text).unwrap().into_iter().map(|entry| entry.credential.unwrap());
            let shape = |it: Credential| match it.given {
                Given::Material(material) => (it.path, it.kind, it.metadata, material),
                Given::Certificate(_) => panic!("no certificate"),
            };
            all.map(shape).collect::<Vec<_>>()
        });
        assert_eq!(one, other);
        assert_eq!(one[0].3.get("value").unwrap().expose(), r#"{"b":1.5,"a":["x",null,true]}"#);
        assert_eq!((one[0].2.as_deref(), one[1].0.as_str()), (Some(r#"{"k":"v"}"#), "/b"));
    }

    #[test]
    fn json_is_kept_letter_by_letter() {
        let text = r#"{"credentials":[{"name":"/a","type":"json","value":{"n":123456789012345678901234567890}}]}"#;
        let credential = read(text).unwrap().remove(0).credential.unwrap();
        let Given::Material(material) = credential.given else { panic!("another kind") };
        assert_eq!(material.get("value").unwrap().expose(), r#"{"n":123456789012345678901234567890}"#);
    }

    #[test]
    fn numbers_of_yaml_are_kept_or_refused_and_never_changed() {
        let value = "{a: 1e+06, b: 1000000.0, c: 2.5, d: [5, -1.0], e: 1.0e-7, f: 18446744073709551615}";
        let text = format!("credentials:\n- {{name: /a, type: json, value: {value}}}\n");
        let credential = read(&text).unwrap().remove(0).credential.unwrap();
        let Given::Material(material) = credential.given else { panic!("another kind") };
        let expected = r#"{"a":1000000,"b":1000000,"c":2.5,"d":[5,-1],"e":1e-7,"f":18446744073709551615}"#;
        assert_eq!(material.get("value").unwrap().expose(), expected);
        assert!(read("credentials:\n- {name: /a, type: json, value: [1.0e+17]}").err().unwrap().contains("line 2"));
        for bare in ["0x1F", "7.50", "1e3", "True", "12"] {
            let entry = format!("{{name: /a, type: password, value: {bare}}}");
            let user = format!("{{name: /b, type: user, value: {{username: u, password: {bare}}}}}");
            let said = told(&format!("credentials: [{entry}, {user}]"));
            assert!(said.iter().all(|(_, why)| why.contains("quotes") && !why.contains(bare)), "{bare}: {said:?}");
        }
        for text in ["yes", "0777", "1_000", "'12'", "\"true\"", "nan", "1e1000"] {
            let read = read(&format!("credentials: [{{name: /a, type: password, value: {text}}}]")).unwrap().remove(0);
            let Ok(Credential { given: Given::Material(material), .. }) = read.credential else { panic!("{text}") };
            assert_eq!(material.get("password").unwrap().expose(), text.trim_matches(['\'', '"']));
        }
    }

    #[test]
    fn what_was_never_exported_is_refused_as_a_whole_without_repeating_it() {
        for text in ["hunter2", "a: [hunter2", "credentials: hunter2", "other: []", "", "[hunter2]", "{\"a\":hunter2}"]
        {
            let why = read(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(!why.contains("hunter2"), "{text}: {why}");
        }
        assert!(read("credentials: []").unwrap().is_empty() && read("credentials:\n").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_with_an_entry_is_told_by_its_name_and_never_by_its_value() {
        let entries = [
            ("hunter2", "entry 1", "no object"),
            ("{type: value, value: hunter2}", "entry 2", "name must be given"),
            ("{name: /c, type: hunter, value: hunter2}", "/c", "type must be"),
            ("{name: /d, type: value, value: [hunter2]}", "/d", "value must be"),
            ("{name: /e, type: user, value: hunter2}", "/e", "value must be a JSON object"),
            ("{name: /f, type: rsa, value: {}}", "/f", "public_key or a private_key"),
            ("{name: /g, type: certificate, value: {ca: hunter2, ca_name: /x, certificate: c}}", "/g", "not both"),
            ("{name: /h, type: password, value: ''}", "/h", "not be empty"),
            ("{name: /i, type: value, value: hunter2}", "/i", "more than once"),
            ("{name: /I, type: password, value: hunter2}", "/I", "more than once"),
            ("{name: /j//k, type: value, value: hunter2}", "/j//k", "slash"),
        ];
        let text: String = entries.iter().map(|(entry, ..)| format!("\n- {entry}")).collect();
        let said = told(&format!("credentials:{text}"));
        assert_eq!(said.len(), entries.len());
        for ((name, why), (_, whose, part)) in said.iter().zip(entries) {
            assert!(name == whose && why.contains(part) && !why.contains("hunter2"), "{name}: {why}");
        }
    }
}
