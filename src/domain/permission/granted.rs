//! What all permissions of one actor come to, compiled to be asked often: nothing is allocated for an answer, and it takes
//! as many looks as the name has segments, however many permissions there are.

use std::cmp::Ordering;

use crate::domain::permission::{Operation, Operations, Scope};

/// The union of what is granted at the name itself and at every folder above it: nothing takes anything away.
#[derive(Debug, Default)]
pub struct Granted {
    everywhere: Operations,
    names: Table,
    folders: Table,
    readable: Vec<Scope>,
}

/// What an actor may read, for whoever looks for all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readable<'a> {
    Everything,
    /// In lower case, in their order, and none of them below another.
    Only(&'a [Scope]),
}

impl Granted {
    pub fn new<'a>(permissions: impl IntoIterator<Item = (&'a Scope, Operations)>) -> Self {
        let (mut everywhere, mut names, mut folders) = (Operations::default(), Vec::new(), Vec::new());
        for (path, operations) in permissions {
            match path.folder() {
                Some("") => everywhere = everywhere.and(operations),
                Some(folder) => folders.push((folded(folder), operations)),
                None => names.push((folded(path.as_str()), operations)),
            }
        }
        let granted = Self { everywhere, names: Table::new(names), folders: Table::new(folders), readable: Vec::new() };
        Self { readable: granted.scopes(Operation::Read), ..granted }
    }

    /// For who may do everything.
    pub fn everything() -> Self {
        Self { everywhere: Operations::all(), ..Self::default() }
    }

    /// Whether the operation is allowed at what is called so. What has no name takes the right at every path.
    pub fn allows(&self, operation: Operation, name: &str) -> bool {
        self.everywhere.contains(operation)
            || self.names.get(name).contains(operation)
            || self.allows_above(operation, name)
    }

    /// Whether all of them are.
    pub fn allows_all(&self, operations: Operations, name: &str) -> bool {
        operations.iter().all(|operation| self.allows(operation, name))
    }

    pub fn readable(&self) -> Readable<'_> {
        if self.everywhere.contains(Operation::Read) { Readable::Everything } else { Readable::Only(&self.readable) }
    }

    /// By a folder that it lies in, `/*` not counted.
    fn allows_above(&self, operation: Operation, name: &str) -> bool {
        let is_slash = |(at, byte): &(usize, u8)| *at > 0 && *byte == b'/';
        let mut slashes = name.bytes().enumerate().filter(is_slash);
        !self.folders.0.is_empty() && slashes.any(|(at, _)| self.folders.get(&name[..at]).contains(operation))
    }

    /// Where the operation is allowed, without what lies below something else.
    fn scopes(&self, operation: Operation) -> Vec<Scope> {
        let top = |table: &Table, scope: fn(&str) -> Scope| -> Vec<Scope> {
            let granted = table.0.iter().filter(|(_, operations)| operations.contains(operation));
            granted.filter(|(name, _)| !self.allows_above(operation, name)).map(|(name, _)| scope(name)).collect()
        };
        let mut scopes = top(&self.names, Scope::of_name);
        scopes.extend(top(&self.folders, Scope::of_folder));
        scopes.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        scopes
    }
}

/// Operations by name, in the order of names, which are in lower case.
#[derive(Debug, Default)]
struct Table(Vec<(Box<str>, Operations)>);

impl Table {
    fn new(mut rows: Vec<(Box<str>, Operations)>) -> Self {
        rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        // Names that differ in case only are one here.
        rows.dedup_by(|(name, more), (first, operations)| {
            let same = name == first;
            if same {
                *operations = operations.and(*more);
            }
            same
        });
        Self(rows)
    }

    fn get(&self, name: &str) -> Operations {
        let found = self.0.binary_search_by(|(known, _)| order(known, name));
        found.map_or(Operations::default(), |at| self.0[at].1)
    }
}

fn folded(name: &str) -> Box<str> {
    name.to_ascii_lowercase().into()
}

/// As texts are ordered, with the second one in lower case.
fn order(known: &str, name: &str) -> Ordering {
    known.bytes().cmp(name.bytes().map(|byte| byte.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn granted(permissions: &[(&str, &[Operation])]) -> Granted {
        let parsed = permissions.iter().map(|(path, operations)| {
            (Scope::parse(path).unwrap(), operations.iter().copied().collect::<Operations>())
        });
        let parsed: Vec<_> = parsed.collect();
        Granted::new(parsed.iter().map(|(path, operations)| (path, *operations)))
    }

    use Operation::{Delete, Read, Write};

    #[test]
    fn the_name_and_every_folder_above_it_add_up() {
        let granted = granted(&[("/a/b/c", &[Read]), ("/a/*", &[Write]), ("/A/B/*", &[Delete])]);
        for operation in [Read, Write, Delete] {
            assert!(granted.allows(operation, "/a/b/c") && granted.allows(operation, "/A/b/C"));
        }
        assert!(granted.allows_all([Read, Write].into_iter().collect(), "/a/b/c"));
        assert!(!granted.allows_all(Operations::all(), "/a/b/c"));
        assert!(!granted.allows(Read, "/a/b/c/d") && granted.allows(Write, "/a/b/c/d"));
        assert!(!granted.allows(Delete, "/a/bb/c"));
        for name in ["/a", "/ab", "/ab/c", "", "/", "/b/a/b/c"] {
            assert!(Operation::ALL.iter().all(|operation| !granted.allows(*operation, name)), "{name}");
        }
    }

    #[test]
    fn a_star_at_the_root_is_everything_even_what_has_no_name() {
        let granted = granted(&[("/*", &[Read])]);
        for name in ["", "/", "/a", "/a/b", "uuid"] {
            assert!(granted.allows(Read, name) && !granted.allows(Write, name), "{name}");
        }
        assert_eq!(granted.readable(), Readable::Everything);
        assert!(Operation::ALL.iter().all(|operation| Granted::everything().allows(*operation, "")));
        assert!(!Granted::default().allows(Read, "/a"));
        assert_eq!(Granted::default().readable(), Readable::Only(&[]));
    }

    #[test]
    fn whoever_manages_a_folder_manages_its_own_permission() {
        let granted = granted(&[("/a/*", &[Operation::WriteAcl])]);
        for (path, allowed) in [("/a/*", true), ("/a/b/*", true), ("/a/b", true), ("/a", false), ("/*", false)] {
            assert_eq!(granted.allows(Operation::WriteAcl, path), allowed, "{path}");
        }
    }

    #[test]
    fn what_is_readable_is_told_without_what_is_covered() {
        let granted = granted(&[
            ("/B/*", &[Read]),
            ("/b/c/*", &[Read]),
            ("/b/c", &[Read]),
            ("/b", &[Read]),
            ("/a/x", &[Read]),
            ("/A/X", &[Write]),
            ("/w/*", &[Write]),
            ("/w/a/*", &[Read]),
        ]);
        let Readable::Only(scopes) = granted.readable() else { panic!("not everything") };
        assert_eq!(scopes.iter().map(Scope::as_str).collect::<Vec<_>>(), ["/a/x", "/b", "/b/*", "/w/a/*"]);
    }

    /// What is meant, without a thought for its cost.
    fn slowly(permissions: &[(Scope, Operations)], operation: Operation, name: &str) -> bool {
        permissions.iter().filter(|(_, operations)| operations.contains(operation)).any(|(path, _)| {
            let (path, name) = (path.as_str().to_ascii_lowercase(), name.to_ascii_lowercase());
            match path.strip_suffix('*') {
                Some(folder) => name.starts_with(folder),
                None => name == path,
            }
        })
    }

    fn name() -> impl Strategy<Value = String> {
        prop::collection::vec("[abA]{1,2}", 1..5).prop_map(|segments| format!("/{}", segments.join("/")))
    }

    fn scope() -> impl Strategy<Value = Scope> {
        let below = name().prop_map(|name| format!("{name}/*"));
        let any = prop_oneof![6 => name(), 6 => below, 1 => Just("/*".to_owned())];
        any.prop_map(|text| Scope::parse(&text).unwrap())
    }

    fn operations() -> impl Strategy<Value = Operations> {
        prop::collection::vec(prop::sample::select(Operation::ALL.to_vec()), 0..3)
            .prop_map(|operations| operations.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        /// 400 × 50 names × 5 operations: 100,000 answers.
        #[test]
        fn the_answer_is_what_is_meant(
            permissions in prop::collection::vec((scope(), operations()), 0..12),
            names in prop::collection::vec(name(), 50),
        ) {
            let granted = Granted::new(permissions.iter().map(|(path, operations)| (path, *operations)));
            for name in &names {
                for operation in Operation::ALL {
                    let wanted = slowly(&permissions, operation, name);
                    prop_assert_eq!(granted.allows(operation, name), wanted, "{:?} {}", operation, name);
                }
                let readable = match granted.readable() {
                    Readable::Everything => true,
                    Readable::Only(scopes) => scopes.iter().filter(|scope| {
                        slowly(&[((*scope).clone(), Operations::all())], Read, name)
                    }).count() == 1,
                };
                prop_assert_eq!(readable, granted.allows(Read, name), "readable {}", name);
            }
        }
    }
}
