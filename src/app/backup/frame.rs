//! Frames on a stream of bytes, counted and digested on their way.

use std::io::{self, Read, Write};

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;

use super::code::{self, BEGINNING, Cursor, END, HEAD, REVISION};
use super::{Totals, damaged};
use crate::app::ports::{Beginning, Item};
use crate::domain::{Error, Result};

const MAGIC: &[u8; 18] = b"strongroom backup\n";
const FORMAT: u32 = 1;
/// A changed length must not make us ask for gigabytes. The largest record has a mebibyte.
const LIMIT: usize = 64 << 20;

fn hash(context: Context) -> [u8; 32] {
    context.finish().as_ref().try_into().unwrap_or([0; 32]) // SHA-256 has 32 bytes
}

fn unwritable(error: io::Error) -> Error {
    Error::Unavailable { part: "what the backup is written to", detail: error.to_string() }
}

pub struct Writer<W> {
    out: W,
    whole: Context,
    records: Context,
    totals: Totals,
}

impl<W: Write> Writer<W> {
    pub fn begin(out: W, beginning: &Beginning, made: Timestamp) -> Result<Self> {
        let digest = || Context::new(&SHA256);
        let mut writer = Self { out, whole: digest(), records: digest(), totals: Totals::default() };
        writer.write(MAGIC)?;
        writer.write(&FORMAT.to_be_bytes())?;
        writer.frame(BEGINNING, &code::encode_beginning(beginning, made))?;
        Ok(writer)
    }

    pub fn put(&mut self, item: &Item) -> Result<()> {
        let (kind, payload) = code::encode(item)?;
        if payload.len() > LIMIT {
            return Err(Error::internal("a record is too large for a backup"));
        }
        self.totals.count(item);
        digest_record(&mut self.records, kind, &payload);
        self.frame(kind, &payload)
    }

    /// Without the digest, which is known at the end.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    pub fn finish(mut self) -> Result<(Totals, W)> {
        self.totals.digest = hash(self.records.clone());
        let counts = encode_totals(&self.totals);
        self.write(&[END])?;
        self.write(&((counts.len() + 32) as u32).to_be_bytes())?;
        self.write(&counts)?;
        let whole = hash(self.whole.clone());
        self.write(&whole)?;
        self.out.flush().map_err(unwritable)?;
        Ok((self.totals, self.out))
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) -> Result<()> {
        self.write(&[kind])?;
        self.write(&(payload.len() as u32).to_be_bytes())?;
        self.write(payload)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.whole.update(bytes);
        self.out.write_all(bytes).map_err(unwritable)
    }
}

fn digest_record(records: &mut Context, kind: u8, payload: &[u8]) {
    if matches!(kind, HEAD | REVISION) {
        records.update(&[kind]);
        records.update(&(payload.len() as u32).to_be_bytes());
        records.update(payload);
    }
}

fn encode_totals(totals: &Totals) -> Vec<u8> {
    let counts = [totals.keys, totals.records, totals.revisions, totals.notes];
    counts.iter().flat_map(|count| count.to_be_bytes()).chain(totals.digest).collect()
}

fn decode_totals(cursor: &mut Cursor<'_>) -> Result<Totals> {
    let (keys, records, revisions, notes) = (cursor.long()?, cursor.long()?, cursor.long()?, cursor.long()?);
    Ok(Totals { keys, records, revisions, notes, digest: cursor.fixed()? })
}

/// Gives one item after the other, and an error in place of the end unless counts and digests are right.
pub struct Reader<R> {
    input: R,
    whole: Context,
    records: Context,
    totals: Totals,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Items,
    /// The end was read, and everything is right.
    Whole,
    Failed,
}

impl<R: Read> Reader<R> {
    /// Also says when it was made.
    pub fn begin(input: R) -> Result<(Self, Beginning, Timestamp)> {
        let digest = || Context::new(&SHA256);
        let (whole, records) = (digest(), digest());
        let mut reader = Self { input, whole, records, totals: Totals::default(), state: State::Items };
        let foreign = || damaged("it is no backup of Strongroom");
        if reader.read::<{ MAGIC.len() }>().map_err(|_| foreign())? != *MAGIC {
            return Err(foreign());
        }
        match u32::from_be_bytes(reader.read()?) {
            FORMAT => {}
            newer @ FORMAT.. => {
                return Err(damaged(format!(
                    "it has format {newer} and this Strongroom knows format {FORMAT}: it was made by a newer one, use that"
                )));
            }
            0 => return Err(foreign()),
        }
        let (kind, payload) = reader.frame()?;
        if kind != BEGINNING {
            return Err(damaged("it does not begin with its store"));
        }
        let (beginning, made) = code::decode_beginning(&payload)?;
        Ok((reader, beginning, made))
    }

    /// `None` before the end was reached.
    pub fn totals(&self) -> Option<Totals> {
        (self.state == State::Whole).then_some(self.totals)
    }

    fn advance(&mut self) -> Result<Option<Item>> {
        let before = self.whole.clone();
        let (kind, payload) = self.frame()?;
        if kind == END {
            self.end(before, &payload)?;
            return Ok(None);
        }
        digest_record(&mut self.records, kind, &payload);
        let item = code::decode(kind, &payload)?;
        self.totals.count(&item);
        Ok(Some(item))
    }

    fn end(&mut self, mut whole: Context, payload: &[u8]) -> Result<()> {
        let mut cursor = Cursor(payload);
        let totals = decode_totals(&mut cursor)?;
        let digest: [u8; 32] = cursor.fixed()?;
        cursor.end(())?;
        whole.update(&[END]);
        whole.update(&(payload.len() as u32).to_be_bytes());
        whole.update(&payload[..payload.len() - digest.len()]);
        self.totals.digest = hash(self.records.clone());
        if digest != hash(whole) || totals != self.totals {
            return Err(damaged("its content was changed: it does not have the digest that stands at its end"));
        }
        let mut more = [0];
        match self.input.read(&mut more) {
            Ok(0) => Ok(()),
            Ok(_) => Err(damaged("something follows behind its end")),
            Err(error) => Err(unread(error)),
        }
    }

    fn frame(&mut self) -> Result<(u8, Vec<u8>)> {
        let [kind] = self.read()?;
        let length = u32::from_be_bytes(self.read()?) as usize;
        if length > LIMIT {
            return Err(damaged("its content was changed: a part of it claims to be longer than any is"));
        }
        // Not of the claimed size from the start: what is not there need not be held.
        let mut payload = Vec::new();
        let read = (&mut self.input).take(length as u64).read_to_end(&mut payload).map_err(unread)?;
        if read < length {
            return Err(cut_off());
        }
        self.whole.update(&payload);
        Ok((kind, payload))
    }

    fn read<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(unread)?;
        self.whole.update(&bytes);
        Ok(bytes)
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Item>;

    fn next(&mut self) -> Option<Result<Item>> {
        if self.state != State::Items {
            return None;
        }
        let advanced = self.advance();
        self.state = match &advanced {
            Ok(Some(_)) => State::Items,
            Ok(None) => State::Whole,
            Err(_) => State::Failed,
        };
        advanced.transpose()
    }
}

fn unread(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => cut_off(),
        _ => Error::Unavailable { part: "the backup", detail: error.to_string() },
    }
}

fn cut_off() -> Error {
    damaged("it is cut off: its end is missing")
}
