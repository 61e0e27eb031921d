//! Writing permissions: several at once, all of them or none.

use jiff::SignedDuration;

use crate::app::audit::{Event, Grant, Note};
use crate::app::body;
use crate::app::body::Body;
use crate::app::ports::{Append, Change, Row, Write};
use crate::app::records::{Changed, Records};
use crate::domain::actor::Actor;
use crate::domain::name::{RecordId, Revision, Tenant};
use crate::domain::permission::Permission;
use crate::domain::record::{Class, Entry, Head, Origin, Stamp};
use crate::domain::{Error, Result};

/// Another process may replace the data key once while we write; twice in a row does not happen.
const ATTEMPTS: usize = 4;

/// What is to be done to one permission, from how it was found.
pub(super) enum Planned {
    Put { entry: Entry<Permission>, expected: Option<Revision> },
    Forget { row: Row, permission: Permission },
}

impl Records {
    pub(super) fn new_permission(&self, actor: &Actor, body: Permission) -> Planned {
        let id = self.new_id();
        let head = Head {
            id,
            class: Class::Permission,
            tenant: Tenant::outside(),
            name: name(id),
            origin: Origin::Rest,
            retain_for: SignedDuration::ZERO,
            released: None,
        };
        Planned::Put {
            entry: Entry { head, stamp: self.permission_stamp(actor, Revision::FIRST), body },
            expected: None,
        }
    }

    /// The revision after this one.
    pub(super) fn next_permission(&self, actor: &Actor, current: &Entry<Permission>, body: Permission) -> Planned {
        let expected = current.stamp.number;
        let stamp = self.permission_stamp(actor, expected.next());
        Planned::Put { entry: Entry { head: current.head.clone(), stamp, body }, expected: Some(expected) }
    }

    fn permission_stamp(&self, actor: &Actor, number: Revision) -> Stamp {
        let at = self.now();
        Stamp { number, version_id: self.entropy.version_id(at), at, by: actor.id.clone() }
    }

    /// In one transaction, made with the keys of the moment: again, when another process has replaced them since.
    pub(super) async fn write_permissions(&self, actor: &Actor, planned: &[Planned]) -> Result<()> {
        for _ in 1..ATTEMPTS {
            let changes = planned.iter().map(|planned| self.permission_change(actor, planned)).collect();
            let done = match changes {
                Ok(changes) => self.store.write(Write { changes, keyring: self.keyring.clone(), fence: None }).await,
                Err(error) => Err(error),
            };
            match done {
                Err(Error::KeyReplaced) => self.keyring.reload().await?,
                Ok(()) => {
                    planned.iter().for_each(|planned| self.tell(planned));
                    return Ok(());
                }
                refused => return refused,
            }
        }
        Err(Error::KeyReplaced)
    }

    /// By its path, as its note in the audit is: what others wrote is heard of from there.
    fn tell(&self, planned: &Planned) {
        let (Planned::Put { entry: Entry { body: permission, .. }, .. } | Planned::Forget { permission, .. }) = planned;
        let name = permission.path.as_str().to_owned();
        // Nobody listening is fine: listeners come and go.
        let _ = self.changes.send(Changed { class: Class::Permission, name });
    }

    fn permission_change(&self, actor: &Actor, planned: &Planned) -> Result<(Change, Option<Note>)> {
        match planned {
            Planned::Put { entry, expected } => {
                let Entry { head, stamp, body } = entry;
                let sealed = self.keyring.seal(head, stamp, &body::encode(body)?, self.entropy.as_ref())?;
                let mac = self.keyring.mark(head, stamp)?;
                let row = Row { head: head.clone(), stamp: stamp.clone(), sealed, mac };
                let append = Append { row, expected: *expected, aliases: body.aliases(head.id), links: body.links() };
                let action = if expected.is_none() { "create" } else { "update" };
                let note = self.permission_note(actor, action, head.id, stamp.number, body);
                Ok((Change::Append(Box::new(append)), Some(note)))
            }
            Planned::Forget { row, permission } => {
                self.keyring.verify_mark(&row.head, &row.stamp, &row.mac)?;
                let note = self.permission_note(actor, "forget", row.head.id, row.stamp.number, permission);
                let change = Change::Forget { id: row.head.id, name: row.head.name.clone(), was: row.mac };
                Ok((change, Some(note)))
            }
        }
    }

    /// By the path, under which people look for it; a permission's name as a record says nothing.
    pub(super) fn permission_note(
        &self,
        actor: &Actor,
        action: &str,
        id: RecordId,
        revision: Revision,
        permission: &Permission,
    ) -> Note {
        let grant = Grant { actor: &permission.actor, operations: permission.operations };
        let event = Event::of(actor, action, self.now()).about(Class::Permission, permission.path.as_str());
        Event { id: Some(id.hex()), revision: Some(revision), grant: Some(grant), ..event }.note()
    }
}

/// Its name as a record.
fn name(id: RecordId) -> String {
    format!("/permission/{}", id.hex())
}
