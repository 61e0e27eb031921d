//! Records that are written together or not at all. What a revision is called is known before it is written, so that its
//! body can say so.

use crate::app::audit::{Event, Note};
use crate::app::body::Body;
use crate::app::ports::{Change, Mac, Write};
use crate::app::records::{ATTEMPTS, Changed, NewRecord, Records};
use crate::domain::actor::Actor;
use crate::domain::name::{RecordId, Revision};
use crate::domain::record::{Entry, Head, Origin, Stamp};
use crate::domain::{Error, Result};

/// How often somebody else may have been faster, before whoever writes is told to come again.
pub const TRIES: usize = 32;

/// What is to be done to one record, from how it was found.
pub struct Planned<B> {
    /// As it is then, still, or for the last time.
    pub entry: Entry<B>,
    deed: Deed,
}

enum Deed {
    /// The revision after the one that its maker has seen; `None`: the first one of a new record.
    Append { expected: Option<Revision> },
    /// The record goes with every revision, if its head still has this mark.
    Forget { was: Mac },
    /// The record stays as it is, if its head still has this mark: or nothing else is done either.
    Keep { was: Mac },
}

impl Records {
    /// The first revision of a new record.
    pub fn plan_new<B>(&self, actor: &Actor, id: RecordId, new: NewRecord, body: B) -> Planned<B>
    where
        B: Body,
    {
        let entry = Entry { head: new.head(id, B::CLASS), stamp: self.stamp(actor, None), body };
        Planned { entry, deed: Deed::Append { expected: None } }
    }

    /// The revision after this one, with what `body` makes of its stamp.
    pub fn plan<B>(
        &self,
        actor: &Actor,
        current: &Entry<B>,
        body: impl FnOnce(&Stamp) -> Result<B>,
    ) -> Result<Planned<B>> {
        let expected = Some(current.stamp.number);
        let stamp = self.stamp(actor, expected);
        let head = Head { released: None, ..current.head.clone() };
        Ok(Planned { entry: Entry { head, body: body(&stamp)?, stamp }, deed: Deed::Append { expected } })
    }

    /// That it is written with others as it was seen is all that is done to it. Whoever revises it meanwhile has them fail,
    /// and those who keep it only are not in each other's way.
    pub async fn plan_keeping<B: Body>(&self, seen: Entry<B>) -> Result<Planned<B>> {
        let row = self.row_of(&seen).await?;
        Ok(Planned { entry: Entry { head: row.head, ..seen }, deed: Deed::Keep { was: row.mac } })
    }

    pub fn plan_forgetting<B>(&self, current: Entry<B>, was: Mac) -> Planned<B> {
        Planned { entry: current, deed: Deed::Forget { was } }
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
                    let touched = planned.iter().filter(|planned| !matches!(planned.deed, Deed::Keep { .. }));
                    for Planned { entry, .. } in touched {
                        // Nobody listening is fine: listeners come and go.
                        let _ = self
                            .changes
                            .send(Changed { class: B::CLASS, name: entry.body.heard_as(&entry.head).to_owned() });
                    }
                    return Ok(());
                }
            }
        }
        Err(Error::KeyReplaced)
    }

    fn planned_change<B: Body>(&self, actor: &Actor, planned: &Planned<B>) -> Result<(Change, Option<Note>)> {
        let Planned { entry, deed } = planned;
        let Entry { head, stamp, body } = entry;
        let (action, at, change) = match deed {
            Deed::Append { expected } => {
                let action = if expected.is_none() { "create" } else { "update" };
                (action, stamp.at, self.appending(entry, *expected)?)
            }
            Deed::Forget { was } => {
                self.keyring.verify_mark(head, stamp, was)?;
                ("forget", self.now(), Change::Forget { id: head.id, name: head.name.clone(), was: *was })
            }
            Deed::Keep { was } => {
                self.keyring.verify_mark(head, stamp, was)?;
                let mac = self.keyring.mark(head, stamp)?;
                return Ok((Change::Rehead { head: Box::new(head.clone()), was: *was, mac }, None));
            }
        };
        let event = Event::of(actor, action, at).to(head, stamp.number);
        Ok((change, Some(body.told(event).note())))
    }
}
