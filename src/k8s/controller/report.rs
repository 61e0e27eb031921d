//! Says what came of a visit, each once: the status if it differs, an Event and a log line if something changed.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::app::step::step;
use crate::k8s::conditions::{self, READY, Verdict};
use crate::k8s::controller::backoff::backoff;
use crate::k8s::controller::watch::version;
use crate::k8s::controller::{RECHECK, Reconciled, SLEEP_MAX, Settled, StatusOf, Visit};
use crate::k8s::failure::{Failure, Next, refused};
use crate::k8s::projection::apply::Outcome;
use crate::k8s::projection::held::manager;

pub async fn report<K: Reconciled>(
    resource: &K,
    visit: &Visit<'_>,
    outcome: Result<Settled<StatusOf<K>>, Failure>,
) -> Action {
    let before = known_status(resource, visit);
    let told = before.clone().unwrap_or_default();
    let (status, verdict, outcomes, wake_at) = match outcome {
        Ok(settled) => (settled.status, settled.verdict, settled.outcomes, settled.wake_at),
        Err(Failure { next: Next::Nothing, .. }) => return Action::await_change(),
        Err(Failure { next: Next::Wait, .. }) if before.is_none() && is_settling(visit) => {
            return Action::requeue(SETTLING);
        }
        // What was said of the last good state stays said.
        Err(failure) => (told.clone(), Verdict::Failed(failure), Vec::new(), None),
    };
    let status = observed::<K>(resource, status, &told, &verdict, visit.now);
    log(visit, &verdict);
    if before.as_ref() != Some(&status)
        && let Err(failure) = write(resource, visit, &status).await
    {
        log(visit, &Verdict::Failed(failure));
        return Action::requeue(backoff(&visit.author.uid, visit.desk.census.failed(visit.owner())));
    }
    for news in news::<K>(before.as_ref(), &status, &verdict, &outcomes) {
        publish(resource, visit, news).await;
    }
    next(visit, &verdict, wake_at)
}

/// What is applied together with what it needs waits for it a moment: to say so would be a write for nothing.
const SETTLING: Duration = Duration::from_secs(1);

fn is_settling(visit: &Visit) -> bool {
    let since = visit.desk.census.waiting_since(visit.owner(), visit.now);
    since.duration_until(visit.now).unsigned_abs() < SETTLING
}

/// The status as the cache has it, or as we wrote it since.
fn known_status<K: Reconciled>(resource: &K, visit: &Visit<'_>) -> Option<StatusOf<K>> {
    let written = visit.desk.census.written(visit.owner(), version(resource));
    match written.map(serde_json::from_value) {
        Some(Ok(status)) => Some(status),
        _ => resource.status().cloned(),
    }
}

fn observed<K: Reconciled>(
    resource: &K,
    mut status: StatusOf<K>,
    before: &StatusOf<K>,
    verdict: &Verdict,
    now: Timestamp,
) -> StatusOf<K> {
    let generation = resource.meta().generation;
    let observed = status.as_mut();
    observed.observed_generation = generation;
    observed.conditions = verdict.conditions(generation, &before.as_ref().conditions, now);
    status
}

/// One write. The uid keeps it from reaching another resource of the same name, and the version from being put over what
/// another leader said since: it goes to the version that was looked at, or to one that this process has seen.
async fn write<K: Reconciled>(resource: &K, visit: &Visit<'_>, status: &StatusOf<K>) -> Result<(), Failure> {
    let (owner, census) = (visit.owner(), &visit.desk.census);
    let failed = |error| refused(&format!("the status of {} {}", owner.kind, owner.name), error);
    let status = serde_json::to_value(status).unwrap_or(Value::Null);
    let api: Api<K> = Api::namespaced(visit.desk.client.clone(), &owner.namespace);
    let mut seen = census.newest(owner, version(resource));
    for _ in 0..ATTEMPTS {
        let body = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::KIND,
            "metadata": {"name": owner.name, "namespace": owner.namespace, "uid": visit.author.uid,
                "resourceVersion": seen.to_string()},
            "status": status,
        });
        let parameters = PatchParams::apply(&manager(K::KIND)).force();
        step("status.patch");
        let answer = api.patch_status(&owner.name, &parameters, &Patch::Apply(&body)).await;
        step("status.patched");
        match answer {
            Ok(written) => {
                census.record(owner, &visit.author.uid, version(&written), status);
                return Ok(());
            }
            // Deleted since: nobody is left to tell.
            Err(kube::Error::Api(answer)) if answer.is_not_found() => return Ok(()),
            // Somebody labelled it, say.
            Err(kube::Error::Api(answer)) if answer.is_conflict() => {
                let found = api.get_metadata_opt(&owner.name).await.map_err(failed)?;
                match found.filter(|found| found.uid().as_ref() == Some(&visit.author.uid)) {
                    Some(found) => seen = version(&found),
                    None => return Ok(()),
                }
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Err(Failure::new(Next::Retry, "Contended", format!("{} {} changes all the time", owner.kind, owner.name)))
}

/// How often a status is written to a resource that somebody else writes at the same time.
const ATTEMPTS: usize = 3;

/// One line for each change, not for each attempt.
fn log(visit: &Visit<'_>, verdict: &Verdict) {
    let (owner, census) = (visit.owner(), &visit.desk.census);
    match verdict {
        Verdict::Settled { .. } => {
            if census.is_news(owner, None) {
                tracing::info!(%owner, "ready");
            }
        }
        Verdict::Failed(failure) => {
            let line = format!("{}: {}", failure.reason, failure.message);
            if !census.is_news(owner, Some(&line)) {
                return;
            }
            let (reason, message, detail) = (failure.reason, &failure.message, failure.detail.as_deref());
            match failure.next {
                Next::Wait | Next::Nothing => tracing::info!(%owner, reason, detail, "not ready yet: {message}"),
                Next::Edit | Next::Retry => tracing::warn!(%owner, reason, detail, "not ready: {message}"),
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct News {
    type_: EventType,
    reason: String,
    note: String,
}

impl News {
    fn normal(reason: &str, note: String) -> Self {
        Self { type_: EventType::Normal, reason: reason.to_owned(), note }
    }
}

/// What is worth an Event: changes, and never that a new resource became Ready.
fn news<K: Reconciled>(
    before: Option<&StatusOf<K>>,
    after: &StatusOf<K>,
    verdict: &Verdict,
    outcomes: &[Outcome],
) -> Vec<News> {
    let shown = K::shown(after).map(|what| (what, before.and_then(K::shown) == Some(what)));
    let mut all: Vec<News> = outcomes.iter().filter_map(|outcome| of_projection(*outcome, shown)).collect();
    if before.and_then(K::revision).is_some_and(|revision| Some(revision) != K::revision(after)) {
        all.push(News::normal("NewRevision", "a new revision is in place: see status.revision".to_owned()));
    }
    let ready = |status: &StatusOf<K>| conditions::find(&status.as_ref().conditions, READY).cloned();
    all.extend(of_readiness(before.and_then(ready), ready(after), verdict));
    all
}

/// `shown`: what the status speaks of, and whether it did so before.
fn of_projection(outcome: Outcome, shown: Option<(&str, bool)>) -> Option<News> {
    let (what, known) = shown?;
    Some(match outcome {
        Outcome::Restored => News::normal("Restored", format!("{what} was changed and is as it should be again")),
        Outcome::Created if known => News::normal("Restored", format!("{what} was deleted and is there again")),
        Outcome::Replaced => {
            let note = format!("the password in {what} was lost or changed by somebody: there is a new one");
            News::normal("NewPassword", note)
        }
        Outcome::Adopted => News::normal("Adopted", format!("{what} was taken over")),
        Outcome::Kept | Outcome::Created | Outcome::Updated => return None,
    })
}

fn of_readiness(was: Option<Condition>, is: Option<Condition>, verdict: &Verdict) -> Option<News> {
    let is = is?;
    if was.as_ref().is_some_and(|was| was.status == is.status && was.reason == is.reason) {
        return None;
    }
    let telling = match verdict {
        // A resource may come before what it needs: that is no news.
        Verdict::Failed(failure) => failure.next != Next::Wait || was.is_some() || !is_early(failure.reason),
        Verdict::Settled { .. } => was.is_some_and(|was| !is_early(&was.reason)),
    };
    let type_ = if is.status == "True" { EventType::Normal } else { EventType::Warning };
    telling.then_some(News { type_, reason: is.reason, note: is.message })
}

/// What it needs is not there yet, as opposed to there and in the way.
fn is_early(reason: &str) -> bool {
    reason.starts_with("Awaiting")
}

/// An Event that is lost is no failure: the condition says the same.
async fn publish<K: Reconciled>(resource: &K, visit: &Visit<'_>, news: News) {
    let event = Event {
        type_: news.type_,
        reason: news.reason,
        note: Some(news.note.chars().take(1000).collect()),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    if let Err(error) = visit.desk.recorder.publish(&event, &resource.object_ref(&())).await {
        tracing::debug!(owner = %visit.owner(), %error, "an Event was not recorded");
    }
}

fn next(visit: &Visit<'_>, verdict: &Verdict, wake_at: Option<Timestamp>) -> Action {
    let census = &visit.desk.census;
    let Verdict::Failed(failure) = verdict else {
        census.succeeded(visit.owner());
        let pause = wake_at.map(|at| Duration::try_from(visit.now.duration_until(at)).unwrap_or_default());
        return pause.map_or_else(Action::await_change, |pause| Action::requeue(pause.clamp(SLEEP_MIN, SLEEP_MAX)));
    };
    match failure.next {
        Next::Retry => {
            let pause = backoff(&visit.author.uid, census.failed(visit.owner()));
            Action::requeue(failure.retry_after.map_or(pause, |least| pause.max(least)))
        }
        Next::Wait => Action::requeue(RECHECK),
        Next::Edit | Next::Nothing => Action::await_change(),
    }
}

/// A moment that is due while we look is looked at once more, not in a loop.
const SLEEP_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::crd::{Credential, CredentialStatus};
    use jiff::SignedDuration;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn status(verdict: &Verdict, revision: i64) -> CredentialStatus {
        let mut status = CredentialStatus { revision: Some(revision), ..CredentialStatus::default() };
        status.secret_name = Some("db".into());
        status.observed.conditions = verdict.conditions(Some(1), &[], NOW);
        status
    }

    fn settled() -> Verdict {
        Verdict::Settled { message: "m".into(), life: None, due: None }
    }

    fn failed(next: Next, reason: &'static str) -> Verdict {
        Verdict::Failed(Failure::new(next, reason, "because"))
    }

    fn reasons(before: Option<(&Verdict, i64)>, after: (&Verdict, i64), outcomes: &[Outcome]) -> Vec<String> {
        let before = before.map(|(verdict, revision)| status(verdict, revision));
        let all = news::<Credential>(before.as_ref(), &status(after.0, after.1), after.0, outcomes);
        all.into_iter().map(|news| news.reason).collect()
    }

    #[test]
    fn a_new_resource_that_becomes_ready_is_no_news() {
        let (ready, waits) = (settled(), failed(Next::Wait, "AwaitingValue"));
        assert!(reasons(None, (&ready, 1), &[Outcome::Created]).is_empty());
        assert!(reasons(None, (&waits, 1), &[]).is_empty());
        assert!(reasons(Some((&waits, 1)), (&ready, 1), &[]).is_empty());
        let refused = failed(Next::Wait, "NotPermitted");
        assert_eq!(reasons(None, (&refused, 1), &[]), ["NotPermitted"]);
        assert_eq!(reasons(Some((&refused, 1)), (&ready, 1), &[]), ["Ready"]);
        assert!(reasons(Some((&ready, 1)), (&ready, 1), &[Outcome::Kept, Outcome::Updated]).is_empty());
    }

    #[test]
    fn failures_are_news_when_their_reason_changes() {
        let (ready, wrong, other) = (settled(), failed(Next::Edit, "Invalid"), failed(Next::Edit, "KeyConflict"));
        assert_eq!(reasons(None, (&wrong, 1), &[]), ["Invalid"]);
        assert!(reasons(Some((&wrong, 1)), (&wrong, 1), &[]).is_empty());
        assert_eq!(reasons(Some((&wrong, 1)), (&other, 1), &[]), ["KeyConflict"]);
        assert_eq!(reasons(Some((&wrong, 1)), (&ready, 1), &[]), ["Ready"]);
        assert_eq!(reasons(Some((&ready, 1)), (&failed(Next::Wait, "AwaitingValue"), 1), &[]), ["AwaitingValue"]);
    }

    #[test]
    fn what_happened_to_a_projection_is_news() {
        let ready = settled();
        let of = |outcome| reasons(Some((&ready, 1)), (&ready, 1), &[outcome]);
        assert_eq!(of(Outcome::Restored), ["Restored"]);
        assert_eq!(of(Outcome::Created), ["Restored"], "it was there before");
        assert_eq!(of(Outcome::Replaced), ["NewPassword"]);
        assert_eq!(of(Outcome::Adopted), ["Adopted"]);
        assert_eq!(reasons(Some((&ready, 1)), (&ready, 2), &[Outcome::Updated]), ["NewRevision"]);
    }

    #[test]
    fn a_certificate_that_expires_is_a_warning() {
        let life = Some(conditions::Life { not_before: NOW - SignedDuration::from_hours(2), not_after: NOW });
        let over = Verdict::Settled { message: "m".into(), life, due: None };
        assert_eq!(reasons(Some((&settled(), 1)), (&over, 1), &[]), ["Expired"]);
    }
}
