//! The root key as a file: 32 bytes that only its owner may read. Whoever holds it and the store holds
//! every credential, so a file that others could have read is refused rather than used. Others are not: the group of a
//! pod that reads a Secret.
//!
//! A wrapped key is: version (1 byte, 1) | nonce (12) | AES-256-GCM ciphertext | tag (16). The version and
//! the caller's context are the associated data. Nonces are random, which is safe for 2³² wraps under one
//! root key; Strongroom makes one for each data key.

pub mod tokens;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use rustix::fs::{StatVfsMountFlags, fstatfs, fstatvfs};
use rustix::process::{getegid, geteuid};
use zeroize::Zeroizing;

use crate::app::ports::KeyService;
use crate::domain::entropy::Entropy;
use crate::domain::secret::SecretBytes;
use crate::domain::{Error, Result};

const KEY_LENGTH: usize = 32;
/// What the kernel calls a file system in memory.
const TMPFS: i64 = 0x0102_1994;
const VERSION: u8 = 1;
const HEADER_LENGTH: usize = 1 + NONCE_LEN;

pub struct KeyFile {
    key: LessSafeKey,
    id: String,
    entropy: Arc<dyn Entropy>,
}

impl KeyFile {
    /// For a store that has data keys already: a missing file is an error, because a new root key would
    /// open none of them.
    pub fn open(path: &Path, entropy: Arc<dyn Entropy>) -> Result<Self> {
        let root = read(path)?;
        let key = UnboundKey::new(&AES_256_GCM, &*root).map_err(Error::internal)?;
        Ok(Self { key: LessSafeKey::new(key), id: identity(&root), entropy })
    }

    /// For a store without data keys: makes the file when there is none.
    pub fn open_or_create(path: &Path, entropy: Arc<dyn Entropy>) -> Result<Self> {
        match Self::open(path, Arc::clone(&entropy)) {
            Err(Error::NotFound { .. }) => {
                create(path, &*entropy).map_err(|error| refuse(path, format!("cannot be made: {error}")))?;
                Self::open(path, entropy)
            }
            opened => opened,
        }
    }
}

/// Says which key it is and nothing about it, and stays the same when the file is moved.
fn identity(root: &[u8; KEY_LENGTH]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, root), b"strongroom root key");
    format!("file:{}", hex::encode(&tag.as_ref()[..8]))
}

fn refuse(path: &Path, why: impl Into<String>) -> Error {
    Error::invalid(format!("key file {}", path.display()), why)
}

fn read(path: &Path) -> Result<Zeroizing<[u8; KEY_LENGTH]>> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Error::not_found(format!("key file {}", path.display())),
        _ => refuse(path, format!("cannot be read: {error}")),
    };
    let mut file = File::open(path).map_err(unreadable)?;
    // Of the opened file, not of the path: nobody can exchange it in between.
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() {
        return Err(refuse(path, "is not a regular file"));
    }
    if about.mode() & 0o077 != 0 && !is_mounted_secret(&file, &about).map_err(|error| unreadable(error.into()))? {
        return Err(refuse(path, format!("is open to other users; run: chmod 0400 {}", path.display())));
    }
    if about.len() != KEY_LENGTH as u64 {
        let why = format!("has {} bytes where a root key has {KEY_LENGTH}; restore it from a backup", about.len());
        return Err(refuse(path, why));
    }
    let mut root = Zeroizing::new([0; KEY_LENGTH]);
    file.read_exact(&mut *root).map_err(unreadable)?;
    Ok(root)
}

/// Kubernetes mounts a Secret as root's, whatever `defaultMode` and `runAsUser` say. A pod that is not root reads it by
/// its group, which is the pod's `fsGroup`, and with an `fsGroup` the mode becomes 0440. Nothing else has that group there
/// if it is also ours (`runAsGroup`). The rest tells such a mount from a file that somebody left open to a group of people:
/// it is in memory and cannot be written.
fn is_mounted_secret(file: &File, about: &fs::Metadata) -> rustix::io::Result<bool> {
    let (owner, group) = (about.uid(), about.gid());
    let me = (geteuid().as_raw(), getegid().as_raw());
    let in_memory = fstatfs(file)?.f_type == TMPFS;
    let fixed = fstatvfs(file)?.f_flag.contains(StatVfsMountFlags::RDONLY);
    Ok(about.mode() & 0o7777 == 0o440 && owner == 0 && me.0 != 0 && group == me.1 && in_memory && fixed)
}

/// The name appears with the whole file behind it or not at all, whenever the power fails: a draft is
/// written and synced first. A link, unlike a rename, never replaces what is there, so of two first
/// starts one wins and the other reads the winner's key.
fn create(path: &Path, entropy: &dyn Entropy) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let draft = directory.join(format!(".{name}.{:016x}", u64::from_ne_bytes(entropy.bytes())));
    let root = Zeroizing::new(entropy.bytes::<KEY_LENGTH>());
    let linked = write_synced(&draft, &*root).and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    removed?;
    File::open(directory)?.sync_all()
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// What AES-GCM authenticates beside the ciphertext.
fn associated(context: &[u8]) -> Aad<Vec<u8>> {
    Aad::from([&[VERSION], context].concat())
}

#[async_trait]
impl KeyService for KeyFile {
    fn id(&self) -> String {
        self.id.clone()
    }

    async fn wrap(&self, plain: &SecretBytes, context: &[u8]) -> Result<Vec<u8>> {
        let nonce = self.entropy.bytes::<NONCE_LEN>();
        // Of its final size from the start: a growing vector leaves copies of the plain key behind.
        let size = HEADER_LENGTH + plain.expose().len() + AES_256_GCM.tag_len();
        let mut wrapped = Zeroizing::new(Vec::with_capacity(size));
        wrapped.push(VERSION);
        wrapped.extend_from_slice(&nonce);
        wrapped.extend_from_slice(plain.expose());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, associated(context), &mut wrapped[HEADER_LENGTH..])
            .map_err(Error::internal)?;
        wrapped.extend_from_slice(tag.as_ref());
        Ok(std::mem::take(&mut *wrapped))
    }

    async fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<SecretBytes> {
        let damaged = |detail: &str| Error::Damaged { what: "data key".into(), detail: detail.into() };
        let (&[version, ref nonce @ ..], sealed) =
            wrapped.split_first_chunk::<HEADER_LENGTH>().ok_or_else(|| damaged("is too short to be a wrapped key"))?;
        if version != VERSION {
            return Err(damaged("was wrapped by a newer version of Strongroom, or by another key service"));
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(Error::internal)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let plain = self
            .key
            .open_in_place(nonce, associated(context), &mut sealed)
            .map_err(|_| damaged("does not open with this key file in this store"))?;
        Ok(SecretBytes::new(plain.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;
    use crate::adapters::system::SystemEntropy;

    struct Place {
        _directory: tempfile::TempDir,
        path: PathBuf,
    }

    impl Place {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            Self { path: directory.path().join("strongroom.key"), _directory: directory }
        }

        fn with(bytes: &[u8], mode: u32) -> Self {
            let place = Self::new();
            fs::write(&place.path, bytes).unwrap();
            fs::set_permissions(&place.path, fs::Permissions::from_mode(mode)).unwrap();
            place
        }

        fn make(&self) -> Result<KeyFile> {
            KeyFile::open_or_create(&self.path, Arc::new(SystemEntropy::default()))
        }

        fn open(&self) -> Result<KeyFile> {
            KeyFile::open(&self.path, Arc::new(SystemEntropy::default()))
        }

        fn refusal(&self) -> String {
            let error = self.make().err().expect("accepted");
            assert_eq!(self.open().err().expect("accepted").to_string(), error.to_string());
            error.to_string()
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.path.parent().unwrap()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    #[tokio::test]
    async fn a_key_file_is_made_once_for_its_owner_and_read_from_then_on() {
        let place = Place::new();
        let wrapped = place.make().unwrap().wrap(&SecretBytes::new(vec![7; 32]), b"c").await.unwrap();
        let about = fs::metadata(&place.path).unwrap();
        assert_eq!((about.len(), about.mode() & 0o7777), (32, 0o400));
        assert_eq!(place.names(), ["strongroom.key"], "no draft stays behind");
        for again in [place.make().unwrap(), place.open().unwrap()] {
            assert_eq!(again.unwrap(&wrapped, b"c").await.unwrap().expose(), [7; 32]);
        }
    }

    #[test]
    fn a_key_has_one_identity_and_another_key_another() {
        let (one, other) = (Place::with(&[1; 32], 0o400), Place::with(&[2; 32], 0o400));
        let id = one.open().unwrap().id();
        assert_eq!(id, one.make().unwrap().id());
        assert_ne!(id, other.open().unwrap().id());
        assert!(id.strip_prefix("file:").is_some_and(|digits| digits.len() == 16), "{id}");
    }

    #[test]
    fn opening_never_makes_a_key() {
        let place = Place::new();
        assert!(matches!(place.open(), Err(Error::NotFound { what }) if what.contains("strongroom.key")));
        assert!(place.names().is_empty());
    }

    #[test]
    fn a_key_that_others_can_reach_is_refused_with_the_command_to_run() {
        for mode in [0o440, 0o404, 0o460, 0o644, 0o600 | 0o020, 0o601] {
            let place = Place::with(&[b'k'; 32], mode);
            let refusal = place.refusal();
            let path = place.path.display();
            assert!(refusal.ends_with(&format!("run: chmod 0400 {path}")), "{mode:o}: {refusal}");
            assert!(!refusal.contains("kkkk"));
        }
        for mode in [0o400, 0o600] {
            Place::with(&[b'k'; 32], mode).make().unwrap();
        }
    }

    #[test]
    fn a_key_of_another_size_is_refused_and_left_alone() {
        for size in [0, 31, 33, 4096] {
            let place = Place::with(&vec![b'k'; size], 0o400);
            assert!(place.refusal().contains(&format!("has {size} bytes")));
            assert_eq!(fs::read(&place.path).unwrap().len(), size);
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let place = Place::new();
        fs::create_dir(&place.path).unwrap();
        assert!(place.refusal().contains("is not a regular file"));
        let error = KeyFile::open_or_create(&place.path.join("no/such/key"), Arc::new(SystemEntropy::default()));
        assert!(error.err().unwrap().to_string().contains("cannot be made"));
    }

    #[test]
    fn a_draft_left_by_a_crash_is_not_taken_for_the_key() {
        let place = Place::new();
        fs::write(place.path.with_file_name(".strongroom.key.0000"), b"half").unwrap();
        place.make().unwrap();
        assert_eq!(fs::read(&place.path).unwrap().len(), 32);
    }

    #[tokio::test]
    async fn of_many_first_starts_all_end_with_one_key() {
        let place = Place::new();
        let made: Vec<KeyFile> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| place.make().unwrap())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        let wrapped = made[0].wrap(&SecretBytes::new(vec![1]), b"").await.unwrap();
        for one in &made {
            assert_eq!(one.unwrap(&wrapped, b"").await.unwrap().expose(), [1]);
        }
        assert_eq!(place.names(), ["strongroom.key"]);
    }

    #[tokio::test]
    async fn another_key_another_context_or_any_changed_byte_does_not_open() {
        let (place, other) = (Place::new(), Place::new());
        let key = place.make().unwrap();
        let wrapped = key.wrap(&SecretBytes::new(b"data key".to_vec()), b"store 1").await.unwrap();
        assert_eq!(wrapped.len(), 1 + 12 + 8 + 16);
        assert!(!wrapped.windows(8).any(|window| window == b"data key"));

        let is_damaged =
            |result: Result<SecretBytes>| matches!(result, Err(Error::Damaged { what, .. }) if what == "data key");
        assert!(is_damaged(other.make().unwrap().unwrap(&wrapped, b"store 1").await));
        for context in [&b"store 2"[..], b"", b"store 1 "] {
            assert!(is_damaged(key.unwrap(&wrapped, context).await));
        }
        for at in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 1;
            assert!(is_damaged(key.unwrap(&changed, b"store 1").await), "byte {at}");
            assert!(is_damaged(key.unwrap(&wrapped[..at], b"store 1").await), "cut at {at}");
        }
        assert_eq!(key.unwrap(&wrapped, b"store 1").await.unwrap().expose(), b"data key");
    }

    #[tokio::test]
    async fn one_key_is_wrapped_differently_each_time() {
        let key = Place::new().make().unwrap();
        let plain = SecretBytes::new(vec![0; 32]);
        assert_ne!(key.wrap(&plain, b"").await.unwrap(), key.wrap(&plain, b"").await.unwrap());
    }
}
