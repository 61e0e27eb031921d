//! What other processes on the same store have written, from its chain of notes. Of its own writes a process hears at
//! once; of theirs when it looks.

use std::sync::Arc;

use serde::Deserialize;

use crate::app::audit::Note;
use crate::app::ports::Store;
use crate::app::records::Changed;
use crate::domain::Result;
use crate::domain::record::Class;

/// Notes that are read at once.
const PAGE: usize = 500;

pub struct Elsewhere {
    store: Arc<dyn Store>,
    /// Number of the last note that was looked at.
    seen: Option<u64>,
}

/// What a note says of the record that was written.
#[derive(Deserialize)]
struct Written {
    class: String,
    name: String,
}

impl Elsewhere {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, seen: None }
    }

    /// Everything that was written since the last look, by this process too. `None` at the first: anything may have been.
    pub async fn look(&mut self) -> Result<Option<Vec<Changed>>> {
        let mut moment = self.store.snapshot().await?;
        let end = moment.ledger().await?.map_or(0, |ledger| ledger.position.number);
        let Some(mut seen) = self.seen else {
            self.seen = Some(end);
            return Ok(None);
        };
        let mut changed = Vec::new();
        while seen < end {
            let notes = moment.audit(seen, PAGE).await?;
            let Some((last, _)) = notes.last() else { break };
            seen = last.number;
            changed.extend(notes.iter().filter_map(|(_, note)| read(note)));
        }
        self.seen = Some(end.max(seen));
        Ok(Some(changed))
    }
}

/// Notes about the store itself name no record.
fn read(note: &Note) -> Option<Changed> {
    let written: Written = serde_json::from_str(note.as_str()).ok()?;
    let class = Class::ALL.into_iter().find(|class| class.singular() == written.class)?;
    Some(Changed { class, name: written.name })
}
