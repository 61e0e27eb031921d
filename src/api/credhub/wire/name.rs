//! Names as CredHub's callers write them: paths, whose first slash may be left out.

use crate::api::credhub::error::Failure;
use crate::domain::name::{PATH_LIMIT, Path};

/// With the slash that may be missing in front, and otherwise as it came.
pub fn slashed(text: &str) -> String {
    if text.starts_with('/') { text.to_owned() } else { format!("/{text}") }
}

/// The name of something that is to be written or to sign.
pub fn path(text: &str) -> Result<Path, Failure> {
    if matches!(text, "" | "/") {
        return Err(Failure::bad("name must be given"));
    }
    let text = slashed(text);
    if text.contains("//") || text.ends_with('/') {
        return Err(Failure::bad("name must not end with a slash or have two in a row: /folder/name"));
    }
    if let Some(other) = text.chars().find(|c| !is_allowed(*c)) {
        let why = format!("name must not have {other:?}: letters, digits and - _ / . : , ( ) [ ] + are allowed");
        return Err(Failure::bad(why));
    }
    if text.chars().count() > PATH_LIMIT {
        return Err(Failure::bad(format!("name must not be longer than {PATH_LIMIT} characters")));
    }
    Ok(Path::parse(&text)?)
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_/.:,()[]+".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_in_front_may_be_missing_and_others_may_not_be_doubled() {
        for (given, path) in [("a", "/a"), ("/a", "/a"), ("team/A.b:c", "/team/A.b:c"), ("/(x),[y]+z", "/(x),[y]+z")] {
            assert_eq!(super::path(given).unwrap().as_str(), path);
        }
        for bad in ["", "/", "//a", "a//b", "/a/", "a b", "/a*", "/é", "/a\n", "/a/../b", "/a/."] {
            assert!(super::path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_slash_counts_as_a_character() {
        assert!(path(&"x".repeat(PATH_LIMIT - 1)).is_ok());
        assert!(path(&"x".repeat(PATH_LIMIT)).is_err());
    }
}
