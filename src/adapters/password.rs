//! Password hashing with argon2id, OWASP's first choice of parameters (19 MiB, two passes).

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;

use super::pool::Pool;
use crate::app::ports::PasswordHash;
use crate::domain::entropy::Entropy;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Four at once hold 76 MiB: guessing passwords in parallel costs us no more memory than that.
const RUNNING: usize = 4;
const WAITING: usize = 64;

pub struct Argon2id {
    pool: Pool,
    entropy: Arc<dyn Entropy>,
}

impl Argon2id {
    pub fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { pool: Pool::new(RUNNING, WAITING), entropy }
    }
}

#[async_trait]
impl PasswordHash for Argon2id {
    async fn hash(&self, password: &SecretText) -> Result<SecretText> {
        let password = password.clone();
        let salt = self.entropy.bytes::<16>();
        self.pool
            .run(move || {
                let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(Error::internal)?;
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_with_salt(password.expose().as_bytes(), &salt)
                    .map(|hash| SecretText::new(hash.to_string()))
                    .map_err(Error::internal)
            })
            .await
    }

    /// With the parameters that the hash names, so that hashes made with older ones keep working.
    async fn verify(&self, password: &SecretText, hash: &SecretText) -> Result<bool> {
        let (password, hash) = (password.clone(), hash.clone());
        self.pool
            .run(move || {
                let hash = Phc::new(hash.expose()).map_err(damaged)?;
                match Argon2::default().verify_password(password.expose().as_bytes(), &hash) {
                    Ok(()) => Ok(true),
                    Err(password_hash::Error::PasswordInvalid) => Ok(false),
                    Err(error) => Err(damaged(error)),
                }
            })
            .await
    }
}

fn damaged(error: impl ToString) -> Error {
    Error::Damaged { what: "password hash".into(), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::adapters::system::SystemEntropy;

    fn argon2id() -> Argon2id {
        Argon2id::new(Arc::new(SystemEntropy::default()))
    }

    #[tokio::test]
    async fn a_hash_accepts_its_password_and_no_other() {
        let hasher = argon2id();
        let hash = hasher.hash(&"correct horse".into()).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.expose());
        assert!(hasher.verify(&"correct horse".into(), &hash).await.unwrap());
        for wrong in ["correct hors", "correct horse ", "Correct horse", ""] {
            assert!(!hasher.verify(&wrong.into(), &hash).await.unwrap(), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn two_hashes_of_one_password_differ() {
        let hasher = argon2id();
        let (first, second) = (hasher.hash(&"x".into()).await.unwrap(), hasher.hash(&"x".into()).await.unwrap());
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn hashes_from_elsewhere_and_with_other_parameters_are_understood() {
        // The reference implementation's test vector: m=65536, t=2, p=1, "password", "somesalt".
        let reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(argon2id().verify(&"password".into(), &reference.into()).await.unwrap());
        assert!(!argon2id().verify(&"passwore".into(), &reference.into()).await.unwrap());
    }

    #[tokio::test]
    async fn what_is_no_hash_is_damaged_and_not_a_wrong_password() {
        for text in
            ["", "x", "$argon2id$v=19$m=19456,t=2,p=1$", "$1$abc$def", "$argon2id$v=19$m=19456,t=2,p=1$YWJj$YWJj"]
        {
            let error = argon2id().verify(&"x".into(), &text.into()).await.unwrap_err();
            assert!(matches!(&error, Error::Damaged { what, .. } if what == "password hash"), "{text}: {error:?}");
        }
    }

    #[tokio::test]
    async fn a_flood_is_refused_beyond_the_queue() {
        let hasher = argon2id();
        let password = SecretText::from("x");
        let mut asked: Vec<_> = (0..3 * (RUNNING + WAITING)).map(|_| hasher.hash(&password)).collect();
        let refused = |one: &mut _| matches!(FutureExt::now_or_never(one), Some(Err(Error::Overloaded { .. })));
        let (admitted, rest) = asked.split_at_mut(RUNNING + WAITING);
        assert!(!admitted.iter_mut().any(refused));
        assert!(rest.iter_mut().any(refused));
    }
}
