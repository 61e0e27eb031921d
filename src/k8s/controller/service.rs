//! `Service`: the keys of several credentials in one Secret.

use crate::app::services::Wish;
use crate::domain::credential::Credential;
use crate::domain::error::Holder;
use crate::domain::record::{Class, Entry};
use crate::domain::service::{Member, require_distinct_keys, resource_id};
use crate::domain::{Error, Result, Violation};
use crate::k8s::controller::{Reconciled, Resolved, Visit, keys};
use crate::k8s::crd::{Managed, Service, ServiceCredential, ServiceStatus};
use crate::k8s::failure::Failure;
use crate::k8s::projection::{self, Item, Projection};

const SECRET_TYPE: &str = "Opaque";

impl Reconciled for Service {
    const CLASS: Class = Class::Service;

    fn needs(&self) -> Vec<String> {
        self.spec.credentials.iter().map(|credential| credential.name.to_string()).collect()
    }

    fn shown(status: &ServiceStatus) -> Option<&str> {
        status.secret_name.as_deref()
    }

    /// What changes for its readers is a revision of a credential, which says so itself.
    fn revision(_: &ServiceStatus) -> Option<i64> {
        None
    }

    async fn resolve(&self, visit: &Visit<'_>) -> Result<Resolved<ServiceStatus>, Failure> {
        let services = &visit.app().services;
        let owner = visit.owner();
        let members = services.resource_members(owner, &self.needs()).await?;
        let items = select(&self.spec.credentials, &members).map_err(advise)?;
        let clients = self.spec.clients.iter().map(|client| client.name.to_string()).collect();
        let wish = Wish { credentials: self.needs(), clients };
        let entry = services.converge(owner, wish, visit.retain_for).await?.entry;
        let projection =
            self.secret_name().map(|name| Projection::secret(name, SECRET_TYPE, entry.stamp.number, items));
        let projection = projection.transpose()?;
        let status = ServiceStatus {
            keys: projection.as_ref().map(keys).unwrap_or_default(),
            secret_name: projection.as_ref().map(|it| it.name.clone()),
            service_id: Some(resource_id(&owner.namespace, &owner.name)),
            ..ServiceStatus::default()
        };
        let message = match &projection {
            Some(projection) => format!("{} shows {} credentials", projection.what(), members.len()),
            None => format!("{} credentials are readable over REST; no Secret is asked for", members.len()),
        };
        let projections = projection.into_iter().collect();
        Ok(Resolved { status, projections, message, life: None, due: None, wake_at: None, done: Vec::new() })
    }
}

/// The keys of every credential as the service names them. One key twice, and a key that is not there, are refused.
fn select(wanted: &[ServiceCredential], members: &[Entry<Credential>]) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut held = Vec::new();
    let mut violations = Vec::new();
    for (wish, entry) in wanted.iter().zip(members) {
        let all = projection::items(&entry.body.material, entry.body.kind, &entry.stamp.version_id.hex());
        let has: Vec<&str> = all.iter().map(|item| item.key.as_str()).collect();
        for unknown in wish.keys.keys().filter(|key| !has.contains(&key.as_str())) {
            let field = format!("spec.credentials[{}].keys", wish.name);
            let why =
                format!("names {unknown}, which is not among the keys of Credential {}: {}", wish.name, has.join(", "));
            violations.push(Violation { field, why });
        }
        let taken: Vec<Item> = all.into_iter().filter_map(|item| take(wish, item)).collect();
        let keys = taken.iter().map(|item| item.key.clone()).collect();
        held.push(Member { holder: Holder { id: entry.head.id, is_blind: false, name: wish.name.to_string() }, keys });
        items.extend(taken);
    }
    if !violations.is_empty() {
        return Err(Error::Invalid(violations));
    }
    require_distinct_keys(&held)?;
    Ok(items)
}

fn take(wish: &ServiceCredential, item: Item) -> Option<Item> {
    match (wish.keys.is_empty(), wish.keys.get(&item.key)) {
        (true, _) => Some(item),
        (false, Some(name)) => Some(Item { key: name.to_string(), ..item }),
        (false, None) => None,
    }
}

fn advise(error: Error) -> Failure {
    let mut failure = Failure::from(error);
    if failure.reason == "KeyConflict" {
        failure.message.push_str(": give one of them another name in spec.credentials[].keys");
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::credential::Memo;
    use crate::domain::credential::{About, Kind, Material};
    use crate::domain::name::{RecordId, Revision, Tenant, VersionId};
    use crate::domain::record::{Head, Origin, Stamp};
    use jiff::{SignedDuration, Timestamp};
    use serde_json::json;

    fn member(n: u8, material: Material, kind: Kind) -> Entry<Credential> {
        let head = Head {
            id: RecordId::from_random([n; 16]),
            class: Class::Credential,
            tenant: Tenant::namespace("shop"),
            name: format!("/kubernetes/shop/{n}"),
            origin: Origin::Rest,
            retain_for: SignedDuration::ZERO,
            released: None,
        };
        let at = Timestamp::UNIX_EPOCH;
        let stamp = Stamp { number: Revision(1), version_id: VersionId::from_random([n; 16]), at, by: "x".into() };
        let body = Credential {
            title: head.name.clone(),
            kind,
            about: About::default(),
            generated: None,
            rotated_at: at,
            not_after: None,
            authority: None,
            lineage: None,
            memo: Memo::default(),
            material,
        };
        Entry { head, stamp, body }
    }

    fn user(n: u8) -> Entry<Credential> {
        member(n, Material::texts([("username", "u".into()), ("password", "p".into())]), Kind::User)
    }

    fn wanted(spec: serde_json::Value) -> Vec<ServiceCredential> {
        serde_json::from_value(spec).unwrap()
    }

    fn names(items: &[Item]) -> Vec<&str> {
        items.iter().map(|item| item.key.as_str()).collect()
    }

    #[test]
    fn without_a_choice_all_keys_are_taken_as_their_secret_has_them() {
        let key = Material::texts([("public_key", "a".into()), ("private_key", "b".into())]);
        let members = [user(1), member(2, key, Kind::Ssh)];
        let items = select(&wanted(json!([{"name": "db"}, {"name": "deploy"}])), &members).unwrap();
        assert_eq!(names(&items), ["username", "password", "ssh-publickey", "ssh-privatekey"]);
    }

    #[test]
    fn a_choice_takes_and_renames_and_leaves_the_rest() {
        let items = select(&wanted(json!([{"name": "db", "keys": {"password": "DB_PASSWORD"}}])), &[user(1)]).unwrap();
        assert_eq!(names(&items), ["DB_PASSWORD"]);
        assert_eq!(items[0].value, "p".into());
    }

    #[test]
    fn one_key_in_two_credentials_names_it_and_both() {
        let wish = wanted(json!([{"name": "db", "keys": {"password": "password"}}, {"name": "mail"}]));
        let failure = advise(select(&wish, &[user(1), user(2)]).map(drop).unwrap_err());
        assert_eq!(failure.reason, "KeyConflict");
        assert!(failure.message.starts_with("key password is in db and mail: "), "{}", failure.message);
        let renamed = wanted(json!([{"name": "db", "keys": {"password": "DB"}}, {"name": "mail"}]));
        assert!(select(&renamed, &[user(1), user(2)]).is_ok());
    }

    #[test]
    fn a_key_that_is_not_there_is_named_with_those_that_are() {
        let wish = wanted(json!([{"name": "db", "keys": {"token": "T"}}]));
        let error = select(&wish, &[user(1)]).map(drop).unwrap_err().to_string();
        assert_eq!(
            error,
            "spec.credentials[db].keys names token, which is not among the keys of Credential db: username, password"
        );
    }
}
