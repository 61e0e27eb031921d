//! Use cases: authorise, load, decide, seal, store, record. Knows the domain and the ports it declares,
//! and neither who calls it (HTTP, Kubernetes) nor what stands behind a port.

pub mod access;
pub mod alarm;
pub mod anchor;
pub mod audit;
pub mod backup;
pub mod batch;
pub mod blind_credentials;
pub mod body;
pub mod by_path;
pub mod callers;
pub mod certificates;
pub mod clients;
pub mod credentials;
pub mod csrf;
pub mod custody;
pub mod elsewhere;
pub mod grants;
pub mod history;
pub mod jwks;
pub mod keyring;
pub mod kmsauth;
pub mod ledger;
pub mod making;
pub mod opened;
pub mod own;
pub mod password;
pub mod permissions;
pub mod ports;
pub mod records;
pub mod rekey;
pub mod release;
pub mod roles;
pub mod sealing;
pub mod services;
pub mod step;
pub mod verify;
pub mod witness;

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use crate::app::access::Access;
use crate::app::audit::Note;
use crate::app::blind_credentials::BlindCredentials;
use crate::app::by_path::ByPath;
use crate::app::callers::Callers;
use crate::app::certificates::Certificates;
use crate::app::clients::Clients;
use crate::app::credentials::Credentials;
use crate::app::csrf::Csrf;
use crate::app::elsewhere::Elsewhere;
use crate::app::grants::Grants;
use crate::app::jwks::Tokens;
use crate::app::keyring::Keyring;
use crate::app::kmsauth::Kmsauth;
use crate::app::making::Making;
use crate::app::own::OwnCertificates;
use crate::app::permissions::{Grantees, Permissions};
use crate::app::ports::{Clock, Fence, GrantKeeper, Identify, Issuers, Journal, Keymaker, Review, Store};
use crate::app::records::{Changed, Records};
use crate::app::roles::Roles;
use crate::app::services::{Mapping, Services};
use crate::app::verify::Verified;
use crate::domain::Result;
use crate::domain::actor::{Actor, Scheme};
use crate::domain::client::resource_username;
use crate::domain::credential::{Characters, generate};
use crate::domain::entropy::Entropy;
use crate::domain::name::{Path, Revision, Tenant};
use crate::domain::oidc::Verdict;
use crate::domain::permission::{Action, Grants as GrantRules, Resource, Target};
use crate::domain::record::{Class, Owner};
use crate::domain::rules::Rules;
use crate::domain::secret::SecretText;
use crate::domain::service::resource_id;

/// What the use cases stand on.
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub keyring: Arc<Keyring>,
    pub journal: Arc<dyn Journal>,
    pub keymaker: Arc<dyn Keymaker>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Kubernetes, where there is one.
    pub review: Option<Arc<dyn Review>>,
    pub identify: Option<Arc<dyn Identify>>,
    /// Issuers of tokens that are believed.
    pub issuers: Option<Arc<dyn Issuers>>,
    /// Where callers may show tokens of a key service.
    pub kmsauth: Option<Kmsauth>,
    pub rolls: Rolls,
    pub rules: Rules,
}

/// Roles of others' bookkeeping, where services are called after them.
#[derive(Clone, Default)]
pub struct Rolls {
    pub roles: roles::Source,
    pub grants: Option<Arc<dyn GrantKeeper>>,
    pub manages_grants: bool,
}

/// All use cases. Shared by the REST edge and the Kubernetes edge.
pub struct App {
    pub credentials: Credentials,
    pub blind_credentials: BlindCredentials,
    pub by_path: ByPath,
    pub services: Services,
    pub grants: Grants,
    pub roles: Roles,
    pub clients: Clients,
    pub callers: Callers,
    pub csrf: Csrf,
    pub certificates: Certificates,
    pub own: OwnCertificates,
    pub tokens: Tokens,
    pub permissions: Permissions,
    access: Access,
    records: Arc<Records>,
    identify: Option<Arc<dyn Identify>>,
    issuers: Option<Arc<dyn Issuers>>,
    kmsauth: Option<Kmsauth>,
}

impl App {
    pub fn new(parts: Parts) -> Self {
        let csrf = Csrf { keyring: parts.keyring.clone(), clock: parts.clock.clone() };
        let records = Arc::new(Records::new(parts.store, parts.keyring, parts.journal, parts.clock, parts.entropy));
        let GrantRules { are_enforced, seeds } = parts.rules.grants;
        let grantees = Arc::new(Grantees::new(records.clone(), are_enforced));
        let access = Access::new(parts.review, parts.rules.acl, grantees.clone(), records.audit.clone());
        let making = Making { records: records.clone(), keymaker: parts.keymaker, grantees: grantees.clone() };
        let permissions = Permissions { records: records.clone(), access: access.clone(), grantees, seeds };
        let mapping = Mapping { records: records.clone(), ignore_conflicts: parts.rules.ignore_conflicts };
        let services = Services { records: records.clone(), access: access.clone(), mapping: mapping.clone() };
        let (known, allowed) = (records.clone(), access.clone());
        Self {
            credentials: Credentials {
                records: records.clone(),
                access: access.clone(),
                making: making.clone(),
                mapping: mapping.clone(),
            },
            by_path: ByPath {
                records: records.clone(),
                access: access.clone(),
                making: making.clone(),
                mapping: mapping.clone(),
                held: Arc::default(),
                counted: Arc::default(),
            },
            blind_credentials: BlindCredentials { records: known, access: allowed, mapping },
            grants: Grants {
                services: services.clone(),
                audit: records.audit.clone(),
                keeper: parts.rolls.grants,
                manages: parts.rolls.manages_grants,
            },
            roles: Roles::new(parts.rolls.roles, access.clone(), records.audit.clone()),
            services,
            certificates: Certificates {
                access: access.clone(),
                making: making.clone(),
                authorities: parts.rules.authorities,
            },
            callers: Callers::new(records.clone()),
            csrf,
            clients: Clients { records: records.clone(), making: making.clone() },
            tokens: Tokens::new(access.clone(), records.clone(), making.keymaker.clone(), parts.rules.tokens),
            own: OwnCertificates { making },
            permissions,
            access,
            records,
            identify: parts.identify,
            issuers: parts.issuers,
            kmsauth: parts.kmsauth,
        }
    }

    /// Somebody presented what is not accepted: recorded before it is refused.
    pub async fn record_unknown(&self, scheme: Scheme, from: Option<IpAddr>) -> Result<()> {
        self.records.audit.unknown(scheme, from).await
    }

    /// Somebody presented nothing where it takes a caller, and asked for the record of this name.
    pub async fn record_anonymous(
        &self,
        action: Action,
        resource: Resource,
        name: &str,
        from: Option<IpAddr>,
    ) -> Result<()> {
        self.records.audit.anonymous(action, resource, name, from).await
    }

    /// A known caller asked for what nobody may do now.
    pub async fn record_denied(&self, actor: &Actor, action: Action, resource: Resource, name: &str) -> Result<()> {
        self.records.audit.denied(actor, action, &Target::new(resource, &Tenant::outside(), name)).await
    }

    /// Whether the caller may do this to something new or to all: for hints, so that it leaves no record.
    pub async fn allows(&self, actor: &Actor, action: Action, resource: Resource) -> Result<bool> {
        self.access.allows(actor, action, &Target::new(resource, &Tenant::outside(), "")).await
    }

    /// A value for whoever wants one, which is kept nowhere.
    pub fn draw(&self, characters: &Characters) -> Result<SecretText> {
        let material = generate::password(characters, self.records.entropy.as_ref())?;
        Ok(material.require("password")?.clone())
    }

    /// A known caller gets to see something about itself or this installation.
    pub async fn record_session(&self, actor: &Actor, what: &str) -> Result<()> {
        self.records.audit.session(actor, what).await
    }

    /// What a resource holds is about to be shown in this object of Kubernetes.
    pub async fn record_shown(&self, owner: &Owner, revision: Revision, object: &str) -> Result<()> {
        self.records.audit.shown(owner, revision, object).await
    }

    /// Notes in the chain of writes what happened beside the store.
    pub async fn note(&self, note: Note) -> Result<()> {
        self.records.note(note).await
    }

    /// This process leads from now on, until another does. `Error::Fenced` if another has since.
    pub async fn lead(&self, fence: Fence) -> Result<()> {
        self.records.lead(fence).await
    }

    /// This process does not lead any more, and must not write for resources.
    pub fn follow(&self) {
        self.records.follow();
    }

    /// Reads the whole store through; see [`verify`].
    pub async fn verify(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Verified> {
        let mut snapshot = self.records.store.snapshot().await?;
        // After the snapshot: what it holds is under keys that are there by now.
        self.records.keyring.reload().await?;
        verify::verify(snapshot.as_mut(), &self.records.keyring, progress).await
    }

    /// The highest fence that any leader of this store has raised.
    pub async fn fence(&self) -> Result<Fence> {
        self.records.fence_of_store().await
    }

    /// Whether the store has refused a write since this process led last: then another leads.
    pub fn deposed(&self) -> watch::Receiver<bool> {
        self.records.deposed()
    }

    /// A word that nobody has said before.
    pub fn unique(&self) -> String {
        self.records.entropy.version_id(self.records.now()).hex()
    }

    /// Who a bearer token is: of an issuer that is believed, or of the cluster's for whatever those did not make.
    pub async fn judge_token(&self, token: &SecretText) -> Result<(Scheme, Verdict)> {
        if let Some(issuers) = &self.issuers {
            let verdict = issuers.judge(token).await?;
            if verdict != Verdict::Foreign {
                return Ok((Scheme::Oidc, verdict));
            }
        }
        let known = match &self.identify {
            Some(identify) => identify.identify(token).await?,
            None => None,
        };
        Ok((Scheme::ServiceAccount, known.map_or(Verdict::Refused, Verdict::Known)))
    }

    /// Whether tokens of a key service are asked for at all.
    pub fn knows_kmsauth(&self) -> bool {
        self.kmsauth.is_some()
    }

    pub async fn authenticate_kmsauth(&self, username: &str, token: &SecretText) -> Result<Option<Actor>> {
        match &self.kmsauth {
            Some(kmsauth) => kmsauth.authenticate(username, token).await,
            None => Ok(None),
        }
    }

    pub fn now(&self) -> jiff::Timestamp {
        self.records.now()
    }

    /// New revisions and releases, as they happen. A receiver that lags must look at everything again.
    pub fn changes(&self) -> broadcast::Receiver<Changed> {
        self.records.changes()
    }

    /// For those who must hear of what other processes write.
    pub fn elsewhere(&self) -> Elsewhere {
        Elsewhere::new(self.records.store.clone())
    }

    /// The resource is gone: its record answers nobody from now on.
    pub async fn release(&self, class: Class, owner: &Owner) -> Result<bool> {
        match record_name(class, owner) {
            Some(name) => self.records.release(class, &name, owner).await,
            None => Ok(false),
        }
    }

    /// Releases the records of resources of one kind that `is_gone` knows to be gone.
    pub async fn sweep(&self, class: Class, is_gone: impl Fn(&Owner) -> bool) -> Result<Vec<Owner>> {
        self.records.sweep(class, is_gone).await
    }

    /// Forgets released records whose time is over.
    pub async fn purge(&self) -> Result<u64> {
        self.records.purge().await
    }
}

/// The name of the record that a resource manages, if it can manage one of the class.
fn record_name(class: Class, owner: &Owner) -> Option<String> {
    match class {
        Class::Credential => Some(Path::kubernetes(&owner.namespace, &owner.name).as_str().to_owned()),
        Class::Service => Some(resource_id(&owner.namespace, &owner.name)),
        Class::Client => Some(resource_username(&owner.namespace, &owner.name)),
        Class::BlindCredential | Class::Permission => None,
    }
}
