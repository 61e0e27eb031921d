//! `strongroom audit tail`: the last notes of the chain of writes and of the journals, in the order of
//! their times, one JSON line each.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use crate::adapters::journal::{Line, Own, Tail, list};
use crate::app::ports::Store;

const LOOK_AGAIN: Duration = Duration::from_millis(250);
const PAGE: usize = 1000;

struct Said {
    at: Timestamp,
    note: String,
}

impl Said {
    /// Seals are for `verify`.
    fn of(note: String) -> Option<Self> {
        #[derive(Deserialize)]
        struct When {
            at: Timestamp,
        }
        if matches!(Own::parse(&note), Some(Ok(Own::Sealed { .. }))) {
            return None;
        }
        // A note that cannot be read is shown all the same.
        let at = serde_json::from_str(&note).map_or(Timestamp::MIN, |When { at }| at);
        Some(Self { at, note })
    }

    fn of_lines(lines: Vec<Line>) -> impl Iterator<Item = Self> {
        lines.into_iter().filter_map(|line| Self::of(line.note))
    }
}

/// Both sources, each at the place up to which it was shown.
pub struct Follower<'a> {
    store: &'a dyn Store,
    shown: u64,
    folder: &'a Path,
    files: BTreeMap<String, Tail>,
}

impl<'a> Follower<'a> {
    /// At the end, with the last `count` notes before it.
    pub async fn at_end(store: &'a dyn Store, folder: &'a Path, count: usize) -> anyhow::Result<(Self, Vec<String>)> {
        let ledger = store.snapshot().await?.ledger().await?;
        let head = ledger.map_or(0, |ledger| ledger.position.number);
        let mut follower = Self { store, shown: head.saturating_sub(count as u64), folder, files: BTreeMap::new() };
        let mut said = follower.new_rows().await?;
        for file in list(folder)? {
            // Twice as many, because seals are left out.
            let (tail, lines) = Tail::from_end(file.path, 2 * count)?;
            said.extend(Said::of_lines(lines));
            follower.files.insert(file.name, tail);
        }
        let mut last = in_order(said);
        last.drain(..last.len().saturating_sub(count));
        Ok((follower, last))
    }

    async fn new_rows(&mut self) -> anyhow::Result<Vec<Said>> {
        let mut said = Vec::new();
        let mut snapshot = self.store.snapshot().await?;
        loop {
            let rows = snapshot.audit(self.shown, PAGE).await?;
            let Some((last, _)) = rows.last() else { return Ok(said) };
            self.shown = last.number;
            said.extend(rows.into_iter().filter_map(|(_, note)| Said::of(note.as_str().to_owned())));
        }
    }

    /// What was noted since.
    pub async fn more(&mut self) -> anyhow::Result<Vec<String>> {
        let mut said = self.new_rows().await?;
        for file in list(self.folder)? {
            let tail = self.files.entry(file.name).or_insert_with(|| Tail::from_start(file.path));
            said.extend(Said::of_lines(tail.more()?));
        }
        Ok(in_order(said))
    }
}

fn in_order(mut said: Vec<Said>) -> Vec<String> {
    said.sort_by_key(|one| one.at);
    said.into_iter().map(|one| one.note).collect()
}

pub async fn tail(store: &dyn Store, folder: &Path, count: usize, follow: bool) -> anyhow::Result<()> {
    let (mut follower, mut notes) = Follower::at_end(store, folder, count).await?;
    loop {
        if !print(&notes)? || !follow {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        notes = follower.more().await?;
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
