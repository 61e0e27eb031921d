//! How long the data keys may be used without word from the key service that wraps them.

/// How errors name it.
pub const KEY_SERVICE: &str = "the key service";
