//! Finds values in bytes, however they were encoded on the way.

use std::collections::HashMap;

use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine};

const START: usize = 8;

pub struct Searcher {
    /// Door and encoding, and the bytes to look for.
    needles: Vec<(String, Vec<u8>)>,
    by_start: HashMap<[u8; START], Vec<usize>>,
    /// Whether any needle starts with these two bytes: most places are passed over by this.
    maybe: Vec<bool>,
}

impl Searcher {
    pub fn new(values: &[(String, Vec<u8>)]) -> Self {
        let named = values.iter().flat_map(|(door, value)| {
            encodings(value).into_iter().map(move |(form, needle)| (format!("{door}, {form}"), needle))
        });
        let needles: Vec<_> = named.collect();
        let mut by_start: HashMap<[u8; START], Vec<usize>> = HashMap::new();
        let mut maybe = vec![false; 1 << 16];
        for (number, (name, needle)) in needles.iter().enumerate() {
            let start = needle.first_chunk().unwrap_or_else(|| panic!("{name} is too short"));
            by_start.entry(*start).or_default().push(number);
            maybe[usize::from(u16::from_be_bytes([start[0], start[1]]))] = true;
        }
        Self { needles, by_start, maybe }
    }

    /// What was found there, without saying what it is.
    pub fn hits(&self, place: &str, bytes: &[u8]) -> Vec<String> {
        let mut hits = Vec::new();
        for (at, start) in bytes.windows(START).enumerate() {
            if !self.maybe[usize::from(u16::from_be_bytes([start[0], start[1]]))] {
                continue;
            }
            let candidates = start.try_into().ok().and_then(|start: [u8; START]| self.by_start.get(&start));
            for number in candidates.into_iter().flatten() {
                let (name, needle) = &self.needles[*number];
                if bytes[at..].starts_with(needle) {
                    let before = String::from_utf8_lossy(&bytes[at.saturating_sub(120)..at]).into_owned();
                    hits.push(format!("{place} at {at}: {name}, behind {before:?}"));
                }
            }
        }
        hits
    }
}

fn encodings(value: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let url = |keep: fn(u8) -> bool, upper: bool| -> Vec<u8> {
        let one = |byte: &u8| match keep(*byte) {
            true => char::from(*byte).to_string(),
            false if upper => format!("%{byte:02X}"),
            false => format!("%{byte:02x}"),
        };
        value.iter().map(one).collect::<String>().into_bytes()
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut all = vec![
        ("raw", value.to_vec()),
        ("hex", hex::encode(value).into_bytes()),
        ("HEX", hex::encode_upper(value).into_bytes()),
        ("URL", url(plain, true)),
        ("url", url(plain, false)),
        ("url with slashes", url(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte), true)),
        ("every byte as URL", url(|_| false, true)),
        ("as a list of numbers", value.iter().map(u8::to_string).collect::<Vec<_>>().join(", ").into_bytes()),
    ];
    for (form, engine) in [("base64", &BASE64_STANDARD_NO_PAD), ("base64url", &BASE64_URL_SAFE_NO_PAD)] {
        all.extend((0..3).map(|before| (form, aligned(value, before, |bytes| engine.encode(bytes)))));
    }
    all.sort_by(|left, right| left.1.cmp(&right.1));
    all.dedup_by(|left, right| left.1 == right.1); // text without signs is the same in several
    all
}

/// As it looks in base64 behind so many bytes: without the digits at its ends that others have a part in.
fn aligned(value: &[u8], before: usize, encode: impl Fn(&[u8]) -> String) -> Vec<u8> {
    let encoded = encode(&[&vec![0; before], value].concat());
    let first = (before * 8).div_ceil(6);
    let last = (before + value.len()) * 8 / 6;
    encoded.as_bytes()[first..last].to_vec()
}

#[test]
fn a_planted_value_is_found_in_every_encoding_and_nothing_else_is() {
    use base64::prelude::BASE64_STANDARD;
    let value = "K7+x/Qw9ZtB2/hLm+4VdRsJpYc8TgNfA";
    let searcher = Searcher::new(&[("door".to_owned(), value.as_bytes().to_vec())]);
    let noise = "2026-11-22T08:00:00Z TRACE something: K7+x/Qw9 and more, aGVsbG8gd29ybGQ= ".repeat(50);
    assert!(searcher.hits("noise", noise.as_bytes()).is_empty());
    let hex = hex::encode(value);
    let in_base64 = |before: &str| BASE64_STANDARD.encode(format!("{before}{value}, and what follows"));
    let url: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let forms = [
        value.to_owned(),
        hex.clone(),
        hex.to_uppercase(),
        url.clone(),
        url.replace("%2B", "%2b").replace("%2F", "%2f"),
        url.replace("%2F", "/"),
        value.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        format!("{:?}", value.as_bytes()),
        in_base64(""),
        in_base64("a"),
        in_base64("ab"),
        in_base64("abc"),
        in_base64("user:").replace('+', "-").replace('/', "_"),
    ];
    for form in forms {
        assert_eq!(searcher.hits("planted", format!("{noise}{form}{noise}").as_bytes()).len(), 1, "{form}");
    }
}
