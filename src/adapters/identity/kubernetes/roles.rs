//! ServiceAccounts as the roles that services are offered to be called after. Needs the right to list them, which the
//! install does not give by itself: most installations have no use for it.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::ListParams;
use kube::{Api, Client};

use super::described;
use crate::app::ports::RoleBook;
use crate::domain::service::resource_id;
use crate::domain::{Error, Result};

const PAGE: u32 = 500;

pub struct ServiceAccounts {
    client: Client,
}

impl ServiceAccounts {
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl RoleBook for ServiceAccounts {
    /// By the id that a `Service` resource of the same name has.
    async fn names(&self) -> Result<Vec<String>> {
        let accounts: Api<ServiceAccount> = Api::all(self.client.clone());
        let (mut names, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = ListParams { limit: Some(PAGE), continue_token: after, ..ListParams::default() };
            let listed = accounts.list_metadata(&page).await;
            let listed = listed.map_err(|error| {
                let right = "; confidant.rolesFrom: cluster needs the right to list serviceaccounts of all namespaces";
                Error::Unavailable { part: "the API server", detail: described(&error) + right }
            })?;
            let name = |meta: kube::core::ObjectMeta| Some(resource_id(&meta.namespace?, &meta.name?));
            names.extend(listed.items.into_iter().filter_map(|account| name(account.metadata)));
            after = listed.metadata.continue_.filter(|token| !token.is_empty());
            if after.is_none() {
                names.sort_unstable();
                return Ok(names);
            }
        }
    }
}
