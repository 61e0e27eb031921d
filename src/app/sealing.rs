//! Envelope encryption of record bodies.
//!
//! A key service wraps one data key per epoch. Every revision gets a key of its own:
//! `key ‖ commitment = HKDF-SHA256(data key, salt, binding)`, so that one AES-256-GCM key seals exactly
//! one message and random nonces never run out. The binding names the store, the record and the
//! revision: a row that is moved, renamed or copied does not open. The commitment is stored and
//! compared, because GCM alone lets one ciphertext open under two keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::app::custody;
use crate::app::ports::{KeyService, KeyTable, Row, WrappedKey};
use crate::domain::entropy::Entropy;
use crate::domain::name::StoreId;
use crate::domain::record::{Head, Stamp};
use crate::domain::secret::SecretBytes;
use crate::domain::{Conflict, Error, Result};

const FORMAT: u8 = 1;
const SALT: usize = 32;
const KEY: usize = 32;
const COMMITMENT: usize = 32;
const HEADER: usize = 1 + 4 + SALT + COMMITMENT + NONCE_LEN;

/// Data keys in memory. Reads and writes need no key service once this exists.
pub struct Sealer {
    store: StoreId,
    keys: BTreeMap<u32, SecretBytes>,
    locked: Arc<AtomicBool>,
}

impl Sealer {
    /// Unwraps the store's data keys; makes the first one in an empty store.
    pub async fn open(table: &dyn KeyTable, service: &dyn KeyService, entropy: &dyn Entropy) -> Result<Self> {
        let store = table.store_id().await?;
        let mut wrapped = table.data_keys().await?;
        if wrapped.is_empty() {
            let plain = SecretBytes::new(entropy.bytes::<KEY>().to_vec());
            let first = WrappedKey { epoch: 1, wrapped: service.wrap(&plain, &context(store, 1)).await? };
            match table.add_data_key(first).await {
                // Another first start was faster: its key is the store's.
                Ok(()) | Err(Error::Conflict(Conflict::Exists { .. })) => {}
                Err(error) => return Err(error),
            }
            wrapped = table.data_keys().await?;
        }
        let mut keys = BTreeMap::new();
        for key in wrapped {
            keys.insert(key.epoch, service.unwrap(&key.wrapped, &context(store, key.epoch)).await?);
        }
        Ok(Self { store, keys, locked: Arc::default() })
    }

    /// Asks the key service for one key that is known already: whether it would still give it.
    pub async fn check_in(table: &dyn KeyTable, service: &dyn KeyService) -> Result<()> {
        let store = table.store_id().await?;
        let newest = table.data_keys().await?.pop().ok_or_else(|| Error::internal("there is no data key"))?;
        service.unwrap(&newest.wrapped, &context(store, newest.epoch)).await.map(drop)
    }

    /// While this is true nothing is sealed or opened.
    pub fn lock(&self) -> Arc<AtomicBool> {
        self.locked.clone()
    }

    fn admit(&self) -> Result<()> {
        if self.locked.load(Ordering::Acquire) { Err(custody::locked()) } else { Ok(()) }
    }

    pub fn seal(&self, head: &Head, stamp: &Stamp, plain: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>> {
        self.admit()?;
        let (&epoch, data_key) = self.keys.last_key_value().ok_or_else(|| Error::internal("there is no data key"))?;
        let salt = entropy.bytes::<SALT>();
        let nonce = entropy.bytes::<NONCE_LEN>();
        let (key, commitment) = derive(data_key, &salt, &self.binding(head, stamp, epoch))?;
        let mut sealed = Vec::with_capacity(HEADER + plain.len() + AES_256_GCM.tag_len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&epoch.to_be_bytes());
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(&commitment);
        sealed.extend_from_slice(&nonce);
        let mut body = plain.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut body)
            .map_err(|_| Error::internal("sealing failed"))?;
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Opens what [`Sealer::seal`] made for this very row, or says that the row is damaged.
    pub fn open_row(&self, row: &Row) -> Result<Zeroizing<Vec<u8>>> {
        self.admit()?;
        let damaged = |detail: &str| Error::Damaged {
            what: format!("{} {}", row.head.class.singular(), row.head.name),
            detail: format!("revision {}: {detail}", row.stamp.number),
        };
        let sealed = row.sealed.as_slice();
        if sealed.len() < HEADER || sealed[0] != FORMAT {
            return Err(damaged("not in a known format"));
        }
        let (epoch, rest) = sealed[1..].split_at(4);
        let (salt, rest) = rest.split_at(SALT);
        let (commitment, rest) = rest.split_at(COMMITMENT);
        let (nonce, body) = rest.split_at(NONCE_LEN);
        let epoch = u32::from_be_bytes(epoch.try_into().map_err(Error::internal)?);
        let data_key = self.keys.get(&epoch).ok_or_else(|| damaged("its data key is unknown"))?;
        let (key, expected) = derive(data_key, salt, &self.binding(&row.head, &row.stamp, epoch))?;
        if !bool::from(expected.ct_eq(commitment)) {
            return Err(damaged("it is not what was written here"));
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged("bad nonce"))?;
        let mut body = Zeroizing::new(body.to_vec());
        let length =
            key.open_in_place(nonce, Aad::empty(), &mut body).map_err(|_| damaged("its content was changed"))?.len();
        body.truncate(length);
        Ok(body)
    }

    /// What a sealed body is bound to: everything of its row but the release, each part after its length.
    fn binding(&self, head: &Head, stamp: &Stamp, epoch: u32) -> Vec<u8> {
        let origin = head.origin.to_string();
        let parts: [&[u8]; 11] = [
            b"strongroom record",
            self.store.bytes(),
            &epoch.to_be_bytes(),
            head.class.singular().as_bytes(),
            head.id.bytes(),
            head.tenant.as_str().as_bytes(),
            head.name.as_bytes(),
            origin.as_bytes(),
            &stamp.number.0.to_be_bytes(),
            stamp.version_id.bytes(),
            &stamp.at.as_microsecond().to_be_bytes(),
        ];
        let mut binding = Vec::with_capacity(256);
        for part in parts.into_iter().chain([stamp.by.as_bytes()]) {
            binding.extend_from_slice(&(part.len() as u32).to_be_bytes());
            binding.extend_from_slice(part);
        }
        binding
    }
}

fn context(store: StoreId, epoch: u32) -> Vec<u8> {
    format!("strongroom data key {epoch} of store {store}").into_bytes()
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive(data_key: &SecretBytes, salt: &[u8], binding: &[u8]) -> Result<(LessSafeKey, [u8; COMMITMENT])> {
    let failed = |_| Error::internal("key derivation failed");
    let info = [binding];
    let pseudorandom = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(data_key.expose());
    let output = pseudorandom.expand(&info, Length(KEY + COMMITMENT)).map_err(failed)?;
    let mut bytes = Zeroizing::new([0; KEY + COMMITMENT]);
    output.fill(bytes.as_mut_slice()).map_err(failed)?;
    let key = UnboundKey::new(&AES_256_GCM, &bytes[..KEY]).map_err(failed)?;
    let mut commitment = [0; COMMITMENT];
    commitment.copy_from_slice(&bytes[KEY..]);
    Ok((LessSafeKey::new(key), commitment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::credential::generate::tests::Counter;
    use crate::domain::name::{RecordId, Revision, Tenant, VersionId};
    use crate::domain::record::{Class, Origin};
    use jiff::{SignedDuration, Timestamp};
    use proptest::prelude::*;
    use std::sync::atomic::AtomicU64;

    fn sealer() -> Sealer {
        let keys = BTreeMap::from([(1, SecretBytes::new(vec![7; KEY]))]);
        Sealer { store: StoreId::from_bytes([1; 16]), keys, locked: Arc::default() }
    }

    fn row(plain: &[u8]) -> Row {
        let head = Head {
            id: RecordId::from_random([2; 16]),
            class: Class::Credential,
            tenant: Tenant::namespace("shop"),
            name: "/kubernetes/shop/db".into(),
            origin: Origin::Rest,
            retain_for: SignedDuration::ZERO,
            released: None,
        };
        let stamp = Stamp {
            number: Revision::FIRST,
            version_id: VersionId::from_random([3; 16]),
            at: Timestamp::UNIX_EPOCH,
            by: "someone".into(),
        };
        let sealed = sealer().seal(&head, &stamp, plain, &Counter(AtomicU64::new(0))).unwrap();
        Row { head, stamp, sealed }
    }

    #[test]
    fn a_row_opens_where_it_was_sealed() {
        assert_eq!(sealer().open_row(&row(b"value")).unwrap().as_slice(), b"value");
    }

    #[test]
    fn locked_keys_open_nothing_until_they_are_unlocked() {
        let (sealer, row) = (sealer(), row(b"value"));
        sealer.lock().store(true, Ordering::Release);
        assert!(sealer.open_row(&row).unwrap_err().retryable());
        assert!(sealer.seal(&row.head, &row.stamp, b"value", &Counter(AtomicU64::new(0))).is_err());
        sealer.lock().store(false, Ordering::Release);
        assert!(sealer.open_row(&row).is_ok());
    }

    #[test]
    fn a_row_opens_nowhere_else() {
        let moved: [fn(&mut Row); 9] = [
            |row| row.head.id = RecordId::from_random([9; 16]),
            |row| row.head.class = Class::Client,
            |row| row.head.tenant = Tenant::namespace("other"),
            |row| row.head.name = "/kubernetes/shop/other".into(),
            |row| row.head.origin = Origin::Own,
            |row| row.stamp.number = Revision(2),
            |row| row.stamp.version_id = VersionId::from_random([9; 16]),
            |row| row.stamp.at = Timestamp::from_second(1).unwrap(),
            |row| row.stamp.by = "someone else".into(),
        ];
        for change in moved {
            let mut row = row(b"value");
            change(&mut row);
            assert!(matches!(sealer().open_row(&row), Err(Error::Damaged { .. })));
        }
        let elsewhere = Sealer { store: StoreId::from_bytes([9; 16]), ..sealer() };
        assert!(elsewhere.open_row(&row(b"value")).is_err());
    }

    proptest! {
        #[test]
        fn a_changed_byte_never_opens(plain in proptest::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut row = row(&plain);
            let at = at.index(row.sealed.len());
            row.sealed[at] ^= 1 << bit;
            prop_assert!(sealer().open_row(&row).is_err());
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let row = Row { sealed: bytes, ..row(b"x") };
            prop_assert!(sealer().open_row(&row).is_err());
        }
    }
}
