//! What is recorded of every read, write and denial: who, by which scheme, from where, what, which
//! revision, and how it ended. Never a value. Owns the form of a record and how records are chained;
//! where they are kept is a port's affair.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256, digest};
use jiff::Timestamp;
use serde::Serialize;

use crate::app::ports::{Clock, Journal};
use crate::domain::Result;
use crate::domain::actor::{Actor, Scheme};
use crate::domain::name::Revision;
use crate::domain::permission::{Action, Operations, Resource, Target};
use crate::domain::record::{Class, Entry, Head, Owner, Stamp};

/// One record: a JSON object on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note(String);

impl Note {
    /// As it was stored; whether it is what was written is for the chain to say.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A place in a chain of notes: how many there are, and a hash that covers all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub number: u64,
    pub hash: [u8; 32],
}

impl Position {
    /// Before the first note of the chain of this name.
    pub fn start(chain: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(b"strongroom audit chain");
        context.update(chain);
        Self { number: 0, hash: taken(context.finish().as_ref()) }
    }

    /// After one more note.
    pub fn after(&self, note: &Note) -> Self {
        let number = self.number + 1;
        let mut context = Context::new(&SHA256);
        context.update(&self.hash);
        context.update(&number.to_be_bytes());
        context.update(note.0.as_bytes());
        Self { number, hash: taken(context.finish().as_ref()) }
    }
}

/// SHA-256 has 32 bytes, whatever the type says.
fn taken(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().unwrap_or([0; 32])
}

/// SHA-256, for what is compared with a stored digest.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    taken(digest(&SHA256, bytes).as_ref())
}

/// Letters of a name that nobody is known to ask for. The names of most records are shorter.
const WORDS_OF_NOBODY: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Done,
    Denied,
}

/// What a note says. The order of the fields is the order in the line.
#[derive(Clone, Debug, Serialize)]
pub struct Event<'a> {
    pub at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<&'a str>,
    pub scheme: Scheme,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    pub action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<&'static str>,
    /// Of the record; absent for a list.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Other records whose values were read with this one, as name and revision.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<(&'a str, Revision)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant<'a>>,
    pub outcome: Outcome,
}

/// What a permission allows to whom.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Grant<'a> {
    pub actor: &'a str,
    pub operations: Operations,
}

impl<'a> Event<'a> {
    /// Something that `actor` has done.
    pub fn of(actor: &'a Actor, action: &'a str, at: Timestamp) -> Self {
        let done = Self { outcome: Outcome::Done, ..Self::refused(actor.scheme, actor.from, action, at) };
        Self { who: Some(&actor.id), ..done }
    }

    /// Refused before it is known whose it is.
    fn refused(scheme: Scheme, from: Option<IpAddr>, action: &'a str, at: Timestamp) -> Self {
        Self {
            at,
            who: None,
            scheme,
            from,
            action,
            class: None,
            name: "",
            id: None,
            revision: None,
            with: Vec::new(),
            grant: None,
            outcome: Outcome::Denied,
        }
    }

    /// To a record at a revision.
    pub fn to(self, head: &'a Head, revision: Revision) -> Self {
        Self { id: Some(head.id.hex()), revision: Some(revision), ..self.about(head.class, &head.name) }
    }

    pub fn about(self, resource: impl Into<Resource>, name: &'a str) -> Self {
        Self { class: Some(resource.into().singular()), name, ..self }
    }

    pub fn note(&self) -> Note {
        // Every field is text or a number: there is nothing in it that JSON cannot say.
        Note(serde_json::to_string(self).unwrap_or_default())
    }
}

/// Reads and denials, recorded before they are answered.
#[derive(Clone)]
pub struct Audit {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Audit {
    /// `actor` gets to see this record, and the values of `with` besides.
    pub async fn read(&self, actor: &Actor, action: Action, read: Read<'_>) -> Result<()> {
        let mut event = Event::of(actor, action.verb(), self.clock.now()).to(read.head, read.stamp.number);
        event.with = read.with;
        self.journal.note(event.note()).await
    }

    /// `actor` gets to know something about a record, or that there is none of this name.
    pub async fn looked<B>(&self, actor: &Actor, class: Class, name: &str, found: Option<&Entry<B>>) -> Result<()> {
        let event = Event::of(actor, Action::Metadata.verb(), self.clock.now());
        let event = match found {
            Some(entry) => event.to(&entry.head, entry.stamp.number),
            None => event.about(class, name),
        };
        self.journal.note(event.note()).await
    }

    /// `actor` gets to see which records of a class there are.
    pub async fn list(&self, actor: &Actor, class: Class) -> Result<()> {
        let event = Event::of(actor, Action::List.verb(), self.clock.now()).about(class, "");
        self.journal.note(event.note()).await
    }

    pub async fn session(&self, actor: &Actor, what: &str) -> Result<()> {
        let event = Event::of(actor, Action::Get.verb(), self.clock.now()).about(Resource::Session, what);
        self.journal.note(event.note()).await
    }

    pub async fn denied(&self, actor: &Actor, action: Action, target: &Target<'_>) -> Result<()> {
        let event = Event::of(actor, action.verb(), self.clock.now()).about(target.resource, target.name);
        self.journal.note(Event { outcome: Outcome::Denied, ..event }.note()).await
    }

    /// The values of a resource are about to be put into an object of Kubernetes.
    pub async fn shown(&self, owner: &Owner, revision: Revision, object: &str) -> Result<()> {
        let (operator, owner) = (Actor::operator(), owner.to_string());
        let event = Event::of(&operator, "show", self.clock.now());
        self.journal.note(Event { name: object, with: vec![(&owner, revision)], ..event }.note()).await
    }

    /// Somebody is not who they claim to be. The claimed name is not recorded: people type passwords there.
    pub async fn unknown(&self, scheme: Scheme, from: Option<IpAddr>) -> Result<()> {
        self.journal.note(Event::refused(scheme, from, "authenticate", self.clock.now()).note()).await
    }

    /// Somebody presents nothing. What is asked for is in their words, of which a few will do: whoever need not say who
    /// they are must not fill the disk any faster than by asking.
    pub async fn anonymous(&self, action: Action, resource: Resource, name: &str, from: Option<IpAddr>) -> Result<()> {
        let name: String = name.chars().take(WORDS_OF_NOBODY).collect();
        let event = Event::refused(Scheme::None, from, action.verb(), self.clock.now()).about(resource, &name);
        self.journal.note(Event { who: Some("anonymous"), ..event }.note()).await
    }
}

/// What a reader gets to see.
pub struct Read<'a> {
    pub head: &'a Head,
    pub stamp: &'a Stamp,
    pub with: Vec<(&'a str, Revision)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::name::Tenant;

    #[test]
    fn a_note_says_who_did_what_from_where_and_no_more() {
        let actor = Actor { from: Some(IpAddr::from([10, 0, 0, 7])), ..Actor::operator() };
        let note = Event::of(&actor, "read", Timestamp::UNIX_EPOCH).about(Class::Service, "shop.till").note();
        assert_eq!(
            note.as_str(),
            r#"{"at":"1970-01-01T00:00:00Z","who":"strongroom","scheme":"internal","from":"10.0.0.7","action":"read","class":"service","name":"shop.till","outcome":"done"}"#
        );
        assert_eq!(actor.tenant, Tenant::outside());
    }

    #[test]
    fn a_position_depends_on_every_note_before_it() {
        let notes = ["a", "b", "c"].map(|text| Note::stored(text.into()));
        let walk = |order: [usize; 3]| {
            order.iter().fold(Position::start(b"x"), |position, index| position.after(&notes[*index]))
        };
        let straight = walk([0, 1, 2]);
        assert_eq!(straight.number, 3);
        for other in [[1, 0, 2], [0, 2, 1], [0, 0, 2]] {
            assert_ne!(walk(other).hash, straight.hash);
        }
        assert_ne!(Position::start(b"x").hash, Position::start(b"y").hash);
    }
}
