//! `strongroom archive`: what was archived over REST, and the way back. Works on the store directly, also while a server
//! runs on it.

use std::process::ExitCode;

use anyhow::bail;

use crate::app::alarm::Alarm;
use crate::config::Settings;
use crate::domain::name::RecordId;
use crate::domain::{Conflict, Error};
use crate::runtime::{foundation, threads, told};

pub fn list(settings: &Settings) -> anyhow::Result<ExitCode> {
    let archived = threads()?.block_on(async {
        let app = foundation::open(settings, None, &Alarm::default()).await?;
        app.credentials.archived().await.map_err(told)
    })?;
    for entry in &archived {
        let at = entry.head.released.map(|release| release.at.to_string()).unwrap_or_default();
        println!("{}  {at}  {}", entry.head.id.hex(), entry.body.title);
    }
    eprintln!("{} archived", archived.len());
    Ok(ExitCode::SUCCESS)
}

pub fn restore(settings: &Settings, id: &str) -> anyhow::Result<ExitCode> {
    let Some(id) = RecordId::parse_hex(id) else {
        bail!("{id:?} is no id: it has 32 hexadecimal digits, as `strongroom archive list` prints it");
    };
    let restored = threads()?.block_on(async {
        let app = foundation::open(settings, None, &Alarm::default()).await?;
        anyhow::Ok(app.credentials.restore(id).await)
    })?;
    match restored {
        Ok(entry) => {
            println!("credential {} ({}) is back, at revision {}", id.hex(), entry.body.title, entry.stamp.number);
            Ok(ExitCode::SUCCESS)
        }
        Err(Error::Conflict(Conflict::Exists { id, .. })) => {
            bail!("its name was taken meanwhile, by credential {}: rename that one first", id.hex())
        }
        Err(error) => Err(told(error)),
    }
}
