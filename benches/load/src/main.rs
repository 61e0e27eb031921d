//! A load generator: reads one job as JSON from its standard input and writes one report as JSON.
//! One thread, so that the server has the other core. It knows nothing of who answers.

mod drive;
mod job;
mod report;
mod wire;

use std::io;
use std::process::ExitCode;

use job::Job;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let job: Job = serde_json::from_reader(io::stdin().lock())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = tokio::task::LocalSet::new().block_on(&runtime, drive::run(job))?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
