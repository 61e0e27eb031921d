//! Names and identifiers as types of their own, valid once they exist.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::domain::{Error, Result};

macro_rules! uuid_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A version 4 UUID from 16 random bytes.
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self(Builder::from_random_bytes(bytes).into_uuid())
            }

            /// A version 7 UUID (RFC 9562, 5.7): ids of one time lie beside each other in an index, so that writes that
            /// come together touch the same pages of it.
            pub fn at(time: Timestamp, random: [u8; 10]) -> Self {
                let millis = u64::try_from(time.as_millisecond()).unwrap_or(0);
                Self(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }

            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            pub fn bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Reads the form with hyphens, in either case, as RFC 9562 says; no other.
            pub fn parse(text: &str) -> Option<Self> {
                (text.len() == 36).then(|| Uuid::try_parse(text).ok().map(Self)).flatten()
            }

            /// 32 lowercase hexadecimal digits.
            pub fn hex(&self) -> String {
                self.0.simple().to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

uuid_name!(
    /// Identity of a record for its whole life, across renames and revisions.
    RecordId
);
uuid_name!(
    /// Identity of one revision of a record.
    VersionId
);
uuid_name!(
    /// Identity of one store: sealed rows do not open in another.
    StoreId
);

impl RecordId {
    /// A version 8 UUID (RFC 9562, 5.8) from the start of a digest: stands for what was digested, and is no record's id.
    pub fn derived(digest: &[u8; 32]) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Reads exactly the form that [`RecordId::hex`] writes; any other spelling of a UUID is not an id.
    pub fn parse_hex(text: &str) -> Option<Self> {
        let plain = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        plain.then(|| Uuid::try_parse(text).ok().map(Self)).flatten()
    }
}

/// Revisions of one record: 1, 2, 3 … without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    pub const FIRST: Self = Self(1);

    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who shares nothing with whom: a Kubernetes namespace, or the ground outside all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tenant(String);

impl Tenant {
    /// Records made over REST outside `/kubernetes`, and Strongroom's own.
    pub fn outside() -> Self {
        Self(String::new())
    }

    pub fn namespace(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The namespace, or nothing for the ground outside.
    pub fn as_namespace(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(self.0.as_str())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a credential lives, such as `/kubernetes/shop/db-app`: one or more segments, each after a slash.
/// Unique ignoring ASCII case, with its case kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Path(String);

/// CredHub's limit on names, in bytes.
pub const PATH_LIMIT: usize = 1024;
const KUBERNETES: &str = "/kubernetes/";

impl Path {
    pub fn kubernetes(namespace: &str, name: &str) -> Self {
        Self(format!("{KUBERNETES}{namespace}/{name}"))
    }

    pub fn confidant(id: RecordId) -> Self {
        Self(format!("/confidant/{}", id.hex()))
    }

    /// Strongroom's own records, such as the authority of its webhook.
    pub fn own(name: &str) -> Self {
        Self(format!("/strongroom/{name}"))
    }

    /// Dot segments, empty segments and control characters are refused, so that a path has one spelling.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |why: &str| Err(Error::invalid("name", why));
        if text.len() > PATH_LIMIT {
            return refuse("is longer than 1024 bytes");
        }
        let Some(rest) = text.strip_prefix('/') else {
            return refuse("does not start with a slash");
        };
        if rest.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return refuse("has an empty segment or a dot segment");
        }
        if rest.chars().any(char::is_control) {
            return refuse("has a control character");
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Namespace and name of the custom resource that this path is reserved for.
    pub fn as_resource(&self) -> Option<(&str, &str)> {
        self.0.strip_prefix(KUBERNETES)?.split_once('/').filter(|(_, name)| !name.contains('/'))
    }

    /// A path under `/kubernetes` belongs to its namespace, every other to nobody's.
    pub fn tenant(&self) -> Tenant {
        self.as_resource().map_or_else(Tenant::outside, |(namespace, _)| Tenant::namespace(namespace))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// RFC 1123 label: what Kubernetes allows as the name of a namespace.
pub fn is_dns_label(text: &str) -> bool {
    is_dns_subdomain(text) && !text.contains('.') && text.len() <= 63
}

/// RFC 1123 subdomain: what Kubernetes allows as the name of an object.
pub fn is_dns_subdomain(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let label = |part: &str| {
        let bytes = part.as_bytes();
        !bytes.is_empty()
            && bytes.iter().all(|b| alphanumeric(*b) || *b == b'-')
            && alphanumeric(bytes[0])
            && alphanumeric(bytes[bytes.len() - 1])
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_lie_in_the_order_of_their_times_and_are_read_back() {
        let at = |milli, random| RecordId::at(Timestamp::from_millisecond(milli).unwrap(), [random; 10]);
        assert!(at(1_800_000_000_000, 255) < at(1_800_000_000_001, 0));
        assert!(at(-5, 1) < at(0, 2));
        let id = at(1_800_000_000_000, 7);
        assert_eq!(&id.hex()[12..13], "7");
        assert_eq!(RecordId::parse_hex(&id.hex()), Some(id));
    }

    #[test]
    fn an_id_is_read_with_hyphens_in_either_case_and_in_no_other_form() {
        let id = RecordId::from_random([0xab; 16]);
        for text in [id.to_string(), id.to_string().to_uppercase()] {
            assert_eq!(RecordId::parse(&text), Some(id));
        }
        for text in
            [id.hex(), format!("{{{id}}}"), format!("urn:uuid:{id}"), id.to_string().replace('a', "g"), "".into()]
        {
            assert_eq!(RecordId::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn a_derived_id_is_like_no_other() {
        let id = RecordId::derived(&[7; 32]);
        assert_eq!(&id.hex()[12..13], "8");
        assert_eq!(id, RecordId::derived(&[7; 32]));
        assert_ne!(id, RecordId::derived(&[8; 32]));
    }

    #[test]
    fn a_path_has_one_spelling() {
        for text in ["", "a", "/", "//a", "/a/", "/a//b", "/a/../b", "/./a", "/a\u{0}b", "/a\nb"] {
            assert!(Path::parse(text).is_err(), "{text:?}");
        }
        for text in ["/a", "/a/b", "/A b/ü", "/..a/b.."] {
            assert_eq!(Path::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_resource_path_names_its_namespace() {
        assert_eq!(Path::kubernetes("shop", "db").as_resource(), Some(("shop", "db")));
        assert_eq!(Path::parse("/kubernetes/shop/a/b").unwrap().as_resource(), None);
        assert_eq!(Path::parse("/confidant/x").unwrap().tenant(), Tenant::outside());
        assert_eq!(Path::kubernetes("shop", "db").tenant().as_namespace(), Some("shop"));
    }

    #[test]
    fn an_id_has_one_spelling() {
        let id = RecordId::from_random([0xab; 16]);
        assert_eq!(RecordId::parse_hex(&id.hex()), Some(id));
        assert_eq!(RecordId::parse_hex(&id.hex().to_uppercase()), None);
        assert_eq!(RecordId::parse_hex(&id.to_string()), None);
        assert_eq!(RecordId::parse_hex(&format!("{}-1", id.hex())), None);
    }

    #[test]
    fn kubernetes_names_are_recognised() {
        for good in ["a", "a-b", "a1"] {
            assert!(is_dns_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b"] {
            assert!(!is_dns_label(bad), "{bad}");
        }
        assert!(is_dns_subdomain("a.b-c.d"));
        assert!(!is_dns_subdomain("a..b"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_keeps_what_it_accepts(text in "\\PC{0,40}") {
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(path.as_str(), text.as_str());
                prop_assert!(Path::parse(path.as_str()).is_ok());
            }
        }
    }
}
