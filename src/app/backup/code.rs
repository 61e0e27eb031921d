//! Items as bytes. Numbers given to frames are never given to anything else.

use jiff::{SignedDuration, Timestamp};

use super::{damaged, in_order};
use crate::app::audit::{Note, Position};
use crate::app::ledger::Ledger;
use crate::app::ports::{Alias, AliasKind, Beginning, Fence, HeadRow, Item, Mac, RevisionRow, Sealed, WrappedKey};
use crate::domain::name::{RecordId, Revision, StoreId, Tenant, VersionId};
use crate::domain::record::{Class, Head, Release, Stamp};
use crate::domain::{Error, Result};

pub const BEGINNING: u8 = 1;
pub const KEY: u8 = 2;
pub const HEAD: u8 = 3;
pub const REVISION: u8 = 4;
pub const NOTE: u8 = 5;
pub const END: u8 = 6;

/// A payload while it is written.
#[derive(Default)]
struct Sheet(Vec<u8>);

impl Sheet {
    fn fixed(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn part(self, bytes: &[u8]) -> Self {
        self.number(bytes.len() as u32).fixed(bytes)
    }

    fn number(self, number: u32) -> Self {
        self.fixed(&number.to_be_bytes())
    }

    fn long(self, number: u64) -> Self {
        self.fixed(&number.to_be_bytes())
    }

    fn time(self, time: Timestamp) -> Self {
        self.fixed(&time.as_microsecond().to_be_bytes())
    }

    fn stamp(self, stamp: &Stamp) -> Self {
        self.long(stamp.number.0).fixed(stamp.version_id.bytes()).time(stamp.at).part(stamp.by.as_bytes())
    }

    fn position(self, position: &Position) -> Self {
        self.long(position.number).fixed(&position.hash)
    }
}

pub fn encode_beginning(beginning: &Beginning, made: Timestamp) -> Vec<u8> {
    let Ledger { position, count, sum, epoch, fence, mac } = &beginning.ledger;
    let sheet = Sheet::default().fixed(beginning.store.bytes()).time(made).position(position).long(*count);
    sheet.fixed(sum).number(*epoch).long(fence.0).fixed(mac).0
}

pub fn decode_beginning(payload: &[u8]) -> Result<(Beginning, Timestamp)> {
    let mut cursor = Cursor(payload);
    let (store, made) = (StoreId::from_bytes(cursor.fixed()?), cursor.time()?);
    let ledger = Ledger {
        position: cursor.position()?,
        count: cursor.long()?,
        sum: cursor.fixed()?,
        epoch: cursor.number()?,
        fence: Fence(cursor.long()?),
        mac: cursor.fixed()?,
    };
    cursor.end((Beginning { store, ledger }, made))
}

/// The kind of frame and its payload.
pub fn encode(item: &Item) -> Result<(u8, Vec<u8>)> {
    Ok(match item {
        Item::Key(key) => {
            let sheet = Sheet::default().number(key.epoch).part(key.root.as_bytes());
            (KEY, sheet.part(&key.wrapped).0)
        }
        Item::Head(row) => (HEAD, encode_head(&in_order(row))?),
        Item::Revision(row) => {
            let sheet = Sheet::default().fixed(row.id.bytes()).stamp(&row.stamp);
            (REVISION, sheet.number(row.sealed.epoch).part(&row.sealed.bytes).0)
        }
        Item::Note(position, note) => (NOTE, Sheet::default().position(position).part(note.as_str().as_bytes()).0),
    })
}

fn encode_head(row: &HeadRow) -> Result<Vec<u8>> {
    let HeadRow { head, stamp, mac, aliases, links } = row;
    let origin = serde_json::to_vec(&head.origin).map_err(Error::internal)?;
    let retain_for: i64 = head.retain_for.as_micros().try_into().map_err(Error::internal)?;
    let mut sheet = Sheet::default()
        .fixed(head.id.bytes())
        .fixed(&[head.class.number()])
        .part(head.tenant.as_str().as_bytes())
        .part(head.name.as_bytes())
        .part(&origin)
        .fixed(&retain_for.to_be_bytes())
        .fixed(&[u8::from(head.released.is_some())]);
    if let Some(release) = head.released {
        sheet = sheet.time(release.at).time(release.purge_at);
    }
    sheet = sheet.stamp(stamp).number(mac.epoch).fixed(&mac.bytes).number(aliases.len() as u32);
    for alias in aliases {
        sheet = sheet.fixed(&[alias.kind.number()]).part(alias.value.as_bytes());
    }
    sheet = sheet.number(links.len() as u32);
    Ok(links.iter().fold(sheet, |sheet, link| sheet.fixed(link.bytes())).0)
}

pub fn decode(kind: u8, payload: &[u8]) -> Result<Item> {
    let mut cursor = Cursor(payload);
    let item = match kind {
        KEY => Item::Key(WrappedKey { epoch: cursor.number()?, root: cursor.text()?, wrapped: cursor.part()?.into() }),
        HEAD => Item::Head(Box::new(decode_head(&mut cursor)?)),
        REVISION => {
            let (id, stamp) = (RecordId::from_bytes(cursor.fixed()?), cursor.stamp()?);
            let sealed = Sealed { epoch: cursor.number()?, bytes: cursor.part()?.into() };
            Item::Revision(Box::new(RevisionRow { id, stamp, sealed }))
        }
        NOTE => Item::Note(cursor.position()?, Note::stored(cursor.text()?)),
        _ => return Err(damaged(format!("it has a part of an unknown kind, {kind}"))),
    };
    cursor.end(item)
}

fn decode_head(cursor: &mut Cursor<'_>) -> Result<HeadRow> {
    let id = RecordId::from_bytes(cursor.fixed()?);
    let class = cursor.known(&Class::ALL, Class::number)?;
    let (tenant, name) = (Tenant::namespace(&cursor.text()?), cursor.text()?);
    let origin = serde_json::from_slice(cursor.part()?).map_err(|_| unreadable())?;
    let retain_for = SignedDuration::from_micros(i64::from_be_bytes(cursor.fixed()?));
    let released = match cursor.known(&[false, true], u8::from)? {
        true => Some(Release { at: cursor.time()?, purge_at: cursor.time()? }),
        false => None,
    };
    let head = Head { id, class, tenant, name, origin, retain_for, released };
    let stamp = cursor.stamp()?;
    let mac = Mac { epoch: cursor.number()?, bytes: cursor.fixed()? };
    let alias = |cursor: &mut Cursor<'_>| {
        Ok(Alias { kind: cursor.known(&AliasKind::ALL, AliasKind::number)?, value: cursor.text()? })
    };
    let aliases = (0..cursor.number()?).map(|_| alias(cursor)).collect::<Result<_>>()?;
    let links = (0..cursor.number()?).map(|_| Ok(RecordId::from_bytes(cursor.fixed()?))).collect::<Result<_>>()?;
    Ok(HeadRow { head, stamp, mac, aliases, links })
}

fn unreadable() -> Error {
    damaged("a part of it is not in the form that it should have")
}

/// A payload while it is read.
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(length).ok_or_else(unreadable)?;
        self.0 = rest;
        Ok(part)
    }

    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| unreadable())
    }

    fn number(&mut self) -> Result<u32> {
        self.fixed().map(u32::from_be_bytes)
    }

    pub fn long(&mut self) -> Result<u64> {
        self.fixed().map(u64::from_be_bytes)
    }

    fn part(&mut self) -> Result<&'a [u8]> {
        let length = self.number()? as usize;
        self.take(length)
    }

    fn text(&mut self) -> Result<String> {
        String::from_utf8(self.part()?.into()).map_err(|_| unreadable())
    }

    fn time(&mut self) -> Result<Timestamp> {
        Timestamp::from_microsecond(i64::from_be_bytes(self.fixed()?)).map_err(|_| unreadable())
    }

    /// One of these, by its number.
    fn known<T: Copy>(&mut self, all: &[T], number: impl Fn(T) -> u8) -> Result<T> {
        let [given] = self.fixed()?;
        all.iter().copied().find(|one| number(*one) == given).ok_or_else(unreadable)
    }

    fn stamp(&mut self) -> Result<Stamp> {
        Ok(Stamp {
            number: Revision(self.long()?),
            version_id: VersionId::from_bytes(self.fixed()?),
            at: self.time()?,
            by: self.text()?,
        })
    }

    fn position(&mut self) -> Result<Position> {
        Ok(Position { number: self.long()?, hash: self.fixed()? })
    }

    pub fn end<T>(&self, whole: T) -> Result<T> {
        if self.0.is_empty() { Ok(whole) } else { Err(unreadable()) }
    }
}
