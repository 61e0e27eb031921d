//! Who writes and who syncs: callers append to the page, one thread syncs it, seals it and turns it.
//!
//! A failed sync ends everything (the kernel may have dropped what it could not write, and a second sync
//! would say that all is well); a full disk refuses notes until there is space.

use std::fs::File;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;

use super::own::{End, Own, Seal};
use super::page::{Page, Trouble};
use super::{Anchor, Ground, Stage, folder, unavailable};
use crate::app::audit::{Note, Position};
use crate::domain::Result;

pub(super) struct Desk {
    ground: Ground,
    state: Mutex<State>,
    wake: Condvar,
    /// Until the last one is told: who waits for more must not wait for ever.
    anchors: Mutex<Option<UnboundedSender<Anchor>>>,
}

struct State {
    page: Page,
    /// How much of the page is known to be on the disk, and its last line there.
    synced: u64,
    reached: Position,
    /// Number of the last seal.
    sealed: u64,
    unsynced_since: Option<Instant>,
    refusing: bool,
    stopping: bool,
}

impl State {
    fn new(page: Page) -> Self {
        Self {
            synced: 0,
            reached: page.position,
            sealed: page.position.number,
            unsynced_since: None,
            refusing: false,
            stopping: false,
            page,
        }
    }
}

impl Desk {
    pub(super) fn open(ground: Ground, anchors: UnboundedSender<Anchor>) -> Result<Self> {
        let at = |error: std::io::Error| unavailable(format!("{}: {error}", ground.folder.display()));
        folder::create(&ground.folder).map_err(at)?;
        let left = folder::left_behind(&ground.folder).map_err(at)?;
        let mut page = ground.draft()?;
        let begun = ground.begin(&mut page, left.iter().map(|(_, end)| end.clone()).collect());
        if let Err(trouble) = begun {
            page.discard();
            return Err(trouble);
        }
        page.file().sync_all().and_then(|()| folder::sync(&ground.folder)).map_err(at)?;
        // Only now: a start that fails before leaves them to the next one.
        for (file, _) in &left {
            folder::mark_over(&file.path).map_err(at)?;
        }
        let (state, anchors) = (Mutex::new(State::new(page)), Mutex::new(Some(anchors)));
        let desk = Self { ground, state, wake: Condvar::new(), anchors };
        let state = desk.state();
        desk.tell(Stage::Opened, &state.page, &state.page.position);
        drop(state);
        Ok(desk)
    }

    pub(super) fn write(&self, note: &Note) -> Result<()> {
        if self.ground.alarm.is_raised() {
            return Err(unavailable("the disk has failed"));
        }
        let mut state = self.state();
        if state.stopping {
            return Err(unavailable("it is closed"));
        }
        if state.unsynced_since.is_some_and(|since| since.elapsed() > self.ground.pace.stall) {
            return Err(unavailable("the disk does not answer"));
        }
        let written = state.page.append(note);
        if written.is_ok() && state.unsynced_since.is_none() {
            state.unsynced_since = Some(Instant::now());
        }
        let refused = written.is_err();
        // Said when it begins and when it ends, not once for each note.
        if refused != state.refusing {
            state.refusing = refused;
            match refused {
                true => tracing::error!("the audit journal cannot be written; what cannot be audited is refused"),
                false => tracing::info!("the audit journal is written again"),
            }
        }
        written.map_err(|trouble| self.refuse(trouble))
    }

    pub(super) fn stop(&self) {
        self.state().stopping = true;
        self.wake.notify_all();
    }

    /// The thread, to its end.
    pub(super) fn keep(&self) {
        self.keep_on();
        *self.anchors.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn keep_on(&self) {
        let mut noted = Instant::now();
        let mut anchored = self.state().page.position;
        loop {
            let stopping = self.rest();
            if stopping {
                return self.finish();
            }
            let Ok(reached) = self.sync() else { return };
            self.seal();
            if noted.elapsed() >= self.ground.pace.anchor && reached != anchored {
                self.tell(Stage::Reached, &self.state().page, &reached);
                (noted, anchored) = (Instant::now(), reached);
            }
            if self.state().page.length >= self.ground.pace.page {
                match self.turn() {
                    Ok(()) => (noted, anchored) = (Instant::now(), self.state().page.position),
                    Err(error) => tracing::warn!(%error, "the next audit journal cannot be started yet"),
                }
            }
        }
    }

    fn rest(&self) -> bool {
        let state = self.state();
        let waited = self.wake.wait_timeout_while(state, self.ground.pace.sync, |state| !state.stopping);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopping
    }

    /// Syncs what is new. Notes go on meanwhile: the lock is not held.
    fn sync(&self) -> Result<Position> {
        let mut state = self.state();
        let (file, length, position) = (state.page.file(), state.page.length, state.page.position);
        if length > state.synced {
            state.unsynced_since = None;
            drop(state);
            self.sync_file(&file)?;
            state = self.state();
            (state.synced, state.reached) = (length, position);
        }
        Ok(state.reached)
    }

    fn sync_file(&self, file: &File) -> Result<()> {
        file.sync_data().map_err(|error| {
            self.ground.alarm.raise(format!("the audit journal cannot be synced: {error}"));
            unavailable(error)
        })
    }

    /// Covers every line above it. Where it does not fit, the next one will.
    fn seal(&self) {
        let mut state = self.state();
        if state.page.position.number == state.sealed {
            return;
        }
        let sealed = self.ground.seal(&state.page);
        let written = sealed.and_then(|seal| {
            let own = Own::Sealed { at: self.ground.clock.now(), seal };
            state.page.append_own(&own).map_err(|trouble| self.refuse(trouble))
        });
        if written.is_ok() {
            state.sealed = state.page.position.number;
        }
    }

    /// Closes the page and goes on with another. Nobody can write between the two.
    fn turn(&self) -> Result<()> {
        let mut next = self.ground.draft()?;
        let mut state = self.state();
        let (length, position) = (state.page.length, state.page.position);
        let turned = self.close(&mut state.page).and_then(|()| {
            let begun = self.ground.begin(&mut next, vec![state.page.end()]);
            if begun.is_err() {
                state.page.return_to(length, position).map_err(|trouble| self.refuse(trouble))?;
            }
            begun
        });
        if let Err(error) = turned {
            next.discard();
            return Err(error);
        }
        let new = State { refusing: state.refusing, stopping: state.stopping, ..State::new(next) };
        let file = new.page.file();
        let old = std::mem::replace(&mut *state, new).page;
        drop(state);
        self.sync_file(&old.file())?;
        self.sync_file(&file)?;
        self.end(&old);
        let state = self.state();
        self.tell(Stage::Opened, &state.page, &state.reached);
        Ok(())
    }

    fn finish(&self) {
        let mut state = self.state();
        let closed = self.close(&mut state.page);
        if self.sync_file(&state.page.file()).is_err() {
            return;
        }
        match closed {
            Ok(()) => self.end(&state.page),
            Err(_) => self.tell(Stage::Reached, &state.page, &state.page.position),
        }
    }

    fn close(&self, page: &mut Page) -> Result<()> {
        let closed = Own::Closed { at: self.ground.clock.now(), seal: self.ground.seal(page)? };
        page.append_own(&closed).map_err(|trouble| self.refuse(trouble))
    }

    /// Of a closed page that is on the disk.
    fn end(&self, page: &Page) {
        self.tell(Stage::Closed, page, &page.position);
        let over = folder::mark_over(&page.path).and_then(|()| folder::sync(&self.ground.folder));
        if let Err(error) = over {
            tracing::warn!(%error, "the closed audit journal keeps its mode; the next start reads it again");
        }
    }

    fn tell(&self, stage: Stage, page: &Page, position: &Position) {
        let name = page.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(anchors) = self.anchors.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            // Nobody listens in a program that has stopped.
            let _ = anchors.send(Anchor::new(self.ground.clock.now(), stage, name, position));
        }
    }

    fn refuse(&self, trouble: Trouble) -> crate::domain::Error {
        match trouble {
            Trouble::Refused(error) => unavailable(error),
            Trouble::Broken(error) => {
                self.ground.alarm.raise(format!("the audit journal has a torn line that cannot be cut off: {error}"));
                unavailable(error)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn exchange_file(&self, file: File) {
        self.state().page.exchange_file(file);
    }
}

impl Ground {
    fn draft(&self) -> Result<Page> {
        let chain = hex::encode(self.entropy.bytes::<16>());
        Page::draft(&self.folder, self.clock.now(), &chain).map_err(unavailable)
    }

    fn begin(&self, page: &mut Page, after: Vec<End>) -> Result<()> {
        let seal = self.seal(page)?;
        let opened = Own::Opened { at: self.clock.now(), chain: page.chain.clone(), after, seal };
        page.begin(&opened).map_err(|trouble| match trouble {
            Trouble::Refused(error) | Trouble::Broken(error) => unavailable(error),
        })
    }

    fn seal(&self, page: &Page) -> Result<Seal> {
        self.keyring.sign_position(page.chain.as_bytes(), &page.position).map(Seal::from)
    }
}
