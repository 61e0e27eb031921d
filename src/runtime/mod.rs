//! The composition root: the one place that knows every room. Dispatches the subcommands.

mod accept;
mod anchor;
mod archive;
mod audit;
mod backup;
mod check;
mod client;
mod database;
mod dialects;
pub mod foundation;
mod import;
mod journal;
mod kmsauth;
mod kmsauth_token;
mod kubernetes;
mod leadership;
mod memory;
mod mutual_tls;
mod oidc;
mod operator;
mod rekey;
mod rest;
mod rolls;
mod root_key;
mod seeds;
mod serve;
mod surroundings;

use std::process::ExitCode;

use anyhow::{Context, anyhow};

use crate::config::{ArchiveCommand, Cli, ClientCommand, Command, Given, ImportCommand, LogFormat, Settings};
use crate::domain;
use crate::telemetry;

/// Runs one subcommand to its end. What fails is said on standard error in one line.
pub fn run(cli: Cli) -> ExitCode {
    // Lets FAILPOINTS in the environment end the process at a named step.
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    match memory::close().and_then(|()| dispatch(cli.command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("strongroom: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(given) => serve::run(settle(given)?, serve::Mode::Cluster),
        Command::Serve(given) => serve::run(settle(given)?, serve::Mode::Alone),
        Command::Client { command: ClientCommand::Create { name, admin, given } } => {
            client::create(&settle(given)?, &name, admin)
        }
        Command::Archive { command: ArchiveCommand::List(given) } => archive::list(&settle(given)?),
        Command::Archive { command: ArchiveCommand::Restore { id, given } } => archive::restore(&settle(given)?, &id),
        Command::Import { command: ImportCommand::Credhub { file, dry_run, given } } => {
            import::credhub(&settle(given)?, &file, dry_run)
        }
        Command::Audit { command } => audit::run(command),
        Command::Rekey { to, retire_other_roots, given } => rekey::run(&settle(given)?, &to, retire_other_roots),
        Command::Backup { output, given } => backup::back_up(&settle(given)?, &output),
        Command::Restore { file, given } => backup::restore(&settle(given)?, &file),
        Command::AcceptRollback { yes, given } => accept::run(&settle(given)?, yes),
        Command::Check(given) => check::run(given),
        Command::KmsauthToken { wish, given } => kmsauth_token::run(&settle(given)?, &wish),
        Command::Crds => {
            print!("{}", crate::k8s::crd::manifest());
            Ok(ExitCode::SUCCESS)
        }
        Command::Version => {
            println!("strongroom {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// With its detail: at the shell of its operator everything may be said.
fn told(error: domain::Error) -> anyhow::Error {
    match error.detail() {
        Some(detail) => anyhow!("{error}: {detail}"),
        None => anyhow!(error),
    }
}

fn settle(given: Given) -> anyhow::Result<Settings> {
    let settings = given.settle(std::env::vars_os().map(|(name, _)| name))?;
    let json = settings.log_format == LogFormat::Json;
    telemetry::start_logging(&settings.log_level, json).map_err(|error| anyhow!(error))?;
    Ok(settings)
}

/// One provider for TLS everywhere, and the threads of the process.
fn threads() -> anyhow::Result<tokio::runtime::Runtime> {
    // Fails only when there is one already, which then is this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")
}
