//! What can be generated, with CredHub's parameters (spec/credhub, section 2), and the generation of
//! what needs random characters only. Keys and certificates need cryptography and are an adapter's.

use serde::{Deserialize, Serialize};

use crate::domain::authority::CertificateRequest;
use crate::domain::credential::{Kind, Material};
use crate::domain::entropy::Entropy;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

pub const LENGTH_DEFAULT: u16 = 30;
pub const LENGTH_MIN: u16 = 4;
pub const LENGTH_MAX: u16 = 200;
pub const RSA_BITS: [u16; 3] = [2048, 3072, 4096];
const USERNAME_LENGTH: u16 = 20;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
/// CredHub's specials: no quotes and no plus sign.
const SPECIAL: &str = "!#$%&()*,-./:;<=>?@[\\]^_`{|}~";

/// Which characters a password is made of: at least one of every class that is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Characters {
    pub length: u16,
    pub lower: bool,
    pub upper: bool,
    pub digits: bool,
    pub special: bool,
}

impl Default for Characters {
    fn default() -> Self {
        Self { length: LENGTH_DEFAULT, lower: true, upper: true, digits: true, special: false }
    }
}

impl Characters {
    fn classes(&self) -> impl Iterator<Item = &'static str> {
        [(self.lower, LOWER), (self.upper, UPPER), (self.digits, DIGITS), (self.special, SPECIAL)]
            .into_iter()
            .filter_map(|(on, class)| on.then_some(class))
    }

    pub fn check(&self) -> Result<()> {
        if !(LENGTH_MIN..=LENGTH_MAX).contains(&self.length) {
            return Err(Error::invalid("length", format!("must be {LENGTH_MIN} to {LENGTH_MAX}")));
        }
        match self.classes().next() {
            Some(_) => Ok(()),
            None => {
                Err(Error::invalid("excludeLower, excludeUpper, excludeNumber", "leave no characters to choose from"))
            }
        }
    }

    /// Uniform over all texts of this length that have every class: drawn until one has.
    pub fn draw(&self, entropy: &dyn Entropy) -> Result<SecretText> {
        self.check()?;
        let alphabet: Vec<u8> = self.classes().flat_map(str::bytes).collect();
        loop {
            let text: String = (0..self.length).map(|_| char::from(alphabet[entropy.below(alphabet.len())])).collect();
            let text = SecretText::new(text);
            if self.classes().all(|class| text.expose().chars().any(|c| class.contains(c))) {
                return Ok(text);
            }
        }
    }
}

/// How a value is generated. Stored with the revision it made, so that a changed wish is noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Generate {
    Password(Characters),
    /// Without a name, 20 random letters.
    User {
        username: Option<String>,
        characters: Characters,
    },
    Rsa {
        bits: u16,
    },
    Ssh {
        bits: u16,
        comment: Option<String>,
    },
    Certificate(Box<CertificateRequest>),
}

impl Generate {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Password(_) => Kind::Password,
            Self::User { .. } => Kind::User,
            Self::Rsa { .. } => Kind::Rsa,
            Self::Ssh { .. } => Kind::Ssh,
            Self::Certificate(_) => Kind::Certificate,
        }
    }

    pub fn check(&self) -> Result<()> {
        match self {
            Self::Password(characters) | Self::User { characters, .. } => characters.check(),
            Self::Rsa { bits } | Self::Ssh { bits, .. } if !RSA_BITS.contains(bits) => {
                Err(Error::invalid("keyLength", "must be 2048, 3072 or 4096"))
            }
            Self::Rsa { .. } | Self::Ssh { .. } => Ok(()),
            Self::Certificate(request) => request.check(),
        }
    }
}

pub fn password(characters: &Characters, entropy: &dyn Entropy) -> Result<Material> {
    Ok(Material::texts([("password", characters.draw(entropy)?)]))
}

pub fn user(username: Option<&str>, characters: &Characters, entropy: &dyn Entropy) -> Result<Material> {
    let letters = Characters { length: USERNAME_LENGTH, digits: false, ..Characters::default() };
    let username = username.map_or_else(|| letters.draw(entropy), |name| Ok(SecretText::from(name)))?;
    Ok(Material::texts([("username", username), ("password", characters.draw(entropy)?)]))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Bytes of a small generator: the same each run, different each call.
    pub(crate) struct Counter(pub AtomicU64);

    impl Entropy for Counter {
        fn fill(&self, bytes: &mut [u8]) {
            for byte in bytes {
                let n = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                *byte = ((n ^ (n >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 56) as u8;
            }
        }
    }

    fn characters() -> impl Strategy<Value = Characters> {
        (LENGTH_MIN..=LENGTH_MAX, any::<[bool; 4]>()).prop_map(|(length, [lower, upper, digits, special])| Characters {
            length,
            lower,
            upper,
            digits,
            special,
        })
    }

    proptest! {
        #[test]
        fn a_password_has_its_length_and_every_class_and_nothing_else(wish in characters(), seed in any::<u64>()) {
            let entropy = Counter(AtomicU64::new(seed));
            match wish.draw(&entropy) {
                Err(_) => prop_assert!(wish.classes().next().is_none()),
                Ok(text) => {
                    let text = text.expose();
                    prop_assert_eq!(text.len(), usize::from(wish.length));
                    for class in wish.classes() {
                        prop_assert!(text.chars().any(|c| class.contains(c)));
                    }
                    prop_assert!(text.chars().all(|c| wish.classes().any(|class| class.contains(c))));
                }
            }
        }
    }

    #[test]
    fn lengths_out_of_range_are_refused_by_name() {
        for length in [0, 3, 201] {
            let error = Characters { length, ..Characters::default() }.check().unwrap_err();
            assert!(error.to_string().starts_with("length"), "{error}");
        }
    }

    #[test]
    fn a_user_without_a_name_gets_twenty_letters() {
        let entropy = Counter(AtomicU64::new(1));
        let material = user(None, &Characters::default(), &entropy).unwrap();
        let name = material.get("username").unwrap().expose().to_owned();
        assert_eq!(name.len(), 20);
        assert!(name.chars().all(|c| c.is_ascii_alphabetic()));
        let named = user(Some("app"), &Characters::default(), &entropy).unwrap();
        assert_eq!(named.get("username").unwrap().expose(), "app");
    }

    #[test]
    fn draws_are_uniform() {
        let entropy = Counter(AtomicU64::new(7));
        let mut seen = [0u32; 10];
        for _ in 0..20_000 {
            seen[(&entropy as &dyn Entropy).below(10)] += 1;
        }
        assert!(seen.iter().all(|n| (1_700..2_300).contains(n)), "{seen:?}");
    }
}
