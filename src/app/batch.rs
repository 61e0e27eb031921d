//! Revisions of several records that are written together or not at all. What a revision is called is known before it is
//! written, so that its body can say so.

use crate::app::audit::Event;
use crate::app::body::{self, Body};
use crate::app::ports::{Append, Change, Row, Write};
use crate::app::records::{ATTEMPTS, Changed, Records};
use crate::domain::actor::Actor;
use crate::domain::name::Revision;
use crate::domain::record::{Entry, Head, Origin, Stamp};
use crate::domain::{Error, Result};

/// A revision that is to be written after the one that its maker has seen.
pub struct Planned<B> {
    pub entry: Entry<B>,
    expected: Revision,
}

impl Records {
    /// The revision after this one, with what `body` makes of its stamp.
    pub fn plan<B, C>(&self, actor: &Actor, current: &Entry<C>, body: impl FnOnce(&Stamp) -> B) -> Planned<B> {
        let expected = current.stamp.number;
        let version_id = self.entropy.version_id(self.now());
        let stamp = Stamp { number: expected.next(), version_id, at: self.now(), by: actor.id.clone() };
        let head = Head { released: None, ..current.head.clone() };
        Planned { entry: Entry { head, body: body(&stamp), stamp }, expected }
    }

    /// In one transaction, made with the keys of the moment: again, when another process has replaced them since.
    pub async fn write_together<B: Body>(&self, actor: &Actor, planned: &[Planned<B>]) -> Result<()> {
        if planned.iter().any(|planned| planned.entry.head.origin != Origin::Rest) {
            return Err(Error::internal("only what REST callers write is written together"));
        }
        for _ in 1..ATTEMPTS {
            let changes = planned.iter().map(|planned| self.planned_change(actor, planned)).collect();
            let done = match changes {
                Ok(changes) => self.store.write(Write { changes, keyring: self.keyring.clone(), fence: None }).await,
                Err(error) => Err(error),
            };
            match done {
                Err(Error::KeyReplaced) => self.keyring.reload().await?,
                Err(error) => return Err(error),
                Ok(()) => {
                    for Planned { entry, .. } in planned {
                        // Nobody listening is fine: listeners come and go.
                        let _ = self.changes.send(Changed { class: B::CLASS, name: entry.head.name.clone() });
                    }
                    return Ok(());
                }
            }
        }
        Err(Error::KeyReplaced)
    }

    fn planned_change<B: Body>(
        &self,
        actor: &Actor,
        Planned { entry, expected }: &Planned<B>,
    ) -> Result<(Change, Option<crate::app::audit::Note>)> {
        let Entry { head, stamp, body } = entry;
        let sealed = self.keyring.seal(head, stamp, &body::encode(body)?, self.entropy.as_ref())?;
        let mac = self.keyring.mark(head, stamp)?;
        let row = Row { head: head.clone(), stamp: stamp.clone(), sealed, mac };
        let (aliases, links) = (body.aliases(head.id), body.links());
        let append = Append { row, expected: Some(*expected), aliases, links };
        let note = Event::of(actor, "update", stamp.at).to(head, stamp.number).note();
        Ok((Change::Append(Box::new(append)), Some(note)))
    }
}
