//! `strongroom audit tail`: the last notes of the chain of writes and of the journals, one JSON line each. Those of one
//! chain come in its order, and chains are merged by the times of their notes.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;

use crate::adapters::journal::{Own, Tail, list};
use crate::app::ports::JournalTable;
use crate::domain::Error;
use crate::runtime::database::Database;

const PAGE: usize = 1000;
/// Of the chain of writes, beside the names of journals.
const WRITES: &str = "";

/// Where journals are kept, and how far each was taken.
enum Source {
    Folder(PathBuf, BTreeMap<String, Tail>),
    Table(Arc<dyn JournalTable>, BTreeMap<String, u64>),
}

impl Source {
    /// A look at a folder costs next to nothing, one at a database is a few queries.
    fn pause(&self) -> Duration {
        match self {
            Self::Folder(..) => Duration::from_millis(250),
            Self::Table(..) => Duration::from_secs(1),
        }
    }
}

/// All chains, each at the place up to which it was taken.
pub struct Follower {
    store: Arc<dyn Database>,
    writes: Option<u64>,
    source: Source,
    taken: Taken,
}

impl Follower {
    pub fn new(store: Arc<dyn Database>, folder: &Path) -> Self {
        let source = match store.clone().journals() {
            Some(table) => Source::Table(table, BTreeMap::new()),
            None => Source::Folder(folder.to_owned(), BTreeMap::new()),
        };
        Self { store, writes: None, source, taken: Taken::default() }
    }

    /// Takes what was noted since the last look; of chains that were not looked at before only the last `back` notes, if
    /// it says so. What was taken before an error is kept, and not taken again.
    pub async fn look(&mut self, back: Option<usize>) -> anyhow::Result<()> {
        self.look_at_writes(back).await?;
        match &mut self.source {
            Source::Folder(folder, tails) => look_into(folder, tails, back, &mut self.taken).map_err(Into::into),
            Source::Table(table, places) => Ok(look_at(table.as_ref(), places, back, &mut self.taken).await?),
        }
    }

    async fn look_at_writes(&mut self, back: Option<usize>) -> Result<(), Error> {
        let mut snapshot = self.store.snapshot().await?;
        let mut at = match self.writes {
            Some(at) => at,
            None => begin(snapshot.ledger().await?.map_or(0, |ledger| ledger.position.number), back),
        };
        loop {
            let rows = snapshot.audit(at, PAGE).await?;
            at = rows.last().map_or(at, |(last, _)| last.number);
            self.writes = Some(at);
            if rows.is_empty() {
                return Ok(());
            }
            self.taken.add(WRITES, rows.into_iter().map(|(_, note)| note.as_str().to_owned()));
        }
    }

    /// What was taken and not given out yet.
    pub fn give(&mut self) -> Vec<String> {
        self.taken.give()
    }
}

fn begin(last: u64, back: Option<usize>) -> u64 {
    back.map_or(0, |back| last.saturating_sub(back as u64))
}

fn look_into(
    folder: &Path,
    tails: &mut BTreeMap<String, Tail>,
    back: Option<usize>,
    taken: &mut Taken,
) -> io::Result<()> {
    for file in list(folder)? {
        let lines = match (tails.get_mut(&file.name), back) {
            (Some(tail), _) => tail.more()?,
            (None, Some(back)) => {
                let (tail, lines) = Tail::from_end(file.path, back)?;
                tails.insert(file.name.clone(), tail);
                lines
            }
            (None, None) => tails.entry(file.name.clone()).or_insert(Tail::from_start(file.path)).more()?,
        };
        taken.add(&file.name, lines.into_iter().map(|line| line.note));
    }
    Ok(())
}

async fn look_at(
    table: &dyn JournalTable,
    places: &mut BTreeMap<String, u64>,
    back: Option<usize>,
    taken: &mut Taken,
) -> Result<(), Error> {
    for journal in table.journals().await? {
        let at = places.entry(journal.name.clone()).or_insert(begin(journal.last, back));
        while *at < journal.last {
            let notes = table.notes(&journal.name, *at, PAGE).await?;
            let Some((last, _)) = notes.last() else { break };
            *at = last.number;
            taken.add(&journal.name, notes.into_iter().map(|(_, note)| note.as_str().to_owned()));
        }
    }
    Ok(())
}

/// Notes that wait to be printed, and the latest time in each chain.
#[derive(Default)]
struct Taken {
    waiting: Vec<(Timestamp, String)>,
    latest: BTreeMap<String, Timestamp>,
}

impl Taken {
    /// A note counts as no earlier than those before it: a clock that was set back must not turn a chain round, and a
    /// note that cannot be read is shown all the same. Seals are for `verify`.
    fn add(&mut self, chain: &str, notes: impl Iterator<Item = String>) {
        #[derive(Deserialize)]
        struct When {
            at: Timestamp,
        }
        let latest = self.latest.entry(chain.to_owned()).or_insert(Timestamp::MIN);
        for note in notes.filter(|note| !matches!(Own::parse(note), Some(Ok(Own::Sealed { .. })))) {
            let at = serde_json::from_str(&note).map_or(*latest, |When { at }| at);
            *latest = at.max(*latest);
            self.waiting.push((*latest, note));
        }
    }

    fn give(&mut self) -> Vec<String> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_by_key(|(at, _)| *at);
        waiting.into_iter().map(|(_, note)| note).collect()
    }
}

pub async fn tail(store: Arc<dyn Database>, folder: &Path, count: usize, follow: bool) -> anyhow::Result<()> {
    let mut follower = Follower::new(store, folder);
    // Twice as many, because seals are left out.
    follower.look(Some(2 * count)).await?;
    let mut notes = follower.give();
    notes.drain(..notes.len().saturating_sub(count));
    if !print(&notes)? || !follow {
        return Ok(());
    }
    tokio::select! {
        ended = go_on(follower) => ended,
        asked = tokio::signal::ctrl_c() => Ok(asked?),
    }
}

/// Until nobody reads any more. An outage of the database is told, and waited for.
async fn go_on(mut follower: Follower) -> anyhow::Result<()> {
    let mut is_away = false;
    loop {
        tokio::time::sleep(follower.source.pause()).await;
        if nobody_reads() {
            return Ok(());
        }
        let looked = match follower.look(None).await {
            Err(error) if error.downcast_ref().is_some_and(Error::retryable) => Err(error),
            other => Ok(other?),
        };
        if looked.is_err() != is_away {
            is_away = looked.is_err();
            eprintln!("{}", looked.map_or_else(|error| format!("{error}; trying again"), |()| "going on".to_owned()));
        }
        // In one piece: the half of a look could not be put in order with the other half.
        if !is_away && !print(&follower.give())? {
            return Ok(());
        }
    }
}

/// False: nobody reads any more, as behind `| head`.
fn print(notes: &[String]) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    let printed = notes.iter().try_for_each(|note| writeln!(out, "{note}")).and_then(|()| out.flush());
    match printed {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        other => other.map(|()| true),
    }
}

/// The other end of standard output is gone. Asked also while there is nothing to print: it may be quiet for days.
fn nobody_reads() -> bool {
    let out = io::stdout();
    let mut asked = [PollFd::new(&out, PollFlags::empty())];
    let answered = poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    answered.is_ok() && asked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u32, what: &str) -> String {
        format!(r#"{{"at":"2026-01-01T00:00:{second:02}Z","what":"{what}"}}"#)
    }

    #[test]
    fn chains_are_merged_by_time_and_each_keeps_its_order() {
        let mut taken = Taken::default();
        let (odd, back) = ("{".to_owned(), at(3, "clock set back"));
        taken.add("a", [at(1, "a1"), at(7, "a2"), back.clone(), odd.clone(), at(9, "a5")].into_iter());
        taken.add("b", [at(2, "b1"), at(8, "b2")].into_iter());
        let expected = [at(1, "a1"), at(2, "b1"), at(7, "a2"), back, odd, at(8, "b2"), at(9, "a5")];
        assert_eq!(taken.give(), expected);
        taken.add("a", [at(4, "a6")].into_iter());
        taken.add("b", [at(8, "b3")].into_iter());
        assert_eq!(taken.give(), [at(8, "b3"), at(4, "a6")]);
        assert!(taken.give().is_empty());
    }
}
