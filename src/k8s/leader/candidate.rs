//! Whoever does not lead: watches the Lease, and takes it when it is free.
//!
//! That a holder is dead is judged by what this process has seen for how long, on its own monotonic clock. The times in
//! the Lease are for people: clocks of two machines are never compared.

use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::LeaseSpec;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::Result;
use crate::k8s::leader::lease::{Change, Leases, NAME, Record};

/// What was seen last, and since when it has been so.
struct Sight {
    found: Option<Record>,
    since: Instant,
}

impl Sight {
    fn of(known: &mut Option<Self>, found: Option<Record>, now: Instant) -> &mut Self {
        match known {
            None => known.insert(Self { found, since: now }),
            Some(sight) => {
                sight.update(found, now);
                sight
            }
        }
    }

    /// Anything that a holder does shows in the spec; what others do to labels is no sign of its life.
    fn update(&mut self, found: Option<Record>, now: Instant) {
        let spec = |record: &Option<Record>| record.as_ref().map(|record| record.spec.clone());
        let (was, is): (Option<LeaseSpec>, Option<LeaseSpec>) = (spec(&self.found), spec(&found));
        if was != is {
            self.since = now;
        }
        self.found = found;
    }

    /// When this process may take it.
    fn free_at(&self, identity: &str, otherwise: Duration) -> Instant {
        match &self.found {
            // We had it, lost touch, and nobody else took it.
            Some(record) if record.holder().is_some_and(|holder| holder != identity) => {
                self.since + record.duration().unwrap_or(otherwise)
            }
            _ => self.since,
        }
    }
}

/// Waits until the Lease is ours, under the number after its last. Also says when the request that took it was sent.
/// `None`: shut down meanwhile.
pub async fn elected(leases: &Leases, app: &App, shutdown: &CancellationToken) -> Option<(Record, Instant)> {
    let mut events = watch(leases);
    let mut sight: Option<Sight> = None;
    loop {
        let found = tokio::select! {
            found = news(leases, &mut events, sight.as_ref()) => found,
            () = shutdown.cancelled() => return None,
        };
        let now = Instant::now();
        let taken = match found {
            Ok(found) => take_if_free(leases, app, Sight::of(&mut sight, found, now), now).await,
            Err(error) => Err(error),
        };
        match taken {
            Ok(Some(record)) => return Some((record, now)),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(detail = error.detail(), "the Lease cannot be looked at or taken");
                pause(leases, shutdown).await;
            }
        }
    }
}

/// The Lease when it changes, may be taken, or has not been heard of for too long: a leader that is well is heard of
/// more often than this, and the watch may be dead without saying so.
async fn news(
    leases: &Leases,
    events: &mut (impl Stream<Item = Option<Record>> + Unpin),
    sight: Option<&Sight>,
) -> Result<Option<Record>> {
    let mut wake = Instant::now() + leases.duration.mul_f64(0.6);
    if let Some(sight) = sight {
        wake = wake.min(sight.free_at(&leases.identity, leases.duration));
    }
    tokio::select! {
        Some(found) = events.next() => Ok(found),
        () = tokio::time::sleep_until(wake) => leases.look().await,
    }
}

async fn take_if_free(leases: &Leases, app: &App, seen: &mut Sight, now: Instant) -> Result<Option<Record>> {
    if seen.free_at(&leases.identity, leases.duration) > now {
        return Ok(None);
    }
    let epoch = seen.found.as_ref().map_or(0, Record::epoch) + 1;
    match leases.take(seen.found.as_ref(), epoch, app.now()).await? {
        Change::Done(record) => Ok(Some(record)),
        Change::Outrun => {
            // Look again at once: whoever was faster is its holder now.
            if let Ok(found) = leases.look().await {
                seen.update(found, Instant::now());
            }
            Ok(None)
        }
    }
}

async fn pause(leases: &Leases, shutdown: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(leases.patience / 5) => {}
        () = shutdown.cancelled() => {}
    }
}

/// The Lease whenever it changes; that it is left is heard at once.
fn watch(leases: &Leases) -> impl Stream<Item = Option<Record>> + Send + Unpin + use<> {
    let events = watcher::watch_object(leases.api.clone(), NAME).default_backoff();
    let seen = events.filter_map(|event| async { Some(event.ok()?.map(Record::read)) });
    seen.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECOND: Duration = Duration::from_secs(1);

    fn record(version: &str, spec: serde_json::Value) -> Option<Record> {
        let lease = json!({"metadata": {"resourceVersion": version}, "spec": spec});
        Some(Record::read(serde_json::from_value(lease).expect("a Lease")))
    }

    fn held(renewed: &str) -> serde_json::Value {
        json!({"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": renewed, "leaseTransitions": 3})
    }

    #[test]
    fn a_holder_is_waited_for_from_its_last_sign_of_life_whatever_its_clock_says() {
        let start = Instant::now();
        // Long over, if one believed it.
        let found = record("1", held("2001-01-01T00:00:00.000000Z"));
        let mut sight = Sight { found, since: start };
        assert_eq!(sight.free_at("b", SECOND), start + 15 * SECOND);
        sight.update(record("2", held("2001-01-01T00:00:05.000000Z")), start + 7 * SECOND);
        assert_eq!(sight.free_at("b", SECOND), start + 22 * SECOND);
    }

    #[test]
    fn a_label_is_no_sign_of_life() {
        let start = Instant::now();
        let mut sight = Sight { found: record("1", held("2026-01-01T00:00:00.000000Z")), since: start };
        sight.update(record("2", held("2026-01-01T00:00:00.000000Z")), start + 7 * SECOND);
        assert_eq!(sight.free_at("b", SECOND), start + 15 * SECOND);
        assert_eq!(sight.found, record("2", held("2026-01-01T00:00:00.000000Z")), "and its version is the new one");
    }

    #[test]
    fn what_is_absent_left_or_our_own_is_free_at_once() {
        let now = Instant::now();
        for (found, free) in [
            (None, true),
            (record("1", json!({"leaseTransitions": 3})), true),
            (record("1", json!({"holderIdentity": "", "leaseDurationSeconds": 15})), true),
            (record("1", json!({"holderIdentity": "me", "leaseDurationSeconds": 15})), true),
            (record("1", json!({"holderIdentity": "you", "leaseDurationSeconds": 15})), false),
            (record("1", json!({"holderIdentity": "you"})), false),
        ] {
            let sight = Sight { found, since: now };
            assert_eq!(sight.free_at("me", SECOND) <= now, free, "{:?}", sight.found);
        }
    }
}
