//! `strongroom rekey`: new data keys, and another root key, while servers run on the store.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::adapters::journal::{self, Anchor, LogJournal, Stage};
use crate::adapters::kms::aws::{AwsKms, Place};
use crate::adapters::kms::local::KeyFile;
use crate::adapters::system::SystemEntropy;
use crate::app::App;
use crate::app::alarm::Alarm;
use crate::app::audit::Position;
use crate::app::ports::KeyService;
use crate::config::{NextRoot, Settings};
use crate::runtime::foundation::Ground;
use crate::runtime::root_key::Patience;
use crate::runtime::threads;

pub fn run(settings: &Settings, to: &NextRoot, retire_other_roots: bool) -> anyhow::Result<ExitCode> {
    threads()?.block_on(async {
        let ground = Ground::open(settings, &Alarm::default(), &Patience::None).await?;
        let app = ground.app(None, Arc::new(LogJournal));
        if retire_other_roots {
            return retire(&app).await;
        }
        let next = next_root(to).await?;
        if let Some(next) = &next {
            app.add_root(next.key.as_ref()).await.context("wrapping the data keys")?;
            println!("{} opens the store as well", next.key.id());
        }
        anchor_journals(&ground, settings, &app).await.context("noting how far the audit journals go")?;
        let shown = Progress::default();
        let done = app.rekey(&|seen, total| shown.show(seen, total)).await.context("not finished; run it again")?;
        println!(
            "data key {} is the only one{}: {} revisions and {} heads were sealed again, {} old keys retired",
            done.epoch,
            if done.resumed { ", an earlier run was taken up" } else { "" },
            done.revisions,
            done.heads,
            done.retired,
        );
        if let Some(next) = &next {
            // The new data key was wrapped by the configured root only.
            app.add_root(next.key.as_ref()).await.context("wrapping the data keys")?;
            println!(
                "next: set {} for every process and restart it, then run `strongroom rekey --retire-other-roots` \
                 with the same setting",
                next.setting
            );
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The last seals of a journal that a crash left behind are under a key that is about to go. Whether they are right
/// could not be said any more: how far such a journal goes is noted in the chain of writes before.
async fn anchor_journals(ground: &Ground, settings: &Settings, app: &App) -> anyhow::Result<()> {
    let now = app.now();
    let anchors = match ground.store.clone().journals() {
        None => journal::ends_left_behind(&settings.audit_dir, now)?,
        Some(table) => {
            let left = table.left_behind().await?;
            let anchor = |(name, end): (String, Option<Position>)| Some(Anchor::new(now, Stage::Reached, name, &end?));
            left.into_iter().filter_map(anchor).collect()
        }
    };
    for anchor in anchors {
        app.note(anchor.note()).await?;
    }
    Ok(())
}

struct Next {
    key: Box<dyn KeyService>,
    /// How a process is told to use it.
    setting: String,
}

async fn next_root(to: &NextRoot) -> anyhow::Result<Option<Next>> {
    if let Some(path) = &to.to_key_file {
        let key = KeyFile::open_or_create(path, Arc::new(SystemEntropy::default()))?;
        return Ok(Some(Next { key: Box::new(key), setting: format!("--key-file {}", path.display()) }));
    }
    let Some(kms) = to.kms()? else { return Ok(None) };
    let place = Place::new(&kms.key, kms.endpoint.clone(), kms.region.clone());
    let key = Patience::None.wait(|| AwsKms::connect(&place)).await?;
    Ok(Some(Next { key: Box::new(key), setting: format!("--kms-key {}", kms.key) }))
}

async fn retire(app: &App) -> anyhow::Result<ExitCode> {
    let own = app.root();
    let others: Vec<String> = app.roots().await?.into_iter().filter(|root| *root != own).collect();
    if others.is_empty() {
        bail!("no other root key opens this store");
    }
    for root in others {
        app.retire_root(&root).await?;
        println!("{root} does not open the store any more; {own} does");
    }
    Ok(ExitCode::SUCCESS)
}

/// A line a second, on standard error, for what takes longer.
pub(super) struct Progress {
    begun: Instant,
    said: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { begun: Instant::now(), said: AtomicU64::new(0) }
    }
}

impl Progress {
    pub(super) fn show(&self, seen: u64, total: u64) {
        let seconds = self.begun.elapsed().as_secs();
        if self.said.swap(seconds, Ordering::Relaxed) == seconds {
            return;
        }
        let rate = seen as f64 / self.begun.elapsed().as_secs_f64();
        let left = Duration::from_secs_f64(total.saturating_sub(seen) as f64 / rate.max(1.0)).as_secs();
        eprintln!("{seen} of {total} records, {rate:.0}/s, about {left} s left");
    }
}
