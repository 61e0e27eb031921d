//! `CertificateAuthority`: its key stays in the store; what it shows is the root to trust.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::domain::credential::{About, Credential, Kind, change};
use crate::domain::record::{Class, Entry};
use crate::k8s::conditions::Life;
use crate::k8s::controller::{Reconciled, Resolved, Visit, number};
use crate::k8s::crd::{CertificateAuthority, CertificateAuthorityStatus};
use crate::k8s::failure::Failure;
use crate::k8s::projection::{Item, Projection};
use crate::k8s::translate::{AUTHORITY_FIELDS, AuthorityWish};

const BUNDLE_KEY: &str = "ca.crt";

impl Reconciled for CertificateAuthority {
    const CLASS: Class = Class::Credential;

    fn needs(&self) -> Vec<String> {
        self.spec.parent_ref.iter().map(|parent| parent.name.to_string()).collect()
    }

    fn shown(status: &CertificateAuthorityStatus) -> Option<&str> {
        status.config_map_name.as_deref()
    }

    fn revision(status: &CertificateAuthorityStatus) -> Option<i64> {
        status.revision
    }

    async fn resolve(&self, visit: &Visit<'_>) -> Result<Resolved<CertificateAuthorityStatus>, Failure> {
        let AuthorityWish { generate, authority } = AuthorityWish::try_from(self)?;
        let source = change::Source::Generate(generate);
        let wish = change::Wish { kind: Kind::Certificate, about: About::default(), source };
        let credentials = &visit.app().credentials;
        let converged = credentials.converge(visit.owner(), wish, Some(authority), visit.retain_for).await;
        let entry = converged.map_err(AUTHORITY_FIELDS)?;
        let facts = credentials.facts(&entry.body)?;
        let bundle = self.spec.trust_bundle.as_ref().map(|it| bundle(it.config_map_name.to_string(), &entry));
        let bundle = bundle.transpose()?;
        let status = CertificateAuthorityStatus {
            revision: Some(number(entry.stamp.number)),
            not_after: facts.as_ref().map(|facts| Time(facts.not_after)),
            serial_number: facts.as_ref().map(|facts| hex::encode(&facts.serial)),
            config_map_name: bundle.as_ref().map(|it| it.name.clone()),
            ..CertificateAuthorityStatus::default()
        };
        Ok(Resolved {
            status,
            projections: bundle.into_iter().collect(),
            message: format!("signs with revision {}", entry.stamp.number),
            life: facts.map(|facts| Life { not_before: facts.not_before, not_after: facts.not_after }),
            wake_at: None,
            done: Vec::new(),
        })
    }
}

fn bundle(name: String, entry: &Entry<Credential>) -> Result<Projection, Failure> {
    let root = entry.body.material.require("ca")?.clone();
    let source = entry.stamp.version_id.hex();
    Projection::config_map(name, entry.stamp.number, vec![Item { key: BUNDLE_KEY.into(), value: root, source }])
}
