//! The journal of a program that answers callers: begun before the first answer, closed after the last,
//! and its anchors noted in the chain of writes all the while.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use crate::adapters::journal::{Anchor, FileJournal, TableJournal};
use crate::app::App;
use crate::app::ports::Journal;

const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How long the end of the program waits for the last anchors.
const STOP: Duration = Duration::from_secs(5);

/// Where it is kept.
#[derive(Clone)]
pub enum Kept {
    File(Arc<FileJournal>),
    Table(Arc<TableJournal>),
}

impl Kept {
    pub fn journal(&self) -> Arc<dyn Journal> {
        match self {
            Self::File(journal) => journal.clone(),
            Self::Table(journal) => journal.clone(),
        }
    }

    async fn stop(self) -> bool {
        match self {
            Self::File(journal) => tokio::task::spawn_blocking(move || journal.stop()).await.is_ok(),
            Self::Table(journal) => tokio::time::timeout(STOP, journal.stop()).await.is_ok(),
        }
    }
}

pub struct Journaling {
    journal: Kept,
    noting: JoinHandle<()>,
}

impl Journaling {
    /// Returns when the chain of writes knows of the journal. It is told later where nothing is written because the
    /// store is older than its anchor: reads go on there, and are recorded.
    pub async fn start(
        app: Arc<App>,
        journal: Kept,
        mut anchors: UnboundedReceiver<Anchor>,
        is_written: bool,
    ) -> anyhow::Result<Self> {
        let opened = anchors.recv().await.context("the audit journal did not begin")?;
        if is_written {
            app.note(opened.note()).await.context("noting that the audit journal was opened")?;
        }
        let noting = tokio::spawn(async move {
            if !is_written {
                note(&app, &opened).await;
            }
            while let Some(anchor) = anchors.recv().await {
                note(&app, &anchor).await;
            }
        });
        Ok(Self { journal, noting })
    }

    /// Refuses notes from now on, so that nothing is read any more.
    pub async fn stop(self) {
        let Self { journal, noting } = self;
        if !journal.stop().await || tokio::time::timeout(STOP, noting).await.is_err() {
            tracing::warn!("the end of the audit journal is not in the chain of writes; the next start tells it");
        }
    }
}

/// Until it is noted: what comes after it must not be noted before.
async fn note(app: &App, anchor: &Anchor) {
    let mut said = false;
    while let Err(error) = app.note(anchor.note()).await {
        if !said {
            tracing::warn!(%error, detail = error.detail(), "how far the audit journal is cannot be noted yet");
            said = true;
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}
