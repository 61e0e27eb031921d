//! `Credential`: a value from one of three sources, and the Secret that shows it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::domain::credential::{self, change};
use crate::domain::record::{Class, Entry, Origin};
use crate::domain::{Conflict, Error};
use crate::k8s::conditions::Life;
use crate::k8s::controller::{Reconciled, Resolved, Visit, import, keys, number};
use crate::k8s::crd::{Credential, CredentialStatus, Managed};
use crate::k8s::failure::Failure;
use crate::k8s::projection::{self, Projection};
use crate::k8s::translate::{CredentialWish, SourceWish, under};

/// Secrets to import from are not watched, so that foreign ones cost nothing: they are read this often.
const REREAD: Duration = Duration::from_secs(300);

impl Reconciled for Credential {
    const CLASS: Class = Class::Credential;

    fn needs(&self) -> Vec<String> {
        let source = &self.spec.source;
        let authority = source.generate.as_ref().and_then(|wish| wish.ca.as_ref()).map(|ca| ca.name.to_string());
        let own = source.stored.map(|_| self.metadata.name.clone().unwrap_or_default());
        authority.into_iter().chain(own).collect()
    }

    fn shown(status: &CredentialStatus) -> Option<&str> {
        status.secret_name.as_deref()
    }

    fn revision(status: &CredentialStatus) -> Option<i64> {
        status.revision
    }

    async fn resolve(&self, visit: &Visit<'_>) -> Result<Resolved<CredentialStatus>, Failure> {
        let wish = CredentialWish::try_from(self)?;
        let rereads = matches!(wish.source, SourceWish::Import(_));
        let entry = value(visit, wish).await?;
        let life = life(visit, &entry)?;
        let projection = self.secret_name().map(|name| secret(name, &entry)).transpose()?;
        let status = CredentialStatus {
            revision: Some(number(entry.stamp.number)),
            keys: projection.as_ref().map(keys).unwrap_or_default(),
            secret_name: projection.as_ref().map(|it| it.name.clone()),
            not_after: life.map(|life| Time(life.not_after)),
            last_changed: Some(Time(seconds(entry.body.rotated_at))),
            ..CredentialStatus::default()
        };
        let message = match &projection {
            Some(projection) => format!("{} shows revision {}", projection.what(), entry.stamp.number),
            None => format!("revision {} is in the store; no Secret is asked for", entry.stamp.number),
        };
        let wake_at = rereads.then(|| visit.now + REREAD);
        let projections = projection.into_iter().collect();
        Ok(Resolved { status, projections, message, life, due: None, wake_at, done: Vec::new() })
    }
}

async fn value(visit: &Visit<'_>, wish: CredentialWish) -> Result<Entry<credential::Credential>, Failure> {
    let CredentialWish { kind, about, source } = wish;
    let credentials = &visit.app().credentials;
    let (source, translate): (_, fn(Error) -> Failure) = match source {
        SourceWish::Stored => {
            return credentials.stored(visit.owner(), kind).await.map_err(|error| not_stored(visit, error));
        }
        SourceWish::Generate(wish) => {
            (change::Source::Generate(wish), |error| under("spec.source.generate")(error).into())
        }
        SourceWish::Import(reference) => {
            let material = import::material(visit, &reference, kind).await?;
            (change::Source::Import(material), |error| under("spec.source.secretRef")(error).into())
        }
    };
    let wish = change::Wish { kind, about, source };
    credentials.converge(visit.owner(), wish, None, visit.retain_for).await.map_err(translate)
}

/// A value that this very resource made before stands where REST callers would write.
fn not_stored(visit: &Visit<'_>, error: Error) -> Failure {
    match &error {
        Error::Conflict(Conflict::Managed { owner, .. })
            if *owner == Origin::Resource(visit.owner().clone()).to_string() =>
        {
            let why = "cannot become stored: the value was made by this Credential; use another name";
            Error::invalid("spec.source", why).into()
        }
        _ => error.into(),
    }
}

pub(super) fn life(visit: &Visit<'_>, entry: &Entry<credential::Credential>) -> Result<Option<Life>, Failure> {
    let facts = visit.app().credentials.facts(&entry.body)?;
    Ok(facts.map(|facts| Life { not_before: facts.not_before, not_after: facts.not_after }))
}

fn secret(name: String, entry: &Entry<credential::Credential>) -> Result<Projection, Failure> {
    let kind = entry.body.kind;
    let items = projection::items(&entry.body.material, kind, &entry.stamp.version_id.hex());
    Projection::secret(name, kind.secret_type(), entry.stamp.number, items)
}

/// The API server keeps whole seconds.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
