//! What is known of existing projections, by their metadata alone: from the watches and from the answers
//! to our own writes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use tokio::sync::Notify;

use crate::domain::record::Owner;
use crate::k8s::label;
use crate::k8s::projection::Shelf;

/// The metadata of one object, as far as it decides something.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    pub uid: String,
    pub resource_version: String,
    pub kind: Option<String>,
    pub managed_by: Option<String>,
    pub owner: Option<String>,
    pub revision: Option<String>,
    pub content: Option<String>,
    pub mark: Option<String>,
    pub adopt: Option<String>,
    pub references: Vec<OwnerReference>,
    /// Keys of its data, by who wrote them last: we, or somebody else.
    pub our_keys: BTreeSet<String>,
    pub other_keys: BTreeSet<String>,
    /// We have just written all values: whatever managedFields say, they are right at this version.
    pub verified: bool,
}

impl Held {
    /// As the controller with this field manager sees it.
    pub fn read(meta: &ObjectMeta, ours: &str) -> Self {
        let label = |key: &str| meta.labels.as_ref().and_then(|all| all.get(key)).cloned();
        let annotation = |key: &str| meta.annotations.as_ref().and_then(|all| all.get(key)).cloned();
        let (mut our_keys, mut other_keys) = (BTreeSet::new(), BTreeSet::new());
        for entry in meta.managed_fields.iter().flatten().filter(|entry| entry.subresource.is_none()) {
            let keys = match entry.manager.as_deref() == Some(ours) {
                true => &mut our_keys,
                false => &mut other_keys,
            };
            for field in ["f:data", "f:binaryData"] {
                let fields = entry.fields_v1.as_ref().and_then(|fields| fields.0.get(field)?.as_object());
                keys.extend(
                    fields
                        .into_iter()
                        .flat_map(|map| map.keys())
                        .filter_map(|key| key.strip_prefix("f:"))
                        .map(str::to_owned),
                );
            }
        }
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            kind: label(label::KIND),
            managed_by: label(label::MANAGED_BY),
            owner: annotation(label::OWNER),
            revision: annotation(label::REVISION),
            content: annotation(label::CONTENT),
            mark: annotation(label::MARK),
            adopt: annotation(label::ADOPT),
            references: meta.owner_references.clone().unwrap_or_default(),
            our_keys,
            other_keys,
            verified: false,
        }
    }

    /// All keys, and nobody but us has written any of them.
    pub fn is_untouched(&self, keys: &BTreeSet<String>) -> bool {
        self.verified || (self.our_keys == *keys && self.other_keys.is_empty())
    }

    /// The resource that it says it shows.
    pub fn claimed_owner(&self, namespace: &str) -> Option<Owner> {
        Some(Owner { kind: self.kind.clone()?, namespace: namespace.to_owned(), name: self.owner.clone()? })
    }
}

/// Our field managers, one for each kind of resource.
pub fn manager(kind: &str) -> String {
    format!("{}-{}", label::STRONGROOM, kind.to_ascii_lowercase())
}

/// As the controller of the kind that it is labelled with sees it.
pub fn read(meta: &ObjectMeta) -> Held {
    let kind = meta.labels.as_ref().and_then(|all| all.get(label::KIND));
    Held::read(meta, &manager(kind.map_or("", String::as_str)))
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub namespace: String,
    pub shelf: Shelf,
    pub name: String,
}

/// Every projection in the cluster, by place and by the resource that it shows.
#[derive(Default)]
pub struct Projections {
    known: Mutex<Known>,
    /// Something was added, changed or removed. For one who looks at all of them then.
    pub news: Notify,
}

#[derive(Default)]
struct Known {
    held: HashMap<Place, Held>,
    by_owner: HashMap<Owner, BTreeSet<Place>>,
    /// The newest version that each shelf's watch has told of: everything before it is known.
    told: HashMap<Shelf, u64>,
}

impl Known {
    fn hear(&mut self, shelf: Shelf, version: &str) {
        let told = self.told.entry(shelf).or_default();
        *told = number(version).max(*told);
    }

    fn forget(&mut self, place: &Place) -> Option<Owner> {
        let owner = self.held.remove(place)?.claimed_owner(&place.namespace)?;
        if let Some(places) = self.by_owner.get_mut(&owner) {
            places.remove(place);
            if places.is_empty() {
                self.by_owner.remove(&owner);
            }
        }
        Some(owner)
    }

    fn keep(&mut self, place: Place, held: Held) -> HashSet<Owner> {
        let mut owners: HashSet<Owner> = self.forget(&place).into_iter().collect();
        if let Some(owner) = held.claimed_owner(&place.namespace) {
            self.by_owner.entry(owner.clone()).or_default().insert(place.clone());
            owners.insert(owner);
        }
        self.held.insert(place, held);
        owners
    }
}

/// A number on every API server that is conformant, and one sequence for all objects of a kind (KEP-5504).
fn number(version: &str) -> u64 {
    version.parse().unwrap_or_default()
}

impl Projections {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, place: &Place) -> Option<Held> {
        self.lock().held.get(place).cloned()
    }

    pub fn of(&self, owner: &Owner) -> Vec<(Place, Held)> {
        let known = self.lock();
        let places = known.by_owner.get(owner).into_iter().flatten();
        places.filter_map(|place| Some((place.clone(), known.held.get(place)?.clone()))).collect()
    }

    /// What we have written ourselves. The watch may have been faster than the answer to our request: what it has
    /// told meanwhile, that the projection is gone or lost its label included, is not undone.
    pub fn record(&self, place: Place, held: Held) {
        let mut known = self.lock();
        let is_news = match known.held.get(&place) {
            Some(old) if old.resource_version == held.resource_version => held.verified,
            Some(old) => number(&held.resource_version) > number(&old.resource_version),
            None => known.told.get(&place.shelf).is_none_or(|told| number(&held.resource_version) > *told),
        };
        if is_news {
            known.keep(place, held);
            self.news.notify_one();
        }
    }

    /// What a watch tells. Returns the resources that have to look, which are none for an echo of our own write.
    pub fn observe(&self, place: Place, held: Held) -> HashSet<Owner> {
        let mut known = self.lock();
        known.hear(place.shelf, &held.resource_version);
        match known.held.get(&place) {
            Some(old) if number(&old.resource_version) >= number(&held.resource_version) => HashSet::new(),
            _ => {
                self.news.notify_one();
                known.keep(place, held)
            }
        }
    }

    /// What a watch tells of one that is deleted, or not labelled as ours any more, since this version. Returns whose
    /// it was. One that we have written anew since then, and another object at the same place, stay.
    pub fn observe_end(&self, place: &Place, uid: &str, version: &str) -> Option<Owner> {
        let mut known = self.lock();
        known.hear(place.shelf, version);
        match known.held.get(place) {
            Some(held) if held.uid == uid && number(&held.resource_version) <= number(version) => known.forget(place),
            _ => None,
        }
    }

    /// What we have deleted ourselves.
    pub fn remove(&self, place: &Place, uid: &str) {
        let mut known = self.lock();
        if known.held.get(place).is_some_and(|held| held.uid == uid) {
            known.forget(place);
        }
    }

    /// After a complete list: whatever of this shelf was not in it is gone. Returns whose it was.
    pub fn retain(&self, shelf: Shelf, listed: &HashSet<Place>) -> HashSet<Owner> {
        let mut known = self.lock();
        let gone: Vec<Place> =
            known.held.keys().filter(|place| place.shelf == shelf && !listed.contains(place)).cloned().collect();
        gone.iter().filter_map(|place| known.forget(place)).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// A Secret of Credential db in namespace shop as the API server shows it to a metadata watch.
    pub(crate) fn meta(version: &str, owner: &str, managers: &[(&str, &[&str])]) -> ObjectMeta {
        let fields =
            |keys: &[&str]| keys.iter().map(|key| (format!("f:{key}"), json!({}))).collect::<serde_json::Map<_, _>>();
        let managed: Vec<_> = managers
            .iter()
            .map(|(manager, keys)| {
                json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                       "fieldsV1": {"f:data": fields(keys), "f:type": {}}})
            })
            .collect();
        serde_json::from_value(json!({
            "name": "db", "namespace": "shop", "uid": "u1", "resourceVersion": version,
            "labels": {label::KIND: "Credential", label::MANAGED_BY: label::STRONGROOM},
            "annotations": {label::OWNER: owner, label::REVISION: "1", label::CONTENT: "word"},
            "managedFields": managed,
        }))
        .unwrap()
    }

    fn place() -> Place {
        Place { namespace: "shop".into(), shelf: Shelf::Secrets, name: "db".into() }
    }

    fn owner(name: &str) -> Owner {
        Owner { kind: "Credential".into(), namespace: "shop".into(), name: name.into() }
    }

    #[test]
    fn managed_fields_tell_whose_each_key_is() {
        let held = read(&meta("1", "db", &[("strongroom-credential", &["password"]), ("kubectl-edit", &["username"])]));
        assert_eq!(held.our_keys, BTreeSet::from(["password".to_owned()]));
        assert_eq!(held.other_keys, BTreeSet::from(["username".to_owned()]));
        let keys = BTreeSet::from(["password".to_owned(), "username".to_owned()]);
        assert!(!held.is_untouched(&keys));
        let other_kind = read(&meta("1", "db", &[("strongroom-service", &["password"])]));
        assert!(other_kind.our_keys.is_empty());
    }

    #[test]
    fn an_echo_of_our_own_write_wakes_nobody() {
        let projections = Projections::default();
        projections.record(place(), read(&meta("5", "db", &[])));
        assert!(projections.observe(place(), read(&meta("5", "db", &[]))).is_empty());
        assert!(projections.observe(place(), read(&meta("4", "db", &[]))).is_empty());
        assert_eq!(projections.observe(place(), read(&meta("6", "db", &[]))), HashSet::from([owner("db")]));
    }

    #[test]
    fn a_projection_that_changes_hands_wakes_both() {
        let projections = Projections::default();
        projections.record(place(), read(&meta("5", "db", &[])));
        let woken = projections.observe(place(), read(&meta("6", "mail", &[])));
        assert_eq!(woken, HashSet::from([owner("db"), owner("mail")]));
        assert!(projections.of(&owner("db")).is_empty());
        assert_eq!(projections.of(&owner("mail")).len(), 1);
    }

    #[test]
    fn a_deletion_of_an_earlier_object_is_old_news() {
        let projections = Projections::default();
        projections.record(place(), read(&meta("5", "db", &[])));
        assert_eq!(projections.observe_end(&place(), "u0", "6"), None);
        assert_eq!(projections.observe_end(&place(), "u1", "4"), None);
        assert_eq!(projections.observe_end(&place(), "u1", "6"), Some(owner("db")));
        assert!(projections.get(&place()).is_none());
    }

    #[test]
    fn an_answer_that_comes_after_the_end_was_told_does_not_bring_it_back() {
        let written = || Held { verified: true, ..read(&meta("5", "db", &[])) };
        for told in [&["5"][..], &["4"], &[]] {
            let projections = Projections::default();
            projections.observe(place(), read(&meta("3", "db", &[])));
            for version in told {
                projections.observe(place(), read(&meta(version, "db", &[])));
            }
            assert_eq!(projections.observe_end(&place(), "u1", "6"), Some(owner("db")));
            projections.record(place(), written());
            assert!(projections.get(&place()).is_none(), "{told:?}");
            projections.record(place(), Held { resource_version: "7".into(), ..written() });
            assert!(projections.get(&place()).is_some_and(|held| held.verified));
        }
    }

    #[test]
    fn an_answer_that_comes_after_a_later_edit_was_told_does_not_hide_it() {
        let projections = Projections::default();
        projections.observe(place(), read(&meta("6", "db", &[("kubectl-edit", &["password"])])));
        projections.record(place(), Held { verified: true, ..read(&meta("5", "db", &[])) });
        assert!(projections.get(&place()).is_some_and(|held| held.resource_version == "6" && !held.verified));
    }

    #[test]
    fn what_a_list_does_not_have_is_gone() {
        let projections = Projections::default();
        projections.record(place(), read(&meta("5", "db", &[])));
        assert!(projections.retain(Shelf::ConfigMaps, &HashSet::new()).is_empty());
        assert_eq!(projections.retain(Shelf::Secrets, &HashSet::new()), HashSet::from([owner("db")]));
    }
}
