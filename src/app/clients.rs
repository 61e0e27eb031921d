//! Use cases of client credentials: how they come to be and change. Who they are when they call is `callers`.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::app::making::Making;
use crate::app::password;
use crate::app::records::{NewRecord, Records};
use crate::domain::actor::Actor;
use crate::domain::authority::CertificateRequest;
use crate::domain::client::{Client, Fingerprint, Issued, Proof, Retired, State};
use crate::domain::credential::{Characters, Kind};
use crate::domain::name::Tenant;
use crate::domain::record::{Entry, Origin, Owner};
use crate::domain::secret::SecretText;
use crate::domain::{Conflict, Error, Result, client};

/// Letters and digits: 238 bits, and safe in every shell and header.
const PASSWORD: Characters = Characters { length: 40, lower: true, upper: true, digits: true, special: false };
const NAME_LIMIT: usize = 64;
/// Of a certificate in PEM.
const END: &str = "-----END CERTIFICATE-----";
/// A certificate is replaced when this part of its life is over.
const RENEW_AFTER: (i32, i32) = (2, 3);

pub struct Clients {
    pub(super) records: Arc<Records>,
    pub(super) making: Making,
}

impl Clients {
    /// Makes a client credential without a cluster. Its password is returned here and nowhere else.
    pub async fn create(&self, name: &str, admin: bool) -> Result<SecretText> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@');
        if name.is_empty() || name.len() > NAME_LIMIT || !name.bytes().all(plain) {
            return Err(Error::invalid("NAME", "must be 1 to 64 letters, digits and -_.@"));
        }
        let password = PASSWORD.draw(self.records.entropy.as_ref())?;
        let proof = Proof::Basic { password_hash: self.hash(&password), mark: String::new() };
        let body = Client { state: State::Active, admin, proof, retired: Vec::new() };
        let new = NewRecord {
            tenant: Tenant::outside(),
            name: name.to_owned(),
            origin: Origin::Own,
            retain_for: SignedDuration::ZERO,
        };
        self.records.create(&Actor::operator(), self.records.new_id(), new, body).await?;
        Ok(password)
    }

    /// The authorities above all certificates that were issued to clients, in PEM, each once.
    pub async fn above(&self) -> Result<String> {
        let mut above: Vec<String> = Vec::new();
        for client in self.records.list_all::<Client>().await? {
            let Proof::X509(issued) = &client.body.proof else { continue };
            let part = |name| issued.material.get(name).map(SecretText::expose).unwrap_or_default();
            let intermediates = part("certificate").split_inclusive(END).skip(1);
            for certificate in intermediates.chain(part("ca").split_inclusive(END)).map(str::trim) {
                if !certificate.is_empty() && above.iter().all(|known| known != certificate) {
                    above.push(certificate.to_owned());
                }
            }
        }
        Ok(above.join("\n"))
    }

    // For resources.

    /// What is known of a resource's client, even if it is released.
    pub async fn remembered(&self, owner: &Owner) -> Result<Option<Entry<Client>>> {
        self.records.find_released(&client::resource_username(&owner.namespace, &owner.name)).await
    }

    /// Whether this is the password that the client was enrolled with.
    pub fn holds(&self, entry: &Entry<Client>, password: &SecretText) -> Result<bool> {
        match &entry.body.proof {
            Proof::Basic { password_hash, .. } => password::verify(password, password_hash),
            Proof::X509(_) => Ok(false),
        }
    }

    fn hash(&self, password: &SecretText) -> SecretText {
        password::hash(password, self.records.entropy.as_ref())
    }

    /// A new password and the mark for its Secret. Nothing is stored yet: the Secret comes first, because
    /// only it will hold the password.
    pub fn draw_password(&self) -> Result<(SecretText, String)> {
        let entropy = self.records.entropy.as_ref();
        Ok((PASSWORD.draw(entropy)?, entropy.version_id(self.records.now()).hex()))
    }

    /// Remembers the hash of the password that the Secret with this mark holds.
    pub async fn enroll(
        &self,
        owner: &Owner,
        password: &SecretText,
        mark: &str,
        state: State,
        retain_for: SignedDuration,
    ) -> Result<Entry<Client>> {
        let proof = Proof::Basic { password_hash: self.hash(password), mark: mark.to_owned() };
        self.write(owner, state, retain_for, |_| Ok((proof, Vec::new()))).await
    }

    /// Brings the state of an enrolled client to what the resource wants. Unchanged: reads only.
    pub async fn converge_basic(
        &self,
        owner: &Owner,
        entry: Entry<Client>,
        state: State,
        retain_for: SignedDuration,
    ) -> Result<Entry<Client>> {
        let next = entry.body.state.change_to(state)?;
        if next == entry.body.state && entry.head.retain_for == retain_for {
            return Ok(entry);
        }
        let proof = entry.body.proof.clone();
        self.write(owner, state, retain_for, |_| Ok((proof, Vec::new()))).await
    }

    /// Brings an X.509 client to what the resource wants: issues its certificate, and issues the next one
    /// when the wish changed or two thirds of its life are over. Unchanged: reads only.
    pub async fn converge_x509(
        &self,
        owner: &Owner,
        request: CertificateRequest,
        state: State,
        retain_for: SignedDuration,
    ) -> Result<Entry<Client>> {
        let username = client::resource_username(&owner.namespace, &owner.name);
        let current = self.records.find_released::<Client>(&username).await?;
        let now = self.records.now();
        let issued = current.as_ref().filter(|entry| !is_dead(entry)).and_then(|entry| match &entry.body.proof {
            Proof::X509(issued) if issued.request == request && now < renew_at(issued) => Some(issued.clone()),
            Proof::X509(_) | Proof::Basic { .. } => None,
        });
        if let (Some(entry), Some(_)) = (&current, &issued) {
            let settled = entry.head.released.is_none() && entry.head.retain_for == retain_for;
            if settled && entry.body.state == state {
                return Ok(entry.clone());
            }
        }
        let issued = match issued {
            Some(issued) => issued,
            None => Box::new(self.issue(request, &Tenant::namespace(&owner.namespace)).await?),
        };
        self.write(owner, state, retain_for, |entry| {
            let alive = entry.filter(|entry| !is_dead(entry));
            let retired = alive.map(|entry| retire(&entry.body, issued.fingerprint, now)).unwrap_or_default();
            Ok((Proof::X509(issued), retired))
        })
        .await
    }

    async fn issue(&self, request: CertificateRequest, tenant: &Tenant) -> Result<Issued> {
        let made = self.making.certificate(&request, tenant).await?;
        made.material.check(Kind::Certificate)?;
        let facts = self.making.facts(&made.material)?;
        Ok(Issued {
            fingerprint: Fingerprint(facts.fingerprint),
            not_before: facts.not_before,
            not_after: facts.not_after,
            request,
            material: made.material,
        })
    }

    async fn write(
        &self,
        owner: &Owner,
        state: State,
        retain_for: SignedDuration,
        prove: impl FnOnce(Option<&Entry<Client>>) -> Result<(Proof, Vec<Retired>)>,
    ) -> Result<Entry<Client>> {
        let username = client::resource_username(&owner.namespace, &owner.name);
        let origin = Origin::Resource(owner.clone());
        let current = self.records.find_released::<Client>(&username).await?;
        let (proof, retired) = prove(current.as_ref())?;
        let actor = Actor::operator();
        match current {
            Some(entry) => {
                entry.head.require_writer(&origin)?;
                // A deleted resource's revocation does not bind a new one of its name, which has a new proof.
                let state = if entry.head.released.is_some() { state } else { entry.body.state.change_to(state)? };
                let body = Client { state, admin: false, proof, retired };
                self.records.revise_retained(&actor, &entry, retain_for, body).await
            }
            None => {
                let body = Client { state, admin: false, proof, retired };
                let tenant = Tenant::namespace(&owner.namespace);
                let new = NewRecord { tenant, name: username, origin, retain_for };
                self.records.create(&actor, self.records.new_id(), new, body).await
            }
        }
    }
}

/// Revoked, and its resource deleted since: a new resource of this name must not bring back what was revoked.
pub fn is_dead(entry: &Entry<Client>) -> bool {
    entry.head.released.is_some() && entry.body.state == State::Revoked
}

/// When the next certificate is due.
pub fn renew_at(issued: &Issued) -> Timestamp {
    let life = issued.not_before.duration_until(issued.not_after);
    issued.not_before + life * RENEW_AFTER.0 / RENEW_AFTER.1
}

/// The certificates that stay accepted beside the new one, until they end by themselves.
fn retire(client: &Client, current: Fingerprint, now: Timestamp) -> Vec<Retired> {
    let replaced = match &client.proof {
        Proof::X509(issued) => Some(Retired { fingerprint: issued.fingerprint, not_after: issued.not_after }),
        Proof::Basic { .. } => None,
    };
    let known = client.retired.iter().copied().chain(replaced);
    known.filter(|retired| now < retired.not_after && retired.fingerprint != current).collect()
}

/// A name is taken: what the command line says of it.
pub fn name_taken(error: &Error) -> bool {
    matches!(error, Error::Conflict(Conflict::Exists { .. }))
}
