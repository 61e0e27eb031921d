//! The hash of a client's password. Each password is drawn by Strongroom, of more than 230 random bits. A slow hash
//! protects what can be guessed; this cannot be, however fast (NIST SP 800-63B, 5.1.2.2), so a caller is recognised in a
//! microsecond from its first request on, and a flood of wrong passwords costs no more than one of right ones.
//!
//! Must not be used for passwords that people choose.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use hex::FromHex;

use crate::domain::entropy::Entropy;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

const SCHEME: &str = "$hmac-sha256$";
const SALT: usize = 16;
const TAG: usize = 32;

/// Verified against when nobody has the presented name, so that who is unknown takes as long as who is not. Who finds
/// a password that fits it has broken SHA-256.
pub const DECOY: &str =
    "$hmac-sha256$00000000000000000000000000000000$0000000000000000000000000000000000000000000000000000000000000000";

/// `$hmac-sha256$<salt>$<HMAC-SHA-256 of the password under the salt>`, both in hexadecimal digits.
pub fn hash(password: &SecretText, entropy: &dyn Entropy) -> SecretText {
    let salt = entropy.bytes::<SALT>();
    let tag = hmac::sign(&hmac::Key::new(HMAC_SHA256, &salt), password.expose().as_bytes());
    SecretText::new(format!("{SCHEME}{}${}", hex::encode(salt), hex::encode(tag)))
}

/// In constant time. `Error::Damaged` if it is no hash.
pub fn verify(password: &SecretText, hash: &SecretText) -> Result<bool> {
    let (salt, tag) = parse(hash.expose())
        .ok_or_else(|| Error::Damaged { what: "password hash".into(), detail: "it is not in a known form".into() })?;
    let key = hmac::Key::new(HMAC_SHA256, &salt);
    Ok(hmac::verify(&key, password.expose().as_bytes(), &tag).is_ok())
}

fn parse(hash: &str) -> Option<([u8; SALT], [u8; TAG])> {
    let (salt, tag) = hash.strip_prefix(SCHEME)?.split_once('$')?;
    Some((FromHex::from_hex(salt).ok()?, FromHex::from_hex(tag).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::credential::generate::tests::Counter;

    #[test]
    fn a_hash_accepts_its_password_and_no_other() {
        let hash = hash(&"correct horse".into(), &Counter(0.into()));
        assert!(verify(&"correct horse".into(), &hash).unwrap());
        for wrong in ["correct hors", "correct horse ", "Correct horse", ""] {
            assert!(!verify(&wrong.into(), &hash).unwrap(), "{wrong:?}");
            assert!(!verify(&wrong.into(), &DECOY.into()).unwrap(), "{wrong:?}");
        }
    }

    #[test]
    fn two_hashes_of_one_password_differ() {
        let entropy = Counter(0.into());
        assert_ne!(hash(&"x".into(), &entropy), hash(&"x".into(), &entropy));
    }

    /// What is stored is a promise to every later version: HMAC-SHA-256 of "password" under 00 … 0f, from another program.
    #[test]
    fn what_was_stored_stays_valid() {
        let stored = format!("$hmac-sha256$000102030405060708090a0b0c0d0e0f${EXPECTED}");
        assert!(verify(&"password".into(), &SecretText::new(stored)).unwrap());
    }

    const EXPECTED: &str = "e32af353fd89581b387ec6e30b6cfa7d87d82a1260e0ad620822887da5a3d12a";

    #[test]
    fn what_is_no_hash_is_damaged_and_not_a_wrong_password() {
        let short = &DECOY[..DECOY.len() - 1];
        let odd = DECOY.replace("$0000", "$00é");
        for text in
            ["", "x", "$hmac-sha256$", "$1$abc$def", short, &odd, &format!("{DECOY}0"), &DECOY.replace("00$", "0+$")]
        {
            let error = verify(&"x".into(), &text.into()).unwrap_err();
            assert!(matches!(&error, Error::Damaged { what, .. } if what == "password hash"), "{text}: {error:?}");
        }
    }
}
