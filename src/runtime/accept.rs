//! `strongroom accept-rollback`: an operator takes a store that is older than its anchor for the right one.

use std::io::{self, BufRead, IsTerminal, Write as _};
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::app::alarm::Alarm;
use crate::app::anchor::Rollback;
use crate::app::audit::Event;
use crate::app::ports::{Change, Clock, Write};
use crate::config::Settings;
use crate::domain::actor::Actor;
use crate::runtime::foundation::Ground;
use crate::runtime::root_key::Patience;
use crate::runtime::told;
use crate::runtime::{anchor, database, threads};

/// What is typed instead of --yes.
const WORD: &str = "accept";

pub fn run(settings: &Settings, yes: bool) -> anyhow::Result<ExitCode> {
    threads()?.block_on(async {
        if !database::exists(settings).await? {
            bail!("there is no store {}", database::name(settings));
        }
        let ground = Ground::open(settings, &Alarm::default(), &Patience::None).await?;
        let rollback = ground.witness.rollback().borrow().clone();
        let Some(rollback) = rollback else {
            println!("nothing to accept: the store is what its anchor {} saw, or newer", ground.witness.place());
            return Ok(ExitCode::SUCCESS);
        };
        println!("{}", anchor::described(&rollback, &ground.witness, ground.store.as_ref()).await);
        println!("{}", lost(&rollback));
        if !yes {
            ask()?;
        }
        let (from, to) = accept(&ground, &rollback).await?;
        println!("accepted, and noted in the audit: a rollback from record {from} to {to}");
        println!("running servers go on writing within a second");
        Ok(ExitCode::SUCCESS)
    })
}

/// What that means, in the words of whoever has to decide.
fn lost(rollback: &Rollback) -> String {
    match rollback {
        Rollback::Shorter { seen, at, end } => format!(
            "what was written after record {end} and until {at}, records {} to {seen}, is lost if you accept: values, \
             clients, services and what the audit said of them",
            end + 1
        ),
        Rollback::Another { seen, .. } => format!(
            "others have written into an older copy of the store: what this one had at its record {seen} and what is \
             there now are not the same, and what is not there now is lost if you accept"
        ),
        Rollback::Unknown(_) => {
            "nobody can say whether anything is missing; if you accept, the store as it is counts from now on"
                .to_owned()
        }
    }
}

/// Whoever pipes something in has not read what is asked.
fn ask() -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        bail!("nobody to ask at a terminal: add --yes to accept this");
    }
    print!("type {WORD} to accept this: ");
    io::stdout().flush().context("asking")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("asking")?;
    if answer.trim() != WORD {
        bail!("not accepted; nothing was changed");
    }
    Ok(())
}

/// The note and the anchor come with one commit. Ended in between, the next run finds what this one did.
async fn accept(ground: &Ground, rollback: &Rollback) -> anyhow::Result<(String, u64)> {
    let end = anchor::end(ground.store.as_ref()).await?;
    let (ledger, _) = end.context("the store has no ledger: it was never used, or everything was taken away")?;
    ground.keyring.verify_ledger(&ledger).map_err(told)?;
    let to = ledger.position.number;
    let from = match rollback {
        Rollback::Shorter { seen, .. } | Rollback::Another { seen, .. } => seen.to_string(),
        Rollback::Unknown(_) => "unknown".to_owned(),
    };
    let (operator, name) = (Actor::operator(), format!("from {from} to {to}"));
    let note = Event { name: &name, ..Event::of(&operator, "accept rollback", ground.clock.now()) }.note();
    ground.witness.accept(&ledger);
    let changes = vec![(Change::Remark, Some(note))];
    let written = ground.store.write(Write { changes, keyring: ground.keyring.clone(), fence: None }).await;
    written.map_err(told).context("noting it in the audit")?;
    Ok((from, to))
}
