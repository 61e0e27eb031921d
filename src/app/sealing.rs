//! Envelope encryption of record bodies.
//!
//! Every epoch has a data key (`keyring`), and every revision gets a key of its own:
//! `key ‖ commitment = HKDF-SHA256(data key, salt, binding)`, so that one AES-256-GCM key seals exactly
//! one message and random nonces never run out. The binding names the store, the record and the
//! revision: a row that is moved, renamed or copied does not open. The commitment is stored and
//! compared, because GCM alone lets one ciphertext open under two keys.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::app::keyring::{KEY, Keyring};
use crate::app::ports::{Row, Sealed};
use crate::domain::entropy::Entropy;
use crate::domain::record::{Head, Stamp};
use crate::domain::secret::SecretBytes;
use crate::domain::{Error, Result};

const FORMAT: u8 = 1;
const SALT: usize = 32;
const COMMITMENT: usize = 32;
const HEADER: usize = 1 + SALT + COMMITMENT + NONCE_LEN;

impl Keyring {
    pub fn seal(&self, head: &Head, stamp: &Stamp, plain: &[u8], entropy: &dyn Entropy) -> Result<Sealed> {
        self.seal_under(self.current(), head, stamp, plain, entropy)
    }

    pub fn seal_under(
        &self,
        epoch: u32,
        head: &Head,
        stamp: &Stamp,
        plain: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Sealed> {
        let salt = entropy.bytes::<SALT>();
        let nonce = entropy.bytes::<NONCE_LEN>();
        let (key, commitment) = derive(&self.key(epoch)?.secret, &salt, &self.binding(head, stamp, epoch))?;
        let mut bytes = Vec::with_capacity(HEADER + plain.len() + AES_256_GCM.tag_len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(&salt);
        bytes.extend_from_slice(&commitment);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(plain);
        let tag = key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut bytes[HEADER..])
            .map_err(|_| Error::internal("sealing failed"))?;
        bytes.extend_from_slice(tag.as_ref());
        Ok(Sealed { epoch, bytes })
    }

    /// Opens what [`Keyring::seal`] made for this very row, or says that the row is damaged.
    pub fn open_row(&self, row: &Row) -> Result<Zeroizing<Vec<u8>>> {
        self.verify_mark(&row.head, &row.stamp, &row.mac)?;
        self.open_revision(&row.head, &row.stamp, &row.sealed)
    }

    /// The same for any revision of a record, whose head is verified elsewhere.
    pub fn open_revision(&self, head: &Head, stamp: &Stamp, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>> {
        let damaged = |detail: &str| Error::Damaged {
            what: format!("{} {}", head.class.singular(), head.name),
            detail: format!("revision {}: {detail}", stamp.number),
        };
        let bytes = sealed.bytes.as_slice();
        if bytes.len() < HEADER || bytes[0] != FORMAT {
            return Err(damaged("not in a known format"));
        }
        let (salt, rest) = bytes[1..].split_at(SALT);
        let (commitment, rest) = rest.split_at(COMMITMENT);
        let (nonce, body) = rest.split_at(NONCE_LEN);
        let data_key = self.key(sealed.epoch)?;
        let (key, expected) = derive(&data_key.secret, salt, &self.binding(head, stamp, sealed.epoch))?;
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

    /// What a sealed body is bound to: everything of its row that stays as it is, each part after its length.
    fn binding(&self, head: &Head, stamp: &Stamp, epoch: u32) -> Vec<u8> {
        let origin = head.origin.to_string();
        let store = self.store();
        let parts: [&[u8]; 11] = [
            b"strongroom record",
            store.bytes(),
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

/// A key for one use, from a data key.
pub(super) fn derive_key(data_key: &SecretBytes, info: &[u8]) -> Result<SecretBytes> {
    let failed = |_| Error::internal("key derivation failed");
    let mut bytes = vec![0; KEY];
    let info = [info];
    let pseudorandom = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(data_key.expose());
    pseudorandom.expand(&info, Length(KEY)).and_then(|output| output.fill(&mut bytes)).map_err(failed)?;
    Ok(SecretBytes::new(bytes))
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
    use crate::app::keyring::tests::{keyring, keyring_of};
    use crate::app::ports::Mac;
    use crate::domain::credential::generate::tests::Counter;
    use crate::domain::name::{RecordId, Revision, StoreId, Tenant, VersionId};
    use crate::domain::record::{Class, Origin, Release};
    use jiff::{SignedDuration, Timestamp};
    use proptest::prelude::*;
    use std::sync::atomic::AtomicU64;

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
        let sealed = keyring().seal(&head, &stamp, plain, &Counter(AtomicU64::new(0))).unwrap();
        let mac = keyring().mark(&head, &stamp).unwrap();
        Row { head, stamp, sealed, mac }
    }

    #[test]
    fn a_row_opens_where_it_was_sealed() {
        assert_eq!(keyring().open_row(&row(b"value")).unwrap().as_slice(), b"value");
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
            assert!(matches!(keyring().open_row(&row), Err(Error::Damaged { .. })));
            let Row { head, stamp, sealed, .. } = &row;
            assert!(matches!(keyring().open_revision(head, stamp, sealed), Err(Error::Damaged { .. })));
        }
        let elsewhere = keyring_of(StoreId::from_bytes([9; 16]), &[1]);
        assert!(elsewhere.open_row(&row(b"value")).is_err());
    }

    #[test]
    fn a_head_is_bound_to_what_changes_without_a_revision() {
        let changed: [fn(&mut Row); 3] = [
            |row| row.head.retain_for = SignedDuration::from_hours(1),
            |row| row.head.released = Some(Release { at: Timestamp::UNIX_EPOCH, purge_at: Timestamp::UNIX_EPOCH }),
            |row| row.mac.bytes[31] ^= 1,
        ];
        for change in changed {
            let mut row = row(b"value");
            change(&mut row);
            assert!(matches!(keyring().open_row(&row), Err(Error::Damaged { .. })));
        }
    }

    #[test]
    fn another_epoch_opens_nothing_and_an_unknown_one_is_asked_for() {
        let both = keyring_of(StoreId::from_bytes([1; 16]), &[1, 2]);
        let sealed = row(b"value");
        assert!(both.open_row(&sealed).is_ok());
        let mut moved = sealed.clone();
        moved.sealed.epoch = 2;
        assert!(matches!(both.open_row(&moved), Err(Error::Damaged { .. })));
        moved = sealed.clone();
        moved.mac = Mac { epoch: 2, ..sealed.mac };
        assert!(matches!(both.open_row(&moved), Err(Error::Damaged { .. })));
        moved.mac.epoch = 3;
        assert!(matches!(both.open_row(&moved), Err(Error::KeyReplaced)));
    }

    proptest! {
        #[test]
        fn a_changed_byte_never_opens(plain in proptest::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut row = row(&plain);
            let at = at.index(row.sealed.bytes.len());
            row.sealed.bytes[at] ^= 1 << bit;
            prop_assert!(keyring().open_row(&row).is_err());
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let row = Row { sealed: Sealed { epoch: 1, bytes }, ..row(b"x") };
            prop_assert!(keyring().open_row(&row).is_err());
        }
    }
}
