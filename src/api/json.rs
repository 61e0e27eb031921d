//! JSON that may hold secrets, read and written without leaving copies behind: every text is wiped when
//! dropped, and an answer is written into memory of its exact size.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

/// Of a member: nearly all are words of the program.
pub type Name = Cow<'static, str>;

pub enum Json {
    Null,
    Bool(bool),
    /// A number, or any value that is JSON text already.
    Literal(SecretText),
    Text(SecretText),
    /// A value that is JSON text already and others hold too.
    Shared(Arc<SecretText>),
    List(Vec<Json>),
    /// In the order of writing; of two members with one name the last counts.
    Object(Vec<(Name, Json)>),
}

const DEPTH_LIMIT: usize = 32;
/// Each value costs some 50 bytes however short it is written.
const VALUE_LIMIT: usize = 20_000;
/// From here on a double skips whole numbers (2^53).
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Json {
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().into())
    }

    pub fn number(number: u64) -> Self {
        Self::Literal(SecretText::new(number.to_string()))
    }

    pub fn texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    pub fn or_null<T>(value: Option<T>, json: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Null, json)
    }

    pub fn object<N: Into<Name>>(members: impl IntoIterator<Item = (N, Self)>) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// Reads a body. Depth and number of values are bounded before anything is built; what is wrong is
    /// told by line and column, never by content.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        check_structure(bytes)?;
        serde_json::from_slice(bytes).map_err(|error| {
            let what = if error.is_data() { "has a number that cannot be kept exactly" } else { "is not valid JSON" };
            Error::invalid("body", format!("{what} (line {}, column {})", error.line(), error.column()))
        })
    }

    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub fn as_text(&self) -> Option<&SecretText> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Compact JSON as text.
    pub fn to_text(&self) -> SecretText {
        // JSON is text.
        std::str::from_utf8(&self.bytes()).map(SecretText::from).unwrap_or_default()
    }

    /// Compact JSON, wiped when dropped.
    pub fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let size = self.size();
        let mut bytes = Zeroizing::new(Vec::with_capacity(size));
        self.write(&mut bytes);
        debug_assert_eq!(bytes.len(), size);
        bytes
    }

    /// Exactly, so that nothing is ever moved and left behind.
    fn size(&self) -> usize {
        let commas = |count: usize| count.saturating_sub(1);
        match self {
            Self::Null => NULL.len(),
            Self::Bool(value) => word(*value).len(),
            Self::Literal(text) => text.expose().len(),
            Self::Shared(text) => text.expose().len(),
            Self::Text(text) => quoted_size(text.expose()),
            Self::List(items) => 2 + commas(items.len()) + items.iter().map(Self::size).sum::<usize>(),
            Self::Object(members) => {
                let member = |(name, value): &(Name, Self)| quoted_size(name) + 1 + value.size();
                2 + commas(members.len()) + members.iter().map(member).sum::<usize>()
            }
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Null => bytes.extend_from_slice(NULL),
            Self::Bool(value) => bytes.extend_from_slice(word(*value)),
            Self::Literal(text) => bytes.extend_from_slice(text.expose().as_bytes()),
            Self::Shared(text) => bytes.extend_from_slice(text.expose().as_bytes()),
            Self::Text(text) => quote(text.expose(), bytes),
            Self::List(items) => enclosed(b'[', items, b']', bytes, Self::write),
            Self::Object(members) => enclosed(b'{', members, b'}', bytes, |(name, value), bytes| {
                quote(name, bytes);
                bytes.push(b':');
                value.write(bytes);
            }),
        }
    }
}

const NULL: &[u8] = b"null";

fn word(value: bool) -> &'static [u8] {
    if value { b"true" } else { b"false" }
}

/// Nearly every text is, and is then copied as a whole.
fn is_plain(text: &str) -> bool {
    // All of it, however early something is found: without a way out the loop runs over many bytes at once.
    text.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'))
}

fn quoted_size(text: &str) -> usize {
    if is_plain(text) {
        return text.len() + 2;
    }
    let mut size = Size(0);
    escape(text, &mut size);
    size.0
}

fn quote(text: &str, bytes: &mut Vec<u8>) {
    if !is_plain(text) {
        return escape(text, bytes);
    }
    bytes.push(b'"');
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(b'"');
}

fn escape(text: &str, sink: &mut impl Write) {
    // Neither sink can fail: a count, and memory that is there already.
    let written = serde_json::to_writer(sink, text);
    debug_assert!(written.is_ok());
}

fn enclosed<T>(open: u8, items: &[T], close: u8, bytes: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    bytes.push(open);
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            bytes.push(b',');
        }
        write(item, bytes);
    }
    bytes.push(close);
}

struct Size(usize);

impl Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts brackets and commas outside texts.
pub fn check_structure(bytes: &[u8]) -> Result<()> {
    let (mut depth, mut values) = (0usize, 1usize);
    let (mut quoted, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                depth += 1;
                values += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if depth > DEPTH_LIMIT {
            return Err(Error::invalid("body", format!("is nested deeper than {DEPTH_LIMIT} levels")));
        }
        if values > VALUE_LIMIT {
            return Err(Error::invalid("body", format!("has more than {VALUE_LIMIT} values")));
        }
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::number(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Literal(SecretText::new(value.to_string())))
    }

    /// Numbers beyond 64 bits arrive here as well, already rounded.
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json, E> {
        match serde_json::Number::from_f64(value).filter(|_| value.abs() < EXACT) {
            Some(number) => Ok(Json::Literal(SecretText::new(number.to_string()))),
            None => Err(E::custom("")),
        }
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn again(text: &str) -> Result<String> {
        Ok(String::from_utf8(Json::parse(text.as_bytes())?.bytes().to_vec()).unwrap())
    }

    #[test]
    fn values_come_back_as_they_were() {
        for text in [
            "null",
            "true",
            "0",
            "-5",
            "1.5",
            "18446744073709551615",
            r#""a\"\\\n\u0000ü""#,
            "[]",
            "{}",
            r#"{"a":[1,{"b":null}],"b":"x"}"#,
        ] {
            assert_eq!(again(text).unwrap(), text);
        }
    }

    #[test]
    fn the_last_of_two_members_with_one_name_counts() {
        let json = Json::parse(br#"{"a":true,"a":false}"#).unwrap();
        assert_eq!(json.get("a").and_then(Json::as_bool), Some(false));
    }

    #[test]
    fn what_is_no_json_is_refused_by_place_not_by_content() {
        for text in ["", "{", "hunter2", r#"{"a":hunter2}"#, "[1,]", "NaN", "1e400", "\"\\ud800\"", "{} {}", "{1:2}"] {
            let error = again(text).err().unwrap_or_else(|| panic!("{text}")).to_string();
            assert!(error.starts_with("body is not valid JSON"), "{text}: {error}");
            assert!(!error.contains("hunter2"));
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
        for big in ["18446744073709551616", "-9223372036854775809", "1e22"] {
            assert!(again(big).unwrap_err().to_string().contains("exactly"), "{big}");
        }
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(again(&nested(DEPTH_LIMIT)).is_ok());
        assert!(again(&nested(DEPTH_LIMIT + 1)).unwrap_err().to_string().contains("nested"));
        assert!(again(&"[".repeat(1 << 20)).unwrap_err().to_string().contains("nested"));
        assert!(again(&format!("[{}1]", "1,".repeat(VALUE_LIMIT))).unwrap_err().to_string().contains("values"));
        assert!(again(&format!("\"{}\\\"{}\"", "[".repeat(100), ",".repeat(VALUE_LIMIT + 1))).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Json::parse(&bytes);
        }

        #[test]
        fn any_text_is_quoted_as_serde_json_reads_it(text in ".{0,40}") {
            let bytes = Json::object([(text.clone(), Json::text(&text))]).bytes();
            let read: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(read[&text].as_str(), Some(text.as_str()));
            prop_assert_eq!(bytes.len(), bytes.capacity());
        }
    }
}
