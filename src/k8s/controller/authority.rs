//! `CertificateAuthority`: its key stays in the store; what it shows is the root to trust. One that is signed from outside
//! of its namespace follows that authority's record: it waits for it, and says when it was replaced.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::app::making::Above;
use crate::domain::credential::{About, Credential, Kind, change};
use crate::domain::name::{Path, Tenant};
use crate::domain::record::{Class, Entry};
use crate::k8s::conditions::{Due, Life};
use crate::k8s::controller::{Reconciled, Resolved, Visit, number};
use crate::k8s::crd::{CertificateAuthority, CertificateAuthorityStatus};
use crate::k8s::failure::Failure;
use crate::k8s::projection::{Item, Projection};
use crate::k8s::translate::{AUTHORITY_FIELDS, AuthorityWish, parent_of};

const BUNDLE_KEY: &str = "ca.crt";

impl Reconciled for CertificateAuthority {
    const CLASS: Class = Class::Credential;

    fn needs(&self) -> Vec<String> {
        let own = parent_of(self).and_then(|path| Some(path.as_resource()?.1.to_owned()));
        own.filter(|_| self.foreign().is_empty()).into_iter().collect()
    }

    fn foreign(&self) -> Vec<Path> {
        let own = Tenant::namespace(&self.namespace().unwrap_or_default());
        parent_of(self).filter(|path| path.tenant() != own).into_iter().collect()
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
        let above = credentials.above(&entry).await?;
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
            due: above.zip(parent_of(self)).map(|(above, parent)| due(above, &parent)),
            wake_at: None,
            done: Vec::new(),
        })
    }
}

/// A certificate in its place would break every chain that this one has signed, so that is not done unasked.
fn due(above: Above, parent: &Path) -> Due {
    let (reason, what) = match above {
        Above::Replaced => ("ParentReplaced", "has another certificate than the one that signed this authority"),
        Above::Gone => ("ParentGone", "is not there any more"),
    };
    let message = format!(
        "{parent} {what}; what this authority signs is valid all the same: make a new CertificateAuthority to follow it"
    );
    Due { reason, message }
}

fn bundle(name: String, entry: &Entry<Credential>) -> Result<Projection, Failure> {
    let root = entry.body.material.require("ca")?.clone();
    let source = entry.stamp.version_id.hex();
    Projection::config_map(name, entry.stamp.number, vec![Item { key: BUNDLE_KEY.into(), value: root, source }])
}
