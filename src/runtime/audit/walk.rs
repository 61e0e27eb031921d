//! Walking along a chain of notes, whatever holds them: what was removed, changed or moved is named, and
//! the walk goes on behind it.

use crate::app::audit::{Note, Position};

/// What is wrong, as far as anybody wants to read it.
#[derive(Debug, Default)]
pub struct Findings {
    pub said: Vec<String>,
    pub count: u64,
}

/// One wrong table would otherwise fill the terminal.
const SAID: usize = 100;

impl Findings {
    pub fn add(&mut self, finding: String) {
        self.count += 1;
        if self.said.len() < SAID {
            self.said.push(finding);
        }
    }
}

#[derive(Debug)]
pub struct Walk {
    at: Position,
    /// Where the walk is instead, if in the last record it was the hash that was changed and not the note.
    or: Option<Position>,
}

impl Walk {
    pub fn from(start: Position) -> Self {
        Self { at: start, or: None }
    }

    pub fn position(&self) -> Position {
        self.at
    }

    /// One record on. `Err` says what is wrong with it or before it.
    pub fn step(&mut self, claimed: Position, note: &Note) -> Result<(), String> {
        let expected = self.at.after(note);
        let otherwise = self.or.take().map(|or| or.after(note));
        if claimed == expected || Some(claimed) == otherwise {
            self.at = claimed;
            return Ok(());
        }
        let (number, next) = (claimed.number, expected.number);
        if number < next {
            return Err(format!("record {number} stands a second time or in the wrong place, behind {}", next - 1));
        }
        let said = match number - next {
            0 => format!("record {number} is not what was written"),
            1 => format!("record {next} is missing"),
            _ => format!("records {next} to {} are missing", number - 1),
        };
        (self.at, self.or) = (claimed, (number == next).then_some(expected));
        Err(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Records = Vec<(Position, Note)>;

    fn chain(count: u64) -> Records {
        let mut at = Position::start(b"c");
        let mut records = Vec::new();
        for number in 1..=count {
            let note = Note::stored(format!("{{\"what\":{number}}}"));
            at = at.after(&note);
            records.push((at, note));
        }
        records
    }

    fn walked(records: &[(Position, Note)]) -> (Vec<String>, Position) {
        let mut walk = Walk::from(Position::start(b"c"));
        let wrong = records.iter().filter_map(|(position, note)| walk.step(*position, note).err()).collect();
        (wrong, walk.position())
    }

    #[test]
    fn what_is_wrong_is_named_once_and_the_walk_goes_on() {
        let whole = chain(9);
        type Change = (fn(&mut Records), &'static [&'static str]);
        let changes: [Change; 8] = [
            (|_| {}, &[]),
            (|all| drop(all.remove(3)), &["record 4 is missing"]),
            (|all| drop(all.drain(3..6)), &["records 4 to 6 are missing"]),
            (|all| all[3].1 = Note::stored("{}".into()), &["record 4 is not what was written"]),
            (|all| all[3].0.hash[7] ^= 1, &["record 4 is not what was written"]),
            (|all| all.insert(4, all[3].clone()), &["record 4 stands a second time or in the wrong place, behind 4"]),
            (
                |all| all.swap(3, 4),
                &["record 4 is missing", "record 4 stands a second time or in the wrong place, behind 5"],
            ),
            (|all| all[3].0.number = 40, &["records 4 to 39 are missing"]),
        ];
        for (change, expected) in changes {
            let mut records = whole.clone();
            change(&mut records);
            let (wrong, _) = walked(&records);
            assert_eq!(wrong[..expected.len()], *expected);
            assert!(wrong.len() == expected.len() || expected == ["records 4 to 39 are missing"], "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_done_to_a_chain_is_found_or_leaves_it_shorter(
            count in 1u64..20, from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(), how in 0..4
        ) {
            let whole = chain(count);
            let (from, to) = (from.index(whole.len()), to.index(whole.len()));
            let mut changed = whole.clone();
            match how {
                0 => drop(changed.remove(from)),
                1 => changed.swap(from, to),
                2 => { let record = changed.remove(from); changed.insert(to, record); }
                _ => changed.insert(to, changed[from].clone()),
            }
            let (wrong, end) = walked(&changed);
            let cut = changed[..] == whole[..changed.len().min(whole.len())];
            prop_assert_eq!(wrong.is_empty(), cut);
            prop_assert_eq!(cut && changed.len() < whole.len(), wrong.is_empty() && end != whole[whole.len() - 1].0);
        }
    }
}
