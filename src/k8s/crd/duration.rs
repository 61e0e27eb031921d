//! Durations as Kubernetes writes them (`2160h`, `1h30m`): Go's format without a sign.
//! The text is kept as it was written, so that writing a resource back changes nothing in it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A duration in Go's format.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GoDuration {
    text: String,
    length: SignedDuration,
}

/// The text is not a duration such as `90s`, `1h30m` or `2160h`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: write a number and a unit (ms, s, m, h), as in 90s, 1h30m or 2160h")]
pub struct MalformedDuration(String);

impl GoDuration {
    #[must_use]
    pub fn length(&self) -> SignedDuration {
        self.length
    }
}

/// `60m` and `1h` are the same duration: an edit from one to the other changes nothing.
impl PartialEq for GoDuration {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length
    }
}

impl Eq for GoDuration {}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for GoDuration {
    type Err = MalformedDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let nanoseconds = nanoseconds(text).ok_or_else(|| MalformedDuration(text.to_owned()))?;
        Ok(Self { text: text.to_owned(), length: SignedDuration::from_nanos(nanoseconds) })
    }
}

impl TryFrom<String> for GoDuration {
    type Error = MalformedDuration;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<GoDuration> for String {
    fn from(duration: GoDuration) -> Self {
        duration.text
    }
}

/// Saturates at Go's longest duration (292 years). One object that fails to parse would fail the whole list
/// that it is in, so whatever passes the schema's pattern parses here.
fn nanoseconds(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (number, after) = split_at_first(rest, |c| !c.is_ascii_digit() && c != '.')?;
        let (unit, after) = split_at_first(after, |c| c.is_ascii_digit() || c == '.')?;
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.saturating_add(scaled(number, *size)?);
        rest = after;
    }
    (!text.is_empty()).then(|| i64::try_from(total).unwrap_or(i64::MAX))
}

/// The non-empty start of the text before the first character that ends it.
fn split_at_first(text: &str, ends: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    let at = text.find(ends).unwrap_or(text.len());
    (at > 0).then(|| text.split_at(at))
}

fn scaled(number: &str, size: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || (number.contains('.') && !digits(fraction)) {
        return None;
    }
    let mut total = whole.parse::<i128>().unwrap_or(i128::MAX).saturating_mul(size);
    let mut place = size;
    for digit in fraction.bytes() {
        place /= 10;
        total = total.saturating_add(place * i128::from(digit - b'0'));
    }
    Some(total)
}

impl JsonSchema for GoDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "pattern": r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn length(text: &str) -> Option<SignedDuration> {
        text.parse::<GoDuration>().ok().map(|duration| duration.length())
    }

    #[test]
    fn every_unit_is_read_as_go_reads_it() {
        for (text, expected) in [
            ("0s", SignedDuration::ZERO),
            ("300ns", SignedDuration::from_nanos(300)),
            ("5us", SignedDuration::from_micros(5)),
            ("5µs", SignedDuration::from_micros(5)),
            ("5μs", SignedDuration::from_micros(5)),
            ("250ms", SignedDuration::from_millis(250)),
            ("90s", SignedDuration::from_secs(90)),
            ("2160h", SignedDuration::from_hours(2160)),
            ("1h30m", SignedDuration::from_mins(90)),
            ("1.5h", SignedDuration::from_mins(90)),
            ("0.25s1ms", SignedDuration::from_millis(251)),
        ] {
            assert_eq!(length(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "h", "10", "1d", "-1h", "1 h", "1h ", ".5h", "5.h", "1.2.3s", "1e3s", "1hour"] {
            assert_eq!(length(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_duration_beyond_the_longest_saturates() {
        let longest = Some(SignedDuration::from_nanos(i64::MAX));
        assert_eq!(length("9999999999999h"), longest);
        assert_eq!(length(&format!("{}h", "9".repeat(60))), longest);
    }

    #[test]
    fn the_text_is_written_back_as_it_was_read() {
        let duration: GoDuration = serde_json::from_str("\"90m\"").expect("a duration");
        assert_eq!(serde_json::to_string(&duration).expect("a string"), "\"90m\"");
        assert_eq!(duration, "1h30m".parse().expect("a duration"));
    }

    proptest! {
        #[test]
        fn hours_minutes_and_seconds_add_up(h in 0_i64..100_000, m in 0_i64..1_000, s in 0_i64..1_000) {
            prop_assert_eq!(length(&format!("{h}h{m}m{s}s")), Some(SignedDuration::from_secs(h * 3600 + m * 60 + s)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9.nuµmsh]{0,40}") {
            let _ = length(&text);
        }
    }
}
