//! `crypt(3)` with SHA-512, for programs that put a user's password into `/etc/shadow`.

use sha_crypt::{PasswordHasher, ShaCrypt};

use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

/// libxcrypt, which most systems verify with, takes no longer ones. The work grows with the square of the length: a
/// password of 64 KiB would take a core for seconds.
const PASSWORD_LIMIT: usize = 511;
/// What everybody does who names no number; sha-crypt writes it out all the same.
const ROUNDS: &str = "rounds=5000$";

pub(super) fn is_acceptable(password: &SecretText) -> bool {
    password.expose().len() <= PASSWORD_LIMIT
}

/// Six bytes are the eight characters of salt that CredHub's hashes have.
pub(super) fn hash(password: &SecretText, salt: &[u8; 6]) -> Result<SecretText> {
    let hash = ShaCrypt::SHA512.hash_password_with_salt(password.expose().as_bytes(), salt);
    let hash = hash.map_err(Error::internal)?;
    Ok(SecretText::new(hash.as_str().replacen(ROUNDS, "", 1)))
}
