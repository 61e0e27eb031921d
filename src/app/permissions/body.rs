//! A permission as a record: its body, and how it is found by its actor and by its path. Both are in the index as digests,
//! so that they have one length, and nobody reads there who may what.

use aws_lc_rs::digest::{Context, SHA256};

use crate::app::audit::{Event, Grant};
use crate::app::body::Body;
use crate::app::ports::{Alias, AliasKind};
use crate::domain::Result;
use crate::domain::credential::Material;
use crate::domain::name::RecordId;
use crate::domain::permission::{Permission, Scope};
use crate::domain::record::Class;

/// Beside its texts.
const OVERHEAD: usize = 64;

impl Body for Permission {
    const CLASS: Class = Class::Permission;
    type Words = Permission;

    fn split(&self) -> (Permission, Material) {
        (self.clone(), Material::default())
    }

    fn join(words: Permission, _: Material) -> Result<Self> {
        Ok(words)
    }

    fn size(&self) -> usize {
        OVERHEAD + self.actor.len() + self.path.as_str().len()
    }

    fn aliases(&self, _: RecordId) -> Vec<Alias> {
        vec![Alias { kind: AliasKind::Grant, value: alias(&self.actor, &self.path) }]
    }

    fn links(&self) -> Vec<RecordId> {
        vec![of_actor(&self.actor), of_path(self.path.as_str())]
    }

    /// By the path, under which people look for it; a permission's name as a record says nothing.
    fn told<'a>(&'a self, event: Event<'a>) -> Event<'a> {
        let grant = Grant { actor: &self.actor, operations: self.operations };
        Event { name: self.path.as_str(), grant: Some(grant), ..event }
    }
}

/// Of the one permission that this actor has at this path, in this spelling.
pub(super) fn alias(actor: &str, path: &Scope) -> String {
    hex::encode(digest("grant", &[actor, path.as_str()]))
}

/// What all permissions of an actor link to.
pub(super) fn of_actor(actor: &str) -> RecordId {
    RecordId::derived(&digest("actor", &[actor]))
}

/// What all permissions at a path link to, in whatever case they write it: they are about one credential.
pub(super) fn of_path(path: &str) -> RecordId {
    RecordId::derived(&digest("path", &[&path.to_ascii_lowercase()]))
}

/// Which sort of thing it is and where each part ends is digested too: no two of them are the same bytes.
fn digest(sort: &str, parts: &[&str]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in ["strongroom permission", sort].iter().chain(parts) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::body::{decode, encode};
    use crate::domain::permission::Operation;

    const ID: RecordId = RecordId::from_bytes([0; 16]);

    fn permission(actor: &str, path: &str) -> Permission {
        let operations = [Operation::WriteAcl, Operation::Read].into_iter().collect();
        Permission { actor: actor.into(), path: Scope::parse(path).unwrap(), operations }
    }

    #[test]
    fn a_permission_comes_back_as_it_was() {
        let before = permission("uaa-client:till", "/Team/*");
        let bytes = encode(&before).unwrap();
        assert_eq!(decode::<Permission>(&bytes).unwrap(), before);
        let words = br#"{"actor":"uaa-client:till","path":"/Team/*","operations":["read","write_acl"]}"#;
        assert!(bytes.windows(words.len()).any(|window| window == words), "a promise to every later version");
    }

    #[test]
    fn no_two_things_are_found_by_the_same_word() {
        let one = permission("a", "/b");
        assert_eq!(one.aliases(ID)[0].value.len(), 64);
        for other in [permission("a/", "/b"), permission("a", "/B"), permission("b", "/a"), permission("a", "/b/*")] {
            assert_ne!(one.aliases(ID), other.aliases(ID));
        }
        assert_eq!(of_path("/B"), of_path("/b"));
        assert_ne!(of_path("/b"), of_actor("/b"));
        assert_ne!(of_actor("A"), of_actor("a"));
        assert_eq!(one.links(), [of_actor("a"), of_path("/b")]);
    }
}
