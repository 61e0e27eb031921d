//! Confidant's JSON, exactly: from bodies to drafts and patches, and from records to objects.

use jiff::Timestamp;
use warp::http::header;

use crate::api::json::Json;
use crate::api::route::Call;
use crate::app::credentials::Draft;
use crate::app::services;
use crate::domain::credential::change::Patch;
use crate::domain::credential::material::FIELD_COUNT_LIMIT;
use crate::domain::credential::{About, Credential, Field, Form, Kind, Material};
use crate::domain::name::RecordId;
use crate::domain::record::{Entry, Stamp};
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result, Violation};

/// Kubernetes' limit on the keys of a Secret, in bytes.
const KEY_LIMIT: usize = 253;

/// The body of a call as a JSON object.
pub fn body(call: &Call) -> Result<Json> {
    let kind = call.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind != "application/json" && !(kind.starts_with("application/") && kind.ends_with("+json")) {
        return Err(Error::invalid("body", "must have the Content-Type application/json"));
    }
    match Json::parse(&call.body)? {
        json @ Json::Object(_) => Ok(json),
        _ => Err(Error::invalid("body", "must be a JSON object")),
    }
}

/// `metadata_only` and its like: these spellings mean yes, all others no.
pub fn flag(call: &Call, name: &str) -> bool {
    call.query(name).is_some_and(|value| matches!(value.as_str(), "True" | "true" | "1"))
}

/// Takes fields out of a body and remembers all that is wrong with them.
struct Reader<'a> {
    body: &'a Json,
    violations: Vec<Violation>,
}

impl<'a> Reader<'a> {
    fn new(body: &'a Json) -> Self {
        Self { body, violations: Vec::new() }
    }

    fn refuse(&mut self, field: &str, why: impl Into<String>) {
        self.violations.push(Violation { field: field.into(), why: why.into() });
    }

    /// `None` when the field is absent or wrong.
    fn read<T>(&mut self, field: &str, wanted: &str, read: impl FnOnce(&'a Json) -> Option<T>) -> Option<T> {
        let found = read(self.body.get(field)?);
        if found.is_none() {
            self.refuse(field, format!("must be {wanted}"));
        }
        found
    }

    fn require(&mut self, field: &str) {
        if self.body.get(field).is_none() {
            self.refuse(field, "is a required field");
        }
    }

    fn title(&mut self) -> Option<String> {
        self.read("name", "a string", text)
    }

    fn enabled(&mut self) -> Option<bool> {
        self.read("enabled", "a boolean", Json::as_bool)
    }

    fn metadata(&mut self) -> Option<String> {
        self.read("metadata", "an object", |json| {
            matches!(json, Json::Object(_)).then(|| String::from_utf8_lossy(&json.bytes()).into_owned())
        })
    }

    fn documentation(&mut self) -> Option<Option<String>> {
        self.read("documentation", "a string or null", |json| match json {
            Json::Null => Some(None),
            _ => text(json).map(Some),
        })
    }

    fn texts(&mut self, field: &str) -> Option<Vec<String>> {
        self.read(field, "a list of strings", |json| match json {
            Json::List(items) => items.iter().map(text).collect(),
            _ => None,
        })
    }

    fn pairs(&mut self) -> Option<Material> {
        const FIELD: &str = "credential_pairs";
        let members = self.read(FIELD, "an object of key: value", |json| match json {
            Json::Object(members) => Some(members),
            _ => None,
        })?;
        // Before the material is built, which compares each key with all before it.
        if members.is_empty() || members.len() > FIELD_COUNT_LIMIT {
            self.refuse(FIELD, format!("must have 1 to {FIELD_COUNT_LIMIT} keys"));
            return None;
        }
        let before = self.violations.len();
        let fields: Vec<Field> = members.iter().filter_map(|(key, value)| self.pair(key, value)).collect();
        (self.violations.len() == before).then(|| Material::new(fields))
    }

    fn pair(&mut self, key: &str, value: &Json) -> Option<Field> {
        let scalar = match value {
            Json::Text(text) => Some((Form::Text, text.clone())),
            Json::Literal(number) => Some((Form::Literal, number.clone())),
            Json::Bool(value) => Some((Form::Literal, SecretText::new(value.to_string()))),
            Json::Null => Some((Form::Literal, "null".into())),
            Json::List(_) | Json::Object(_) => None,
        };
        let why = match () {
            () if key.len() > KEY_LIMIT => "has a key longer than 253 bytes",
            () if key.chars().any(char::is_whitespace) => "has a key with whitespace",
            () if key.chars().any(char::is_control) => "has a key with a control character",
            () if scalar.is_none() => "must be key: value, without lists and objects",
            () => return scalar.map(|(form, value)| Field { name: key.to_lowercase(), form, value }),
        };
        self.refuse("credential_pairs", why);
        None
    }

    fn finish<T>(self, value: T) -> Result<T> {
        if self.violations.is_empty() { Ok(value) } else { Err(Error::Invalid(self.violations)) }
    }
}

fn text(json: &Json) -> Option<String> {
    json.as_text().map(|text| text.expose().to_owned())
}

/// The name in a body, whatever else is wrong with it: where the permission to create is asked.
pub fn title(body: &Json) -> Option<String> {
    body.get("name").and_then(text)
}

pub fn draft(body: &Json) -> Result<Draft> {
    let mut reader = Reader::new(body);
    reader.require("credential_pairs");
    let material = reader.pairs();
    let metadata = reader.metadata();
    reader.require("name");
    let title = reader.title();
    let about = About {
        enabled: reader.enabled().unwrap_or(true),
        documentation: reader.documentation().flatten(),
        metadata,
        tags: reader.texts("tags").unwrap_or_default(),
    };
    reader.finish(Draft {
        title: title.unwrap_or_default(),
        kind: Kind::Pairs,
        about,
        material: material.unwrap_or_default(),
    })
}

pub fn patch(body: &Json) -> Result<Patch> {
    let mut reader = Reader::new(body);
    let patch = Patch {
        metadata: reader.metadata().map(Some),
        title: reader.title(),
        documentation: reader.documentation(),
        enabled: reader.enabled(),
        material: reader.pairs(),
        tags: reader.texts("tags"),
    };
    reader.finish(patch)
}

/// Ids that are none are left out like those that do not exist. Blind credentials do not exist here.
pub fn service_draft(body: &Json) -> Result<services::Draft> {
    let mut reader = Reader::new(body);
    let credentials = reader.texts("credentials");
    reader.texts("blind_credentials");
    if !matches!(body.get("account"), None | Some(Json::Null)) {
        reader.refuse("account", "is not a known account");
    }
    let enabled = reader.enabled();
    let known = |ids: Vec<String>| ids.iter().filter_map(|id| RecordId::parse_hex(id)).collect();
    reader.finish(services::Draft { enabled, account: None, credentials: credentials.map(known) })
}

/// How much of a credential is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Show {
    Nothing,
    Keys,
    Pairs,
}

pub fn permissions(granted: &[(&'static str, bool)]) -> Json {
    Json::object(granted.iter().map(|(name, granted)| (*name, Json::Bool(*granted))))
}

/// `2026-11-21T19:33:01.802630+00:00`
fn date(at: Timestamp) -> Json {
    Json::text(at.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string())
}

fn stamp(stamp: &Stamp) -> [(&'static str, Json); 3] {
    [
        ("revision", Json::number(stamp.number.0)),
        ("modified_date", date(stamp.at)),
        ("modified_by", Json::text(&stamp.by)),
    ]
}

pub fn credential(entry: &Entry<Credential>, show: Show, permissions: Json) -> Json {
    let Credential { title, about, rotated_at, .. } = &entry.body;
    let keys = entry.body.readable().filter(|_| show != Show::Nothing).map(|field| field.name.as_str());
    let pairs = entry.body.readable().filter(|_| show == Show::Pairs);
    let metadata = about.metadata.as_deref().unwrap_or("{}");
    let own = [
        ("id", Json::text(entry.head.id.hex())),
        ("name", Json::text(title)),
        ("enabled", Json::Bool(about.enabled)),
        ("documentation", Json::or_null(about.documentation.as_ref(), Json::text)),
        ("metadata", Json::Literal(metadata.into())),
        ("credential_keys", Json::texts(keys)),
        ("credential_pairs", Json::object(pairs.map(|field| (field.name.clone(), scalar(field))))),
        ("permissions", permissions),
        ("tags", Json::texts(&about.tags)),
        ("last_rotation_date", date(*rotated_at)),
        ("next_rotation_date", Json::Null),
    ];
    Json::object(own.into_iter().chain(stamp(&entry.stamp)))
}

fn scalar(field: &Field) -> Json {
    match field.form {
        Form::Text => Json::Text(field.value.clone()),
        Form::Literal => Json::Literal(field.value.clone()),
    }
}

/// In the answer to a create that had none, and only there, metadata is null.
pub fn created(entry: &Entry<Credential>, permissions: Json) -> Json {
    let mut json = credential(entry, Show::Pairs, permissions);
    if let (Json::Object(members), None) = (&mut json, &entry.body.about.metadata) {
        members.iter_mut().filter(|(name, _)| name == "metadata").for_each(|(_, value)| *value = Json::Null);
    }
    json
}

pub fn service(view: &services::View, show: Show, permissions: Json) -> Json {
    let members = view.members.iter().map(|member| credential(member, show, Json::Object(Vec::new())));
    service_with(&view.entry, members.collect(), permissions)
}

/// A service of a list: without its credentials, even when it has some.
pub fn listed_service(entry: &Entry<crate::domain::service::Service>) -> Json {
    service_with(entry, Vec::new(), Json::Object(Vec::new()))
}

fn service_with(entry: &Entry<crate::domain::service::Service>, members: Vec<Json>, permissions: Json) -> Json {
    let own = [
        ("id", Json::text(&entry.head.name)),
        ("enabled", Json::Bool(entry.body.enabled)),
        ("account", Json::or_null(entry.body.account.as_ref(), Json::text)),
        ("credentials", Json::List(members)),
        ("blind_credentials", Json::List(Vec::new())),
        ("permissions", permissions),
    ];
    Json::object(own.into_iter().chain(stamp(&entry.stamp)))
}
