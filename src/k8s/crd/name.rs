//! Names in specs, as types that carry their pattern into the schema.
//! The API server has checked them before Strongroom reads them; nothing here checks again.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A string in a spec whose schema says what it may hold.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $($schema:tt)+) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($($schema)+)
            }
        }
    };
}
pub(super) use text;

text!(
    /// The name of an object in the resource's own namespace: a DNS-1123 subdomain, as Kubernetes wants it.
    ObjectName,
    {
        "type": "string",
        "minLength": 1,
        "maxLength": 253,
        "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    }
);

text!(
    /// A key of a Secret's `data`.
    SecretKey,
    {
        "type": "string",
        "minLength": 1,
        "maxLength": 253,
        "pattern": r"^[-._a-zA-Z0-9]+$",
    }
);

/// Another resource by its name alone: there is no namespace to write, so a reference cannot leave its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LocalReference {
    /// Name of the resource, in the same namespace.
    pub name: ObjectName,
}

impl From<&str> for LocalReference {
    fn from(name: &str) -> Self {
        Self { name: name.into() }
    }
}
