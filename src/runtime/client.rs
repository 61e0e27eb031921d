//! `strongroom client create`: an identity without a cluster, for `serve` and to break the glass.

use std::process::ExitCode;

use anyhow::bail;

use crate::app::alarm::Alarm;
use crate::app::clients::name_taken;
use crate::config::Settings;
use crate::runtime::{foundation, threads};

/// Works on the store directly, also while a server runs on it.
pub fn create(settings: &Settings, name: &str, admin: bool) -> anyhow::Result<ExitCode> {
    let created = threads()?.block_on(async {
        let app = foundation::open(settings, None, &Alarm::default()).await?;
        anyhow::Ok(app.clients.create(name, admin).await)
    })?;
    match created {
        Ok(password) => {
            println!("{}", password.expose());
            eprintln!("client credential {name} was made; its password is above and will not be shown again");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if name_taken(&error) => bail!("there is a client credential named {name} already; choose another"),
        Err(error) => bail!(error),
    }
}
