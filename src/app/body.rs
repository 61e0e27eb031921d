//! How the classes of record become bytes to seal and back: the words as JSON, the secret fields
//! after them, each behind its length, so that no secret passes through a serialiser.

mod lineage;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use self::lineage::LineageWords;
use crate::app::audit::{Event, sha256};
use crate::app::ports::{Alias, AliasKind};
use crate::domain::authority::{Authority, CertificateRequest};
use crate::domain::blind::BlindCredential;
use crate::domain::client::{Client, Fingerprint, Issued, Proof, Retired, State};
use crate::domain::credential::{About, Credential, Field, Form, Generate, Kind, Material, Memo};
use crate::domain::name::{Path, RecordId};
use crate::domain::record::Class;
use crate::domain::secret::SecretText;
use crate::domain::service::Service;
use crate::domain::{Error, Result};

/// A class of record.
pub trait Body: Sized + Send + Sync + 'static {
    const CLASS: Class;
    /// Everything but the secret fields.
    type Words: Serialize + DeserializeOwned;

    fn split(&self) -> (Self::Words, Material);
    fn join(words: Self::Words, fields: Material) -> Result<Self>;

    /// About how many bytes it takes.
    fn size(&self) -> usize;

    /// `id`: the record's own.
    fn aliases(&self, _id: RecordId) -> Vec<Alias> {
        Vec::new()
    }

    /// Without what no reader needs: for those that are held for long.
    fn trimmed(self) -> Self {
        self
    }

    fn links(&self) -> Vec<RecordId> {
        Vec::new()
    }

    /// What the audit says of a write or a look, in this class's words.
    fn told<'a>(&'a self, event: Event<'a>) -> Event<'a> {
        event
    }
}

/// What is found by its path, though it need not exist: whoever names it links to this.
pub fn link_to_path(path: &Path) -> RecordId {
    let text = path.as_str().to_ascii_lowercase();
    RecordId::derived(&sha256(&[b"strongroom path ", text.as_bytes()].concat()))
}

/// Texts of one length that are in the order of their times, for all times that a certificate can name.
pub fn expiry_key(at: Timestamp) -> String {
    format!("{:012}", at.as_second().max(0))
}

const FORMAT: u8 = 1;

pub fn encode<B: Body>(body: &B) -> Result<Zeroizing<Vec<u8>>> {
    let (words, material) = body.split();
    let words = serde_json::to_vec(&words).map_err(Error::internal)?;
    let fields = material.fields();
    // Sized beforehand: a vector that grows leaves copies of secrets behind.
    let size: usize = fields.iter().map(|field| 9 + field.name.len() + field.value.expose().len()).sum();
    let mut bytes = Zeroizing::new(Vec::with_capacity(1 + 4 + words.len() + 4 + size));
    bytes.push(FORMAT);
    put(&mut bytes, &words);
    bytes.extend_from_slice(&(fields.len() as u32).to_be_bytes());
    for field in fields {
        put(&mut bytes, field.name.as_bytes());
        bytes.push(u8::from(field.form == Form::Literal));
        put(&mut bytes, field.value.expose().as_bytes());
    }
    Ok(bytes)
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
    bytes.extend_from_slice(part);
}

pub fn decode<B: Body>(bytes: &[u8]) -> Result<B> {
    let mut reader = Reader(bytes);
    if reader.byte()? != FORMAT {
        return Err(unreadable());
    }
    let words = serde_json::from_slice(reader.part()?).map_err(|_| unreadable())?;
    let fields = (0..reader.number()?).map(|_| reader.field()).collect::<Result<Vec<_>>>()?;
    B::join(words, Material::new(fields))
}

fn unreadable() -> Error {
    Error::internal("an opened record is not in a known format")
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(length).ok_or_else(unreadable)?;
        self.0 = rest;
        Ok(part)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().map_err(Error::internal)?))
    }

    fn part(&mut self) -> Result<&'a [u8]> {
        let length = self.number()? as usize;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.part()?).map_err(|_| unreadable())
    }

    fn field(&mut self) -> Result<Field> {
        let name = self.text()?.to_owned();
        let form = if self.byte()? == 0 { Form::Text } else { Form::Literal };
        Ok(Field { name, form, value: SecretText::from(self.text()?) })
    }
}

#[derive(Serialize, Deserialize)]
pub struct CredentialWords {
    title: String,
    kind: Kind,
    about: About,
    generated: Option<Generate>,
    rotated_at: Timestamp,
    not_after: Option<Timestamp>,
    authority: Option<Authority>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lineage: Option<LineageWords>,
}

/// Of a memo, beside what the credential says.
const OF_A_MEMO: usize = 512;

impl Body for Credential {
    const CLASS: Class = Class::Credential;
    type Words = CredentialWords;

    fn split(&self) -> (CredentialWords, Material) {
        let words = CredentialWords {
            title: self.title.clone(),
            kind: self.kind,
            about: self.about.clone(),
            generated: self.generated.clone(),
            rotated_at: self.rotated_at,
            not_after: self.not_after,
            authority: self.authority.clone(),
            lineage: self.lineage.as_deref().map(lineage::words),
        };
        (words, lineage::beside(&self.material, self.lineage.as_deref()))
    }

    fn join(words: CredentialWords, material: Material) -> Result<Self> {
        let CredentialWords { title, kind, about, generated, rotated_at, not_after, authority, lineage } = words;
        let (material, lineage) = match lineage {
            Some(words) => lineage::apart(words, material),
            None => (material, None),
        };
        Ok(Self {
            title,
            kind,
            about,
            generated,
            rotated_at,
            not_after,
            authority,
            lineage,
            material,
            memo: Memo::default(),
        })
    }

    fn size(&self) -> usize {
        let about = &self.about;
        let words = [&about.documentation, &about.metadata].into_iter().flatten().map(String::len).sum::<usize>();
        let other = self.lineage.as_ref().and_then(|lineage| lineage.transitional.as_ref());
        let materials = [Some(&self.material), other.map(|version| &version.content.material)];
        let fields = materials.into_iter().flatten().flat_map(Material::fields);
        let fields = fields.map(|field| 64 + field.name.len() + field.value.expose().len());
        let whole = self.title.len() + words + about.tags.len() * 64 + fields.sum::<usize>();
        // With what may be made of it.
        2 * whole + OF_A_MEMO
    }

    fn aliases(&self, id: RecordId) -> Vec<Alias> {
        let title = Alias { kind: AliasKind::Title, value: self.title.clone() };
        let expiry = self.lineage.as_deref().and_then(|lineage| lineage::expiry(lineage, self.not_after));
        let expiry =
            expiry.map(|at| Alias { kind: AliasKind::Expiry, value: format!("{}{}", expiry_key(at), id.hex()) });
        [title].into_iter().chain(expiry).collect()
    }

    fn links(&self) -> Vec<RecordId> {
        let mut signers: Vec<_> = self.lineage.iter().flat_map(|lineage| lineage.signers()).map(link_to_path).collect();
        signers.sort_unstable();
        signers.dedup();
        signers
    }
}

impl Body for Service {
    const CLASS: Class = Class::Service;
    type Words = Service;

    fn split(&self) -> (Service, Material) {
        (self.clone(), Material::default())
    }

    fn join(words: Service, _: Material) -> Result<Self> {
        Ok(words)
    }

    fn size(&self) -> usize {
        (self.credentials.len() + self.blind_credentials.len()) * 16 + self.clients.len() * 64
    }

    fn links(&self) -> Vec<RecordId> {
        self.credentials.iter().chain(&self.blind_credentials).copied().collect()
    }
}

impl Body for BlindCredential {
    const CLASS: Class = Class::BlindCredential;
    type Words = BlindCredential;

    fn split(&self) -> (BlindCredential, Material) {
        (self.clone(), Material::default())
    }

    fn join(words: BlindCredential, _: Material) -> Result<Self> {
        Ok(words)
    }

    fn size(&self) -> usize {
        self.envelope.pairs.len() + self.envelope.data_key.len() + self.keys.len() * 64
    }

    fn aliases(&self, _: RecordId) -> Vec<Alias> {
        vec![Alias { kind: AliasKind::Title, value: self.title.clone() }]
    }
}

#[derive(Serialize, Deserialize)]
pub struct ClientWords {
    state: State,
    admin: bool,
    proof: ProofWords,
    retired: Vec<Retired>,
}

#[derive(Serialize, Deserialize)]
enum ProofWords {
    Basic { mark: String },
    X509 { fingerprint: Fingerprint, not_before: Timestamp, not_after: Timestamp, request: Box<CertificateRequest> },
}

const PASSWORD_HASH: &str = "password_hash";
/// Without its keys.
const OF_A_CLIENT: usize = 4096;

impl Body for Client {
    const CLASS: Class = Class::Client;
    type Words = ClientWords;

    fn split(&self) -> (ClientWords, Material) {
        let (proof, material) = match &self.proof {
            Proof::Basic { password_hash, mark } => {
                (ProofWords::Basic { mark: mark.clone() }, Material::texts([(PASSWORD_HASH, password_hash.clone())]))
            }
            Proof::X509(issued) => {
                let Issued { fingerprint, not_before, not_after, request, material } = issued.as_ref();
                let (fingerprint, not_before, not_after) = (*fingerprint, *not_before, *not_after);
                let request = Box::new(request.clone());
                (ProofWords::X509 { fingerprint, not_before, not_after, request }, material.clone())
            }
        };
        (ClientWords { state: self.state, admin: self.admin, proof, retired: self.retired.clone() }, material)
    }

    fn join(words: ClientWords, material: Material) -> Result<Self> {
        let proof = match words.proof {
            ProofWords::Basic { mark } => {
                Proof::Basic { password_hash: material.require(PASSWORD_HASH)?.clone(), mark }
            }
            ProofWords::X509 { fingerprint, not_before, not_after, request } => {
                Proof::X509(Box::new(Issued { fingerprint, not_before, not_after, request: *request, material }))
            }
        };
        Ok(Self { state: words.state, admin: words.admin, proof, retired: words.retired })
    }

    fn size(&self) -> usize {
        OF_A_CLIENT
    }

    fn trimmed(mut self) -> Self {
        self.forget_keys();
        self
    }

    fn aliases(&self, _: RecordId) -> Vec<Alias> {
        self.fingerprints().map(|known| Alias { kind: AliasKind::Fingerprint, value: known.hex() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: RecordId = RecordId::from_bytes([7; 16]);

    fn credential(fields: Vec<(String, bool, String)>) -> Credential {
        let field = |(name, literal, text): (String, bool, String)| Field {
            name,
            form: if literal { Form::Literal } else { Form::Text },
            value: SecretText::new(text),
        };
        Credential {
            title: "t".into(),
            kind: Kind::Pairs,
            about: About { tags: vec!["a".into()], ..About::default() },
            generated: None,
            rotated_at: Timestamp::UNIX_EPOCH,
            not_after: None,
            authority: None,
            lineage: None,
            memo: Memo::default(),
            material: Material::new(fields.into_iter().map(field)),
        }
    }

    proptest! {
        #[test]
        fn a_body_comes_back_as_it_was(fields in proptest::collection::vec((".{0,8}", any::<bool>(), ".{0,30}"), 0..6)) {
            let before = credential(fields);
            let after: Credential = decode(&encode(&before).unwrap()).unwrap();
            prop_assert_eq!(&after.material, &before.material);
            prop_assert_eq!(&after.about, &before.about);
            prop_assert_eq!(&after.lineage, &before.lineage);
            prop_assert_eq!(after.aliases(ID), before.aliases(ID));
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode::<Credential>(&bytes);
            let _ = decode::<Client>(&bytes);
        }
    }
}
