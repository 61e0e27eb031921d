//! One line of a journal file: `{"n":12,"hash":"<64 hex digits>","note":<the note as it was hashed>}`.
//!
//! There is one spelling for each number, hash and note, and reading takes no other: whoever changes a
//! byte changes one of the three. Must not know what notes say.

use std::io::Write;

use crate::app::audit::Position;

const NUMBER: &str = "{\"n\":";
const HASH: &str = ",\"hash\":\"";
const NOTE: &str = "\",\"note\":";
const END: &str = "}";
const HASH_DIGITS: usize = 64;

/// A line that was read. What it claims is not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub claimed: Position,
    pub note: String,
}

/// Appends the line and its end to the buffer; no other memory is taken.
pub(super) fn render(buffer: &mut Vec<u8>, position: &Position, note: &str) {
    buffer.extend_from_slice(NUMBER.as_bytes());
    let _ = write!(buffer, "{}", position.number); // memory takes all of it
    buffer.extend_from_slice(HASH.as_bytes());
    let start = buffer.len();
    buffer.resize(start + HASH_DIGITS, 0);
    // Room for exactly this many digits was made.
    let _ = hex::encode_to_slice(position.hash, &mut buffer[start..]);
    for part in [NOTE, note, END, "\n"] {
        buffer.extend_from_slice(part.as_bytes());
    }
}

/// Reads a line without its end; `None` for everything that [`render`] does not write.
pub fn parse(line: &[u8]) -> Option<Line> {
    let line = std::str::from_utf8(line).ok()?;
    let (number, rest) = line.strip_prefix(NUMBER)?.split_once(HASH)?;
    let (hash, rest) = rest.split_at_checked(HASH_DIGITS)?;
    let note = rest.strip_prefix(NOTE)?.strip_suffix(END)?;
    let claimed = Position { number: parse_number(number)?, hash: parse_hex(hash)? };
    (!note.is_empty()).then(|| Line { claimed, note: note.to_owned() })
}

fn parse_number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    plain.then(|| text.parse().ok()).flatten()
}

/// Lowercase hexadecimal digits, exactly as many as the bytes need.
pub fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    (!text.bytes().any(|digit| digit.is_ascii_uppercase())).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rendered(position: &Position, note: &str) -> Vec<u8> {
        let mut buffer = Vec::new();
        render(&mut buffer, position, note);
        buffer
    }

    #[test]
    fn a_line_is_json_that_people_can_read() {
        let line = rendered(&Position { number: 12, hash: [0xab; 32] }, r#"{"who":"a}b"}"#);
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((value["n"].as_u64(), value["note"]["who"].as_str()), (Some(12), Some("a}b")));
        assert_eq!(value["hash"].as_str().unwrap(), "ab".repeat(32));
        assert_eq!(line.last(), Some(&b'\n'));
    }

    #[test]
    fn other_spellings_are_not_lines() {
        let hash = "0f".repeat(32);
        assert!(parse(format!(r#"{{"n":1,"hash":"{hash}","note":{{}}}}"#).as_bytes()).is_some());
        for line in [
            format!(r#"{{"n":01,"hash":"{hash}","note":{{}}}}"#),
            format!(r#"{{"n":0,"hash":"{hash}","note":{{}}}}"#),
            format!(r#"{{"n":+1,"hash":"{hash}","note":{{}}}}"#),
            format!(r#"{{"n":,"hash":"{hash}","note":{{}}}}"#),
            format!(r#"{{"n":18446744073709551616,"hash":"{hash}","note":{{}}}}"#),
            format!(r#"{{"n": 1,"hash":"{hash}","note":{{}}}}"#),
            format!(r#"{{"n":1,"hash":"{}","note":{{}}}}"#, hash.to_uppercase()),
            format!(r#"{{"n":1,"hash":"{}","note":{{}}}}"#, &hash[1..]),
            format!(r#"{{"n":1,"hash":"{hash}","note":}}"#),
            format!(r#"{{"n":1,"hash":"{hash}","note":{{}}}} "#),
            format!(r#"{{"hash":"{hash}","n":1,"note":{{}}}}"#),
            String::new(),
        ] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
        assert_eq!(parse(&[b'{', 0xff]), None);
    }

    proptest! {
        #[test]
        fn a_line_is_read_as_it_was_written(number in 1u64.., hash: [u8; 32], note in "\\PC{1,80}") {
            let claimed = Position { number, hash };
            let line = rendered(&claimed, &note);
            prop_assert_eq!(parse(&line[..line.len() - 1]), Some(Line { claimed, note }));
        }

        #[test]
        fn whatever_is_read_has_one_spelling(hash: [u8; 32], at in any::<prop::sample::Index>(), byte: u8) {
            let mut line = rendered(&Position { number: 190, hash }, r#"{"a":"b"}"#);
            line.pop();
            let at = at.index(line.len());
            line[at] = byte;
            if let Some(read) = parse(&line) {
                let again = rendered(&read.claimed, &read.note);
                prop_assert_eq!(&again[..again.len() - 1], &line[..]);
            }
        }

        #[test]
        fn hexadecimal_digits_go_both_ways(bytes: [u8; 16]) {
            let digits = hex::encode(bytes);
            prop_assert_eq!(parse_hex::<16>(&digits), Some(bytes));
            let upper = digits.to_uppercase();
            prop_assert_eq!(parse_hex::<16>(&upper), Some(bytes).filter(|_| upper == digits));
            prop_assert_eq!(parse_hex::<15>(&digits), None);
        }
    }
}
