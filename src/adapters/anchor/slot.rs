//! One anchor as one line of text in a place of fixed size, which no disk writes in part. Its form is a promise to every
//! later version. The digest at its end tells a whole line from a torn one; who signed it the ledger's own MAC tells.

use std::io::Write;

use jiff::Timestamp;

use crate::app::anchor::Anchor;
use crate::app::audit::{Position, sha256};
use crate::app::ledger::Ledger;
use crate::app::ports::Fence;
use crate::domain::name::StoreId;

/// A disk's sector.
pub const SLOT: usize = 512;
const HEAD: &str = "strongroom-anchor 1";

/// Fills the place with blanks behind the line, and allocates nothing: it is made for every commit.
pub fn write(anchor: &Anchor) -> [u8; SLOT] {
    let Anchor { store, ledger, at, accepted } = anchor;
    let Ledger { position, count, sum, epoch, fence, mac } = ledger;
    let mut slot = [b' '; SLOT];
    slot[SLOT - 1] = b'\n';
    let mut rest = &mut slot[..SLOT - 1];
    // Three thirds of the place at most: what is written fits.
    let _ = write!(rest, "{HEAD} ");
    put_hex(&mut rest, store.bytes());
    let _ = write!(rest, " {accepted} {} {} ", at.as_microsecond(), position.number);
    put_hex(&mut rest, &position.hash);
    let _ = write!(rest, " {count} ");
    put_hex(&mut rest, sum);
    let _ = write!(rest, " {epoch} {} ", fence.0);
    put_hex(&mut rest, mac);
    let _ = write!(rest, " ");
    let length = SLOT - 1 - rest.len();
    let digest = sha256(&slot[..length]);
    put_hex(&mut &mut slot[length..SLOT - 1], &digest);
    slot
}

/// `None`: it is not one, or not all of one.
pub fn read(slot: &[u8; SLOT]) -> Option<Anchor> {
    let text = std::str::from_utf8(slot).ok()?.strip_suffix('\n')?.trim_end_matches(' ');
    let (line, digest) = text.split_at_checked(text.rfind(' ')? + 1)?;
    if bytes::<32>(digest)? != sha256(line.as_bytes()) {
        return None;
    }
    let mut words = line.strip_prefix(HEAD)?.split_ascii_whitespace();
    let mut next = || words.next();
    let store = StoreId::from_bytes(bytes(next()?)?);
    let accepted = next()?.parse().ok()?;
    let at = Timestamp::from_microsecond(next()?.parse().ok()?).ok()?;
    let position = Position { number: next()?.parse().ok()?, hash: bytes(next()?)? };
    let (count, sum) = (next()?.parse().ok()?, bytes(next()?)?);
    let (epoch, fence, mac) = (next()?.parse().ok()?, Fence(next()?.parse().ok()?), bytes(next()?)?);
    let ledger = Ledger { position, count, sum, epoch, fence, mac };
    next().is_none().then_some(Anchor { store, ledger, at, accepted })
}

/// What does not fit is left out, and then the digest behind it.
fn put_hex(rest: &mut &mut [u8], bytes: &[u8]) {
    if let Some(digits) = rest.split_off_mut(..2 * bytes.len()) {
        let _ = hex::encode_to_slice(bytes, digits); // as many as there is room for
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(number: u64) -> Anchor {
        let position = Position { number, hash: [0xa1; 32] };
        let ledger = Ledger { position, count: 7, sum: [2; 32], epoch: 3, fence: Fence(4), mac: [5; 32] };
        Anchor { store: StoreId::from_bytes([6; 16]), ledger, at: Timestamp::UNIX_EPOCH, accepted: 1 }
    }

    #[test]
    fn the_longest_line_fits_and_is_read_as_it_was_written() {
        let most = |mut anchor: Anchor| {
            anchor.ledger = Ledger {
                count: u64::MAX,
                epoch: u32::MAX,
                fence: Fence(u64::MAX),
                position: Position { number: u64::MAX, hash: [0xff; 32] },
                ..anchor.ledger
            };
            Anchor { at: Timestamp::MIN, accepted: u32::MAX, ..anchor }
        };
        for anchor in [anchor(0), anchor(1_000_000), most(anchor(0))] {
            let anchor = Anchor { at: Timestamp::from_microsecond(anchor.at.as_microsecond()).unwrap(), ..anchor };
            assert_eq!(read(&write(&anchor)), Some(anchor));
        }
    }

    #[test]
    fn a_line_looks_as_it_always_did() {
        let slot = write(&anchor(9));
        let line = std::str::from_utf8(&slot).unwrap();
        let start = format!(
            "strongroom-anchor 1 {} 1 0 9 {} 7 {} 3 4 {} ",
            "06".repeat(16),
            "a1".repeat(32),
            "02".repeat(32),
            "05".repeat(32)
        );
        assert!(line.starts_with(&start) && line.ends_with(" \n"), "{line}");
    }

    #[test]
    fn whatever_is_changed_or_torn_is_no_anchor() {
        let (old, new) = (write(&anchor(99)), write(&anchor(100)));
        for at in 0..SLOT {
            let mut torn = new;
            torn[at..].copy_from_slice(&old[at..]);
            assert!(read(&torn).is_none_or(|read| torn == new || read == anchor(99)), "torn at {at}");
            let mut changed = new;
            changed[at] ^= 1;
            assert_eq!(read(&changed), None, "changed at {at}");
        }
        assert_eq!(read(&[0; SLOT]), None);
    }
}
