//! Text and bytes that must not leak: no Display, no Serialize, Debug shows nothing, compared in
//! constant time, wiped when dropped. `expose` is the one way out and is called where a value is
//! sealed, shown to its reader or handed to a Kubernetes Secret, nowhere else.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct SecretText(String);

impl SecretText {
    pub const EMPTY: Self = Self(String::new());

    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretText {}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Text, if it is UTF-8; the bytes are wiped either way.
    pub fn into_text(self) -> Option<SecretText> {
        let bytes = Zeroizing::new(self.0.clone());
        std::str::from_utf8(&bytes).ok().map(SecretText::from)
    }
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretBytes {}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_nothing_of_the_value() {
        assert_eq!(format!("{:?}", SecretText::from("hunter2")), "<redacted>");
        assert_eq!(format!("{:?}", SecretBytes::new(b"hunter2".to_vec())), "<redacted>");
    }

    #[test]
    fn equality_is_by_content() {
        assert_eq!(SecretText::from("a"), SecretText::from("a"));
        assert_ne!(SecretText::from("a"), SecretText::from("ab"));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_no_text() {
        assert!(SecretBytes::new(vec![0xff]).into_text().is_none());
        assert_eq!(SecretBytes::new(b"x".to_vec()).into_text(), Some(SecretText::from("x")));
    }
}
