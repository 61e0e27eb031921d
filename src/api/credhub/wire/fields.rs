//! The fields of a body. Each is JSON text until somebody wants it, so that what is kept as JSON is kept letter by letter;
//! fields that nobody knows are refused, with the status that the operation has for that.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use warp::http::{StatusCode, header};

use crate::api::credhub::Request;
use crate::api::credhub::error::Failure;
use crate::api::json::{Json, check_structure};
use crate::domain::secret::SecretText;

/// What a JSON object has, in its order; of two with one name the last counts.
pub struct Fields<'a> {
    members: Vec<(String, &'a RawValue)>,
    /// For fields that are not known.
    refusal: StatusCode,
}

impl<'a> Fields<'a> {
    /// Of the body of a request. `refusal`: what unknown fields are answered with.
    pub fn of(request: &'a Request, refusal: StatusCode) -> Result<Self, Failure> {
        Self::read(body(request)?, refusal)
    }

    /// The same where a body may be missing.
    pub fn of_optional(request: &'a Request, refusal: StatusCode) -> Result<Self, Failure> {
        if request.body.is_empty() { Ok(Self { members: Vec::new(), refusal }) } else { Self::of(request, refusal) }
    }

    pub fn read(bytes: &'a [u8], refusal: StatusCode) -> Result<Self, Failure> {
        check_structure(bytes)?;
        let Members(members) = serde_json::from_slice(bytes).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Failure::bad(format!("the body must be a JSON object ({place})"))
        })?;
        Ok(Self { members, refusal })
    }

    /// The fields of a field that is an object; `None` where it is absent or null.
    pub fn inside(&self, name: &str) -> Result<Option<Self>, Failure> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        match Self::read(raw.get().as_bytes(), self.refusal) {
            Ok(fields) => Ok(Some(fields)),
            Err(_) => Err(Failure::bad(format!("{name} must be a JSON object"))),
        }
    }

    /// Of a value that stands somewhere inside; `None` where it is no object.
    pub fn inner(raw: &'a RawValue) -> Option<Self> {
        Self::read(raw.get().as_bytes(), StatusCode::BAD_REQUEST).ok()
    }

    pub fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.members.iter().map(|(name, raw)| (name.as_str(), *raw))
    }

    pub fn only(&self, known: &[&str]) -> Result<(), Failure> {
        match self.members.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => {
                let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
                Err(Failure::Told(self.refusal, format!("{name} is not a parameter of this request; leave it out")))
            }
            None => Ok(()),
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(name, _)| name.as_str())
    }

    /// As it stands in the body; `None` where it is absent or null.
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.members.iter().rev().find(|(known, _)| known == name).map(|(_, raw)| *raw)?;
        (found.get() != "null").then_some(found)
    }

    fn json(&self, name: &str) -> Result<Option<Json>, Failure> {
        self.raw(name).map(|raw| Json::parse(raw.get().as_bytes())).transpose().map_err(Failure::from)
    }

    /// Numbers and truth are taken as their text, as CredHub does.
    pub fn secret(&self, name: &str) -> Result<Option<SecretText>, Failure> {
        match self.json(name)? {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Text(text) | Json::Literal(text)) => Ok(Some(text)),
            Some(Json::Bool(value)) => Ok(Some(SecretText::new(value.to_string()))),
            Some(Json::Shared(_) | Json::List(_) | Json::Object(_)) => {
                Err(Failure::bad(format!("{name} must be a string")))
            }
        }
    }

    /// The same without what is empty: to CredHub that is as good as absent.
    pub fn filled(&self, name: &str) -> Result<Option<SecretText>, Failure> {
        Ok(self.secret(name)?.filter(|text| !text.expose().is_empty()))
    }

    pub fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        Ok(self.secret(name)?.map(|text| text.expose().to_owned()))
    }

    pub fn texts(&self, name: &str) -> Result<Vec<String>, Failure> {
        let wrong = || Failure::bad(format!("{name} must be a list of strings"));
        let text = |json: Json| match json {
            Json::Text(text) | Json::Literal(text) => Ok(text.expose().to_owned()),
            _ => Err(wrong()),
        };
        match self.json(name)? {
            None | Some(Json::Null) => Ok(Vec::new()),
            Some(Json::List(items)) => items.into_iter().map(text).collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// The words `"true"` and `"false"` count too.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, Failure> {
        let wrong = || Failure::bad(format!("{name} must be true or false"));
        match self.json(name)? {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Bool(value)) => Ok(Some(value)),
            Some(Json::Text(text)) => match text.expose() {
                "true" => Ok(Some(true)),
                "false" => Ok(Some(false)),
                _ => Err(wrong()),
            },
            Some(_) => Err(wrong()),
        }
    }

    /// Numbers in quotes count too.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, Failure> {
        let wrong = || Failure::bad(format!("{name} must be a whole number"));
        match self.json(name)? {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Text(text) | Json::Literal(text)) => text.expose().parse().map(Some).map_err(|_| wrong()),
            Some(_) => Err(wrong()),
        }
    }

    /// Any JSON, compact and otherwise letter by letter; `None` where it is absent or null.
    pub fn compact(&self, name: &str) -> Option<SecretText> {
        self.raw(name).map(|raw| compact(raw.get()))
    }
}

/// The body of a request that says it is JSON. A page of another site cannot make a browser say so unasked, whose owner
/// may be known by a certificate, or by nothing but where it runs.
pub fn body(request: &Request) -> Result<&[u8], Failure> {
    let given = request.headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default());
    let kind = given.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind != "application/json" && !(kind.starts_with("application/") && kind.ends_with("+json")) {
        return Err(Failure::bad("the Content-Type must be application/json"));
    }
    if has_half_letters(&request.body) {
        return Err(Failure::bad("the body has half of a surrogate pair, which is no letter"));
    }
    Ok(&request.body)
}

/// Whether a text of this JSON has a half of a UTF-16 pair without the other. What is kept as JSON is never made a text
/// here, so nothing else would notice, and its readers could not read it.
fn has_half_letters(json: &[u8]) -> bool {
    let unit = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let is_low = |unit: u16| (0xDC00..0xE000).contains(&unit);
    let mut at = 0;
    while let Some(next) = json.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        at += next;
        at += match unit(at) {
            Some(0xD800..0xDC00) if unit(at + 6).is_some_and(is_low) => 12,
            Some(0xD800..0xE000) => return true,
            Some(_) => 6,
            None => 2,
        };
    }
    false
}

/// Without the white space between its parts.
pub fn compact(json: &str) -> SecretText {
    let (mut quoted, mut escaped) = (false, false);
    let mut kept = String::with_capacity(json.len());
    for c in json.chars() {
        let is_space = !quoted && matches!(c, ' ' | '\t' | '\n' | '\r');
        if !is_space {
            kept.push(c);
        }
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    SecretText::new(kept)
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnyMembers)
    }
}

struct AnyMembers;

impl<'de> Visitor<'de> for AnyMembers {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = entries.next_key::<String>()? {
            members.push((name, entries.next_value()?));
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Fields<'_> {
        Fields::read(text.as_bytes(), StatusCode::UNPROCESSABLE_ENTITY).unwrap()
    }

    #[test]
    fn json_is_kept_letter_by_letter_but_for_white_space() {
        let text = r#"{ "value" : { "b" : 1.50, "a" : [ 1e3 , 123456789012345678901234567890 , "x y\" \\" ] } }"#;
        let kept = read(text).compact("value").unwrap();
        assert_eq!(kept.expose(), r#"{"b":1.50,"a":[1e3,123456789012345678901234567890,"x y\" \\"]}"#);
    }

    #[test]
    fn scalars_may_stand_for_each_other() {
        let fields = read(r#"{"a":"true","b":true,"c":"7","d":7,"e":null,"f":7.5,"g":[]}"#);
        assert_eq!((fields.boolean("a").unwrap(), fields.boolean("b").unwrap()), (Some(true), Some(true)));
        assert_eq!((fields.integer("c").unwrap(), fields.integer("d").unwrap()), (Some(7), Some(7)));
        assert_eq!((fields.boolean("e").unwrap(), fields.integer("absent").unwrap()), (None, None));
        assert_eq!(fields.text("d").unwrap().as_deref(), Some("7"));
        assert!(fields.boolean("c").is_err() && fields.integer("f").is_err() && fields.text("g").is_err());
    }

    #[test]
    fn the_last_of_two_counts_and_the_unknown_is_named() {
        let fields = read(r#"{"a":1,"b":2,"a":3}"#);
        assert_eq!(fields.integer("a").unwrap(), Some(3));
        assert!(fields.only(&["a", "b"]).is_ok());
        let Failure::Told(status, words) = fields.only(&["a"]).unwrap_err() else { panic!("another failure") };
        assert_eq!((status.as_u16(), words.starts_with("b ")), (422, true));
    }

    #[test]
    fn half_letters_are_found() {
        for whole in [r#""a""#, r#""\\ud800""#, r#""\ud83d\ude00""#, r#""\uD83D\uDE00\\""#, r#""\u00e9\n\ud83d\ude00""#]
        {
            assert!(!has_half_letters(whole.as_bytes()), "{whole}");
        }
        for half in
            [r#""\ud83d""#, r#""\ude00\ud83d""#, r#""\ud83d \ude00""#, r#""\ud83d\ud83d\ude00""#, r#""\\\uDFFF""#]
        {
            assert!(has_half_letters(half.as_bytes()), "{half}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_without_repeating_it() {
        for text in ["", "hunter2", "[]", "\"hunter2\"", "{\"a\":hunter2}", "{} {}"] {
            let Err(Failure::Told(status, words)) = Fields::read(text.as_bytes(), StatusCode::BAD_REQUEST) else {
                panic!("{text}")
            };
            assert_eq!((status, words.contains("hunter2")), (StatusCode::BAD_REQUEST, false), "{text}: {words}");
        }
    }
}
