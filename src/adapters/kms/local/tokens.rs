//! Callers' tokens under a key file, in place of a key service: kmsauth without AWS. The file stands for any number of keys
//! with names, each derived from it, so that settings name keys for services, users and accounts as they do with AWS.
//! Whoever can read the file can make tokens for everybody.
//!
//! A token is: version (1 byte, 1) | length of the key's name (1) | name | nonce (12) | AES-256-GCM ciphertext | tag (16).
//! Everything before the nonce and the context are the associated data.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use super::{KEY_LENGTH, create, read, refuse};
use crate::app::ports::{OpenedToken, TokenContext, TokenService};
use crate::domain::entropy::Entropy;
use crate::domain::secret::SecretBytes;
use crate::domain::{Error, Result};

const VERSION: u8 = 1;

pub struct KeyFileTokens {
    keys: BTreeMap<String, LessSafeKey>,
    entropy: Arc<dyn Entropy>,
}

impl KeyFileTokens {
    /// With the keys of these names and no others.
    pub fn open(path: &Path, names: &[String], entropy: Arc<dyn Entropy>) -> Result<Self> {
        let root = read(path)?;
        let keys = names.iter().map(|name| Ok((name.clone(), derive(&root, name)?))).collect::<Result<_>>()?;
        Ok(Self { keys, entropy })
    }

    /// Makes the file when there is none.
    pub fn open_or_create(path: &Path, names: &[String], entropy: Arc<dyn Entropy>) -> Result<Self> {
        match Self::open(path, names, entropy.clone()) {
            Err(Error::NotFound { .. }) => {
                create(path, &*entropy).map_err(|error| refuse(path, format!("cannot be made: {error}")))?;
                Self::open(path, names, entropy)
            }
            opened => opened,
        }
    }
}

fn derive(root: &[u8; KEY_LENGTH], name: &str) -> Result<LessSafeKey> {
    let pseudorandom = hkdf::Salt::new(hkdf::HKDF_SHA256, b"strongroom kmsauth").extract(root);
    let info = [name.as_bytes()];
    let key = pseudorandom.expand(&info, &AES_256_GCM).map_err(Error::internal)?;
    Ok(LessSafeKey::new(UnboundKey::from(key)))
}

/// What names the key, in clear.
fn header(name: &str) -> Result<Vec<u8>> {
    let length = u8::try_from(name.len()).map_err(|_| Error::invalid("key", "has a name of more than 255 bytes"))?;
    Ok([&[VERSION, length], name.as_bytes()].concat())
}

/// Each part after its length, in the order of the names, so that two contexts are never the same bytes.
fn associated(header: &[u8], context: &TokenContext<'_>) -> Aad<Vec<u8>> {
    let mut pairs = context.to_vec();
    pairs.sort_unstable();
    let mut bytes = header.to_vec();
    for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    Aad::from(bytes)
}

#[async_trait]
impl TokenService for KeyFileTokens {
    async fn open(&self, token: &[u8], context: &TokenContext<'_>) -> Result<Option<OpenedToken>> {
        let Some((name, header, nonce, sealed)) = parts(token) else { return Ok(None) };
        let Some(key) = self.keys.get(name) else { return Ok(None) };
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let Ok(plain) = key.open_in_place(nonce, associated(header, context), &mut sealed) else { return Ok(None) };
        Ok(Some(OpenedToken { plain: SecretBytes::new(plain.to_vec()), keys: vec![name.to_owned()] }))
    }

    async fn make(&self, key: &str, plain: &SecretBytes, context: &TokenContext<'_>) -> Result<Vec<u8>> {
        let known = self.keys.get(key).ok_or_else(|| Error::not_found(format!("key {key}")))?;
        let header = header(key)?;
        let nonce = self.entropy.bytes::<NONCE_LEN>();
        let mut sealed = plain.expose().to_vec();
        let bound = associated(&header, context);
        known
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut sealed)
            .map_err(Error::internal)?;
        Ok([header.as_slice(), &nonce, &sealed].concat())
    }
}

/// Name of the key, everything before the nonce, nonce, ciphertext.
type Parts<'a> = (&'a str, &'a [u8], [u8; NONCE_LEN], &'a [u8]);

fn parts(token: &[u8]) -> Option<Parts<'_>> {
    let (&[VERSION, length], rest) = token.split_first_chunk::<2>()? else { return None };
    let (name, rest) = rest.split_at_checked(length.into())?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
    Some((std::str::from_utf8(name).ok()?, &token[..2 + name.len()], *nonce, sealed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::system::SystemEntropy;

    const CONTEXT: [(&str, &str); 2] = [("from", "till"), ("to", "vault")];

    fn tokens(path: &Path, names: &[&str]) -> KeyFileTokens {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        KeyFileTokens::open_or_create(path, &names, Arc::new(SystemEntropy::default())).unwrap()
    }

    async fn opened(tokens: &KeyFileTokens, token: &[u8], context: &TokenContext<'_>) -> Option<Vec<String>> {
        let opened = tokens.open(token, context).await.unwrap()?;
        assert_eq!(opened.plain.expose(), b"plain");
        Some(opened.keys)
    }

    #[tokio::test]
    async fn a_token_opens_under_its_key_in_its_context_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        let here = tokens(&one, &["service", "user"]);
        let plain = SecretBytes::new(b"plain".to_vec());
        let token = here.make("service", &plain, &CONTEXT).await.unwrap();
        let expected = Some(vec!["service".to_owned()]);
        assert_eq!(opened(&here, &token, &CONTEXT).await, expected);
        assert_eq!(opened(&here, &token, &[CONTEXT[1], CONTEXT[0]]).await, expected, "names have no order");
        assert_eq!(opened(&tokens(&one, &["service"]), &token, &CONTEXT).await, expected, "another process");
        for context in [
            &[("from", "till"), ("to", "other")][..],
            &[("from", "vault"), ("to", "till")],
            &[("from", "till")],
            &[("from", "till"), ("to", "vault"), ("user_type", "service")],
            &[("from", "tillt"), ("o", "vault")],
        ] {
            assert_eq!(opened(&here, &token, context).await, None, "{context:?}");
        }
        assert_eq!(opened(&tokens(&other, &["service"]), &token, &CONTEXT).await, None, "another file");
        assert_eq!(opened(&tokens(&one, &["user"]), &token, &CONTEXT).await, None, "a key without a name here");
        for at in 0..token.len() {
            let mut changed = token.clone();
            changed[at] ^= 1;
            assert_eq!(opened(&here, &changed, &CONTEXT).await, None, "byte {at}");
            assert_eq!(opened(&here, &token[..at], &CONTEXT).await, None, "cut at {at}");
        }
        // A key is derived from its name too: to write another name into a token makes it none.
        let renamed = [&token[..2], b"usersrv", &token[9..]].concat();
        assert_eq!(opened(&tokens(&one, &["service", "usersrv"]), &renamed, &CONTEXT).await, None);
    }

    #[tokio::test]
    async fn there_is_no_token_under_a_key_that_the_settings_do_not_name() {
        let dir = tempfile::tempdir().unwrap();
        let here = tokens(&dir.path().join("key"), &["service"]);
        assert!(here.make("user", &SecretBytes::default(), &CONTEXT).await.is_err());
    }
}
