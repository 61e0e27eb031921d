//! `strongroom audit`: whether the record of what was done is whole, and its last lines. Works beside a
//! running server: the store is read at one moment, and the journals as far as they were written then.

mod journals;
mod noted;
mod tail;
#[cfg(test)]
mod tests;
mod walk;
mod writes;

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::adapters::journal::{Copies, copy_out};
use crate::app::alarm::Alarm;
use crate::app::keyring::Keyring;
use crate::app::ledger::Ledger;
use crate::app::ports::Snapshot;
use crate::app::step::step;
use crate::app::verify::{self, Verified};
use crate::config::{AuditCommand, Settings};
use crate::domain::Error;
use crate::runtime::database::Database;
use crate::runtime::foundation::Ground;
use crate::runtime::rekey::Progress;
use crate::runtime::{anchor, database, settle, threads};
use walk::Findings;

const SAY_AGAIN: Duration = Duration::from_secs(5);

pub fn run(command: AuditCommand) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::Verify(given) => {
            let settings = settle(given)?;
            threads()?.block_on(verify(&settings))
        }
        AuditCommand::Tail { lines, follow, given } => {
            let settings = settle(given)?;
            threads()?.block_on(async {
                require_store(&settings).await?;
                let store = database::open(&settings, &Alarm::default()).await?;
                tail::tail(store, &settings.audit_dir, lines, follow).await
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Makes nothing where there is nothing.
async fn require_store(settings: &Settings) -> anyhow::Result<()> {
    if !database::exists(settings).await? {
        bail!("there is no store: {} does not exist", database::name(settings));
    }
    Ok(())
}

/// A folder of journals: the one they are kept in, or one into which they were copied.
enum Journals {
    Kept(PathBuf),
    Copied(TempFolder, #[expect(dead_code, reason = "held for their locks")] Copies),
}

impl Journals {
    async fn of(store: Arc<dyn Database>, settings: &Settings) -> anyhow::Result<Self> {
        let Some(table) = store.journals() else { return Ok(Self::Kept(settings.audit_dir.clone())) };
        let folder = TempFolder::make(&settings.data_dir)?;
        let copies = copy_out(table.as_ref(), folder.path()).await?;
        step("audit.copied");
        Ok(Self::Copied(folder, copies))
    }

    fn folder(&self) -> &Path {
        match self {
            Self::Kept(folder) => folder,
            Self::Copied(folder, _) => folder.path(),
        }
    }
}

/// Removed with what is in it. Lives as long as its process holds its lock: what SIGKILL left of one is removed by the next.
struct TempFolder(PathBuf, #[expect(dead_code, reason = "held for its lock")] File);

const FOLDER: &str = "journals-";

impl TempFolder {
    fn make(beside: &Path) -> anyhow::Result<Self> {
        Self::remove_left_behind(beside);
        let folder = beside.join(format!("{FOLDER}{}", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&folder).and_then(|()| File::open(&folder));
        let lock = made.with_context(|| format!("making {}", folder.display()))?;
        lock.try_lock().with_context(|| format!("locking {}", folder.display()))?;
        Ok(Self(folder, lock))
    }

    /// What cannot be removed, or is just being removed by its owner, is in nobody's way.
    fn remove_left_behind(beside: &Path) {
        for entry in fs::read_dir(beside).into_iter().flatten().flatten() {
            let is_one = entry.file_name().to_str().is_some_and(|name| name.starts_with(FOLDER));
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_one
                && is_folder
                && let Ok(folder) = File::open(entry.path())
                && folder.try_lock().is_ok()
            {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // what stays is a copy
    }
}

async fn verify(settings: &Settings) -> anyhow::Result<ExitCode> {
    require_store(settings).await?;
    let Ground { store, keyring, witness, .. } = Ground::of_existing(settings).await?;
    let mut findings = Findings::default();
    let rollback = witness.rollback().borrow().clone();
    if let Some(rollback) = rollback {
        let found = anchor::described(&rollback, &witness, store.as_ref()).await;
        findings.add(format!("the store is not what it was: {found}"));
    }
    let summary = look_at_all(&store, &keyring, settings, &mut findings).await?;
    for said in &findings.said {
        println!("{said}");
    }
    if findings.count > 0 {
        println!("FAILED: {} found", findings.count);
        return Ok(ExitCode::FAILURE);
    }
    println!("{summary}");
    Ok(ExitCode::SUCCESS)
}

/// The store first: what it knows of the journals was in them before.
async fn look_at_all(
    store: &Arc<dyn Database>,
    keyring: &Keyring,
    settings: &Settings,
    findings: &mut Findings,
) -> anyhow::Result<String> {
    let mut snapshot = store.snapshot().await?;
    let Some(ledger) = snapshot.ledger().await? else { bail!("the store has no ledger: its first row was taken away") };
    // After the snapshot: what it holds is under keys that are there by now.
    keyring.reload().await?;
    let (told, records) = look_at_store(snapshot.as_mut(), &ledger, keyring, findings).await;
    drop(snapshot);
    look_at_pages(store.as_ref(), findings);
    let kept = Journals::of(store.clone(), settings).await?;
    let journals = journals::check(
        kept.folder(),
        &told.anchors,
        told.elsewhere,
        keyring,
        findings,
        &mut progress("lines of journals"),
    )?;
    println!("writes    {} records", told.records);
    println!("journals  {} records in {} files, {} not sealed", journals.records, journals.files, journals.unsealed);
    println!("records   {} with {} revisions", records.records, records.revisions);
    journals.remarks.iter().for_each(|remark| println!("note      {remark}"));
    let hash = hex::encode(ledger.position.hash);
    Ok(format!(
        "ok: {} records of audit, {} records, chain head {} {hash}",
        told.records + journals.records,
        records.records,
        ledger.position.number
    ))
}

/// A table that cannot be read is a finding, and no reason not to look at the rest.
async fn look_at_store(
    snapshot: &mut dyn Snapshot,
    ledger: &Ledger,
    keyring: &Keyring,
    findings: &mut Findings,
) -> (writes::Told, Verified) {
    let told = writes::check(snapshot, ledger, keyring, findings, &mut progress("records of writes")).await;
    let mut told = told.unwrap_or_else(|error| {
        findings.add(unreadable("writes", &error));
        writes::Told::default()
    });
    let latest = std::mem::take(&mut told.latest);
    if let Err(error) = noted::check(snapshot, latest, findings).await {
        findings.add(unreadable("records", &error));
    }
    let shown = Progress::default();
    let verified = verify::verify(snapshot, keyring, &|seen, total| shown.show(seen, total)).await;
    let verified = verified.unwrap_or_else(|error| {
        findings.add(unreadable("records", &error));
        Verified::default()
    });
    verified.findings.iter().for_each(|finding| findings.add(format!("records: {finding}")));
    (told, verified)
}

/// A record that an index lost is all there, and found by nobody who asks for it.
fn look_at_pages(store: &dyn Database, findings: &mut Findings) {
    match store.examine() {
        None => {}
        Some(Ok(wrong)) => wrong.iter().for_each(|line| findings.add(format!("pages: {line}"))),
        Some(Err(error)) => findings.add(unreadable("pages", &error)),
    }
}

fn unreadable(what: &str, error: &Error) -> String {
    format!("{what}: cannot be read: {error} {}", error.detail().unwrap_or_default())
}

/// Says how far it is when it takes long.
fn progress(what: &'static str) -> impl FnMut(u64) {
    let mut said = Instant::now();
    move |done| {
        if said.elapsed() >= SAY_AGAIN {
            eprintln!("{done} {what}");
            said = Instant::now();
        }
    }
}
