//! Which resources exist, what each needs from others, and what we know of them that the API server's
//! cache may not show yet. Kept by the watches of the resources, before anybody else hears of a change.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

use crate::domain::name::Path;
use crate::domain::permission::Scope;
use crate::domain::record::Owner;

#[derive(Default)]
pub struct Census(Mutex<Known>);

#[derive(Default)]
struct Known {
    entries: HashMap<Owner, Entry>,
    /// By namespace and name of what is needed.
    needed_by: HashMap<(String, String), HashSet<Owner>>,
    /// By path in lower case, where that is in no namespace of theirs.
    needed_abroad: BTreeMap<String, HashSet<Owner>>,
}

/// What a resource is made of.
#[derive(Default)]
pub struct Needs {
    /// Names in its own namespace.
    pub names: Vec<String>,
    pub paths: Vec<Path>,
}

impl From<Vec<String>> for Needs {
    fn from(names: Vec<String>) -> Self {
        Self { names, paths: Vec::new() }
    }
}

fn folded(path: &Path) -> String {
    path.as_str().to_ascii_lowercase()
}

#[derive(Default)]
struct Entry {
    uid: String,
    needs: Needs,
    /// Retries in a row that failed.
    failed: u32,
    /// Since when it waits for something else.
    waiting: Option<Timestamp>,
    /// The last failure that was logged.
    logged: Option<String>,
    /// The status that we wrote last, until a visit has seen it in the cache: a visit may have begun with what the
    /// cache had before, and must not write it again.
    written: Option<(u64, Value)>,
}

impl Known {
    fn remove(&mut self, owner: &Owner) -> Option<Entry> {
        let entry = self.entries.remove(owner)?;
        for path in &entry.needs.paths {
            if let Some(owners) = self.needed_abroad.get_mut(&folded(path)) {
                owners.remove(owner);
                if owners.is_empty() {
                    self.needed_abroad.remove(&folded(path));
                }
            }
        }
        for needed in &entry.needs.names {
            let key = (owner.namespace.clone(), needed.clone());
            if let Some(owners) = self.needed_by.get_mut(&key) {
                owners.remove(owner);
                if owners.is_empty() {
                    self.needed_by.remove(&key);
                }
            }
        }
        Some(entry)
    }
}

impl Census {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn enter(&self, owner: &Owner, uid: &str, needs: impl Into<Needs>) {
        let needs = needs.into();
        let mut known = self.lock();
        let before = known.remove(owner).filter(|entry| entry.uid == uid).unwrap_or_default();
        for path in &needs.paths {
            known.needed_abroad.entry(folded(path)).or_default().insert(owner.clone());
        }
        for needed in &needs.names {
            known.needed_by.entry((owner.namespace.clone(), needed.clone())).or_default().insert(owner.clone());
        }
        known.entries.insert(owner.clone(), Entry { uid: uid.to_owned(), needs, ..before });
    }

    pub fn leave(&self, owner: &Owner) {
        self.lock().remove(owner);
    }

    /// After a complete list of one kind: whoever was not in it is gone.
    pub fn retain(&self, kind: &str, listed: &HashSet<Owner>) {
        let mut known = self.lock();
        let gone: Vec<Owner> =
            known.entries.keys().filter(|owner| owner.kind == kind && !listed.contains(owner)).cloned().collect();
        for owner in gone {
            known.remove(&owner);
        }
    }

    pub fn knows(&self, owner: &Owner) -> bool {
        self.lock().entries.contains_key(owner)
    }

    pub fn is_alive(&self, owner: &Owner, uid: &str) -> bool {
        self.lock().entries.get(owner).is_some_and(|entry| entry.uid == uid)
    }

    /// The resources of this namespace that need the record of this name.
    pub fn needing(&self, namespace: &str, name: &str) -> Vec<Owner> {
        let key = (namespace.to_owned(), name.to_owned());
        self.lock().needed_by.get(&key).into_iter().flatten().cloned().collect()
    }

    /// The resources of other places that need the record at this path.
    pub fn needing_abroad(&self, path: &Path) -> Vec<Owner> {
        self.lock().needed_abroad.get(&folded(path)).into_iter().flatten().cloned().collect()
    }

    /// Those that need a record which a permission at this path is about.
    pub fn needing_within(&self, scope: &Scope) -> Vec<Owner> {
        let (text, known) = (scope.as_str().to_ascii_lowercase(), self.lock());
        let Some(folder) = text.strip_suffix('*') else {
            return known.needed_abroad.get(&text).into_iter().flatten().cloned().collect();
        };
        let from = known.needed_abroad.range(folder.to_owned()..);
        from.take_while(|(path, _)| path.starts_with(folder)).flat_map(|(_, owners)| owners).cloned().collect()
    }

    /// The status that we wrote after the version that the cache showed.
    pub fn written(&self, owner: &Owner, resource_version: u64) -> Option<Value> {
        let mut known = self.lock();
        let entry = known.entries.get_mut(owner)?;
        entry.written.take_if(|(version, _)| *version <= resource_version);
        entry.written.as_ref().map(|(_, status)| status.clone())
    }

    /// The version of our last write, if the cache does not show it yet.
    pub fn newest(&self, owner: &Owner, resource_version: u64) -> u64 {
        let known = self.lock();
        let written = known.entries.get(owner).and_then(|entry| entry.written.as_ref());
        written.map_or(resource_version, |(version, _)| resource_version.max(*version))
    }

    pub fn record(&self, owner: &Owner, uid: &str, resource_version: u64, status: Value) {
        if let Some(entry) = self.lock().entries.get_mut(owner).filter(|entry| entry.uid == uid) {
            entry.written = Some((resource_version, status));
        }
    }

    /// Counts one more failure in a row; says how many.
    pub fn failed(&self, owner: &Owner) -> u32 {
        self.lock().entries.get_mut(owner).map_or(1, |entry| {
            entry.failed = entry.failed.saturating_add(1);
            entry.failed
        })
    }

    pub fn succeeded(&self, owner: &Owner) {
        if let Some(entry) = self.lock().entries.get_mut(owner) {
            entry.failed = 0;
            entry.waiting = None;
        }
    }

    /// Since when it has been waiting, which begins now if it was not.
    pub fn waiting_since(&self, owner: &Owner, now: Timestamp) -> Timestamp {
        self.lock().entries.get_mut(owner).map_or(now, |entry| *entry.waiting.get_or_insert(now))
    }

    /// Whether this is another failure than the one logged last, or the first time without one.
    pub fn is_news(&self, owner: &Owner, failure: Option<&str>) -> bool {
        let mut known = self.lock();
        let Some(entry) = known.entries.get_mut(owner) else { return failure.is_some() };
        let news = entry.logged.as_deref() != failure;
        entry.logged = failure.map(str::to_owned);
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(kind: &str, name: &str) -> Owner {
        Owner { kind: kind.into(), namespace: "shop".into(), name: name.into() }
    }

    #[test]
    fn needs_follow_the_last_edit() {
        let census = Census::default();
        let service = owner("Service", "till");
        census.enter(&service, "1", vec!["db".into(), "mail".into()]);
        assert_eq!(census.needing("shop", "db"), std::slice::from_ref(&service));
        census.enter(&service, "1", vec!["mail".into()]);
        assert!(census.needing("shop", "db").is_empty());
        assert!(census.needing("other", "mail").is_empty());
        census.leave(&service);
        assert!(census.needing("shop", "mail").is_empty());
    }

    #[test]
    fn what_is_needed_from_elsewhere_is_found_by_its_path_in_any_case_and_by_what_grants_it() {
        let (census, ca) = (Census::default(), owner("CertificateAuthority", "ca"));
        let paths = vec![Path::parse("/Team/root").unwrap()];
        census.enter(&ca, "1", Needs { paths, ..Needs::default() });
        let abroad = |text: &str| census.needing_abroad(&Path::parse(text).unwrap()).len();
        assert_eq!((abroad("/team/ROOT"), abroad("/team/root2"), abroad("/team")), (1, 0, 0));
        let within = |text: &str| census.needing_within(&Scope::parse(text).unwrap()).len();
        for (scope, found) in [("/team/root", 1), ("/TEAM/*", 1), ("/*", 1), ("/team/roo", 0), ("/tea/*", 0)] {
            assert_eq!(within(scope), found, "{scope}");
        }
        assert!(census.needing("shop", "root").is_empty());
        census.enter(&ca, "1", Vec::new());
        assert_eq!((abroad("/team/root"), within("/*")), (0, 0));
    }

    #[test]
    fn a_list_speaks_of_its_own_kind_only() {
        let census = Census::default();
        let (credential, authority) = (owner("Credential", "db"), owner("CertificateAuthority", "ca"));
        census.enter(&credential, "1", vec![]);
        census.enter(&authority, "2", vec![]);
        census.retain("Credential", &HashSet::new());
        assert!(!census.knows(&credential));
        assert!(census.is_alive(&authority, "2"));
        assert!(!census.is_alive(&authority, "3"));
    }

    #[test]
    fn our_own_status_counts_until_a_visit_has_seen_it() {
        let census = Census::default();
        let db = owner("Credential", "db");
        census.enter(&db, "1", vec![]);
        census.record(&db, "1", 7, Value::from("status"));
        // The cache has it by now, but this visit began before.
        census.enter(&db, "1", vec![]);
        assert_eq!(census.written(&db, 5), Some(Value::from("status")));
        assert_eq!(census.written(&db, 7), None);
        assert_eq!(census.written(&db, 5), None);
        census.record(&db, "another", 9, Value::Null);
        assert!(census.written(&db, 0).is_none());
    }

    #[test]
    fn a_failure_is_news_once() {
        let census = Census::default();
        let db = owner("Credential", "db");
        census.enter(&db, "1", vec![]);
        assert!(!census.is_news(&db, None));
        assert!(census.is_news(&db, Some("a")));
        assert!(!census.is_news(&db, Some("a")));
        assert!(census.is_news(&db, Some("b")));
        assert!(census.is_news(&db, None));
        assert_eq!((census.failed(&db), census.failed(&db)), (1, 2));
        census.succeeded(&db);
        assert_eq!(census.failed(&db), 1);
    }
}
