//! Roles and grants as the settings say, and the task that asks for roles anew.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;

use crate::adapters::kms::aws::grants::AwsGrants;
use crate::adapters::kms::aws::iam::{IamPlace, IamRoles};
use crate::adapters::kms::aws::tokens::{AwsTokens, TokenPlace};
use crate::app::ports::{Clock, GrantKeeper, RoleBook};
use crate::app::roles::Source;
use crate::app::{App, Rolls};
use crate::config::confidant::{Confidant, Kmsauth, RolesFrom, TokenKeys};
use crate::domain::actor::PrincipalKind;

/// As often as Confidant asks.
const REFRESH: Duration = Duration::from_secs(600);

/// `cluster`: its ServiceAccounts, where there is one.
pub fn open(given: &Confidant, cluster: Option<Arc<dyn RoleBook>>, clock: &Arc<dyn Clock>) -> anyhow::Result<Rolls> {
    let iam = || {
        let place = IamPlace { endpoint: given.iam.endpoint.clone(), region: given.iam.region.clone() };
        IamRoles::new(place, clock.clone()).context("confidant.iam")
    };
    let roles = match (given.roles_from, cluster) {
        (RolesFrom::Settings, _) => Source::Fixed(given.roles.clone()),
        (RolesFrom::Iam, _) => Source::Book(Arc::new(iam()?)),
        (RolesFrom::Cluster, Some(book)) => Source::Book(book),
        (RolesFrom::Cluster, None) => bail!("confidant.rolesFrom: cluster needs one; use `strongroom run`"),
    };
    let managing = given.kmsauth.as_ref().filter(|kmsauth| kmsauth.manages_grants);
    let grants = match managing.and_then(of_services) {
        Some(tokens) => {
            let binds_sort = managing.is_some_and(|kmsauth| *kmsauth.terms.versions.start() > 1);
            Some(Arc::new(AwsGrants::new(tokens, iam()?, binds_sort)) as Arc<dyn GrantKeeper>)
        }
        None => None,
    };
    Ok(Rolls { roles, manages_grants: grants.is_some(), grants })
}

/// The first key of services without an account: keys of accounts get no grants.
fn of_services(given: &Kmsauth) -> Option<AwsTokens> {
    let fits =
        |known: &&crate::domain::kmsauth::KeyUse| known.kind == PrincipalKind::Service && known.account.is_none();
    let key = given.terms.keys.iter().find(fits)?.key.clone();
    match &given.keys {
        TokenKeys::File(_) => None,
        TokenKeys::Aws { endpoint, region } => {
            Some(AwsTokens::new(TokenPlace { keys: vec![key], endpoint: endpoint.clone(), region: region.clone() }))
        }
    }
}

/// Asks now and then, so that nobody who calls waits for it.
pub async fn keep_fresh(app: Arc<App>, shutdown: CancellationToken) {
    if !app.roles.changes() {
        return;
    }
    loop {
        if let Err(error) = app.roles.refresh().await {
            let detail = error.detail().unwrap_or_default();
            tracing::warn!(%error, %detail, "roles could not be asked for; the known ones stay");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(REFRESH) => {}
        }
    }
}
