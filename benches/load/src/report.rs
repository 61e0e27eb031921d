//! What came of a job: times in microseconds, and the server's processor time from /proc.

use std::fs;

use serde::Serialize;

#[derive(Serialize)]
pub struct Report {
    pub requests: u64,
    pub seconds: f64,
    pub rate: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub longest: f64,
    /// Of the connections that were made for single requests.
    pub resumed: u64,
    /// Seconds that the server's process spent, in itself and in the kernel for it.
    pub server_cpu: f64,
    /// The same for this process.
    pub own_cpu: f64,
}

/// Sorted once, at the end.
#[derive(Default)]
pub struct Times(Vec<u64>);

impl Times {
    pub fn add(&mut self, nanoseconds: u64) {
        self.0.push(nanoseconds);
    }

    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    pub fn sort(&mut self) {
        self.0.sort_unstable();
    }

    /// In microseconds. The smallest time that this share of the requests did not exceed.
    pub fn quantile(&self, share: f64) -> f64 {
        let place = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(place.saturating_sub(1)).map_or(0.0, |time| *time as f64 / 1000.0)
    }
}

/// User and system time of a process so far, in seconds. The kernel counts in hundredths for everybody.
pub fn processor_time(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap_or_default());
    Ok(ticks.sum::<u64>() as f64 / 100.0)
}
