//! What becomes of a leader that is stopped, killed or asked to end, as two real processes show it.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::bench::{Bench, lead, until};
use crate::process::Strongroom;

const ROUNDS: usize = 3;
const REFUSED: &str = "refused a write of a leadership that is over";

/// Of a resource of this name.
fn records(process: &Strongroom, name: &str) -> i64 {
    let store = Connection::open(process.data.join("strongroom.db")).expect("the store");
    let ends = format!("%/{name}");
    store.query_row("SELECT count(*) FROM records WHERE name LIKE ?1", [ends], |row| row.get(0)).expect("a count")
}

/// Starts two, and stops the first, which leads, with a prepared write in its hands: of this resource, at the step to the
/// store. The failpoint holds one write, and the cluster is shared: another test's resource may come first, so it is tried
/// again until it is ours. Returns the second.
async fn hold(bench: &Bench, first: &mut Strongroom, name: &str) -> Strongroom {
    for _ in 0..12 {
        first.set("FAILPOINTS", Some("store.append=1*sleep(7000)"));
        lead(first).await;
        let mut second = first.beside();
        second.set("FAILPOINTS", None);
        second.start_without_webhook().await;
        assert!(!second.leads().await);
        bench.create(name).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        first.pause();
        if !bench.is_ready(name).await && records(&second, name) == 0 {
            return second;
        }
        first.resume();
        bench.delete(name).await;
        assert!(second.stop().await.success() && first.stop().await.success());
    }
    panic!("no write is held: {}", first.log());
}

/// When the held write goes on another leads, and the resource is gone: nothing but the fence would refuse that write.
#[tokio::test]
async fn a_leader_that_was_stopped_past_its_lease_writes_nothing() {
    let bench = Bench::new("stopped").await;
    let mut first = bench.candidate("5s");
    // What earlier tests left in the cluster is in the store before anything is held.
    lead(&mut first).await;
    bench.create("warm").await;
    bench.until_ready("warm", &first).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(first.stop().await.success());
    for round in 0..ROUNDS {
        let held = format!("held-{round}");
        let mut second = hold(&bench, &mut first, &held).await;
        let (epoch, refused) = (bench.epoch().await, first.log().matches(REFUSED).count());
        bench.delete(&held).await;
        let took = until("the second leads", &second, async || second.leads().await).await;
        assert!(took < Duration::from_secs(9), "{took:?}");
        assert!(bench.epoch().await > epoch);
        let after = format!("after-{round}");
        bench.create(&after).await;
        bench.until_ready(&after, &second).await;
        // Longer than the write is held in any case.
        tokio::time::sleep(Duration::from_secs(2)).await;

        first.resume();
        until("the write is refused", &first, async || first.log().matches(REFUSED).count() > refused).await;
        until("the first follows", &first, async || !first.leads().await).await;
        assert_eq!(records(&second, &held), 0, "a write of the old leader was accepted");
        assert_eq!(records(&second, &after), 1);
        assert!(second.leads().await && !second.log().contains(REFUSED));
        println!("round {round}: the next led {took:?} after the stop; the held write was refused");

        // It needs no restart to lead again.
        assert!(second.stop().await.success());
        until("the first leads again", &first, async || first.leads().await).await;
        let again = format!("again-{round}");
        bench.create(&again).await;
        bench.until_ready(&again, &first).await;
        assert!(first.stop().await.success());
    }
}

#[tokio::test]
async fn a_leader_that_ends_is_followed_at_once_and_one_that_is_killed_after_its_lease() {
    let bench = Bench::new("ended").await;
    let mut first = bench.candidate("15s");
    lead(&mut first).await;
    assert_eq!(bench.epoch().await, 1);
    let mut second = first.beside();
    second.start_without_webhook().await;
    assert!(!second.leads().await);

    assert!(first.stop().await.success());
    let took = until("the second leads", &second, async || second.leads().await).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(bench.epoch().await, 2);
    bench.create("one").await;
    bench.until_ready("one", &second).await;

    let told = second.check();
    assert!(told.contains("leads, under number 2; its Lease was renewed at 20"), "{told}");
    first.start_without_webhook().await;
    second.kill();
    let killed = until("the first leads again", &first, async || first.leads().await).await;
    assert!(killed < Duration::from_secs(20) && killed > Duration::from_secs(8), "{killed:?}");
    assert_eq!(bench.epoch().await, 3);
    bench.create("two").await;
    bench.until_ready("two", &first).await;
    println!("the next led {took:?} after the end of one, {killed:?} after SIGKILL of the other");
    assert!(first.stop().await.success());
    let left = bench.lease().await.expect("a Lease");
    assert_eq!((left.holder_identity, left.lease_transitions), (None, Some(3)), "left, with its number");
}

/// The one that is told does not run the controllers, and the one that runs them is not told.
#[tokio::test]
async fn a_value_that_is_written_to_a_follower_reaches_its_secret() {
    let bench = Bench::new("told").await;
    let mut first = bench.candidate("15s");
    lead(&mut first).await;
    let mut second = first.beside();
    second.start_without_webhook().await;
    bench.create_stored("mail").await;
    let password = first.create_client("root", true);
    let body = |value: &str| json!({"name": format!("/kubernetes/{}/mail", bench.namespace), "credential_pairs": {"key": value}});
    let (caller, url) = (second.caller(None), second.url("/v1/credentials"));
    let made =
        caller.post(&url).basic_auth("root", Some(&password)).json(&body("one")).send().await.expect("an answer");
    let made: Value = made.json().await.expect("JSON");
    until("the first value", &first, async || bench.secret("mail", "key").await.as_deref() == Some("one")).await;

    let url = format!("{url}/{}", made["id"].as_str().expect("an id"));
    let answer = caller.put(&url).basic_auth("root", Some(&password)).json(&body("two")).send().await;
    assert_eq!(answer.expect("an answer").status().as_u16(), 200);
    let shown = async || bench.secret("mail", "key").await.as_deref() == Some("two");
    let took = until("the second value", &first, shown).await;
    println!("a value written to a follower was in its Secret after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(first.leads().await && !second.leads().await);
}

/// Else its number would begin anew, and the store would refuse every leader to come.
#[tokio::test]
async fn a_lease_that_was_deleted_goes_on_after_the_stores_fence() {
    let bench = Bench::new("deleted-lease").await;
    let mut process = bench.candidate("3s");
    for epoch in 1..=3 {
        lead(&mut process).await;
        assert_eq!(bench.epoch().await, epoch);
        assert!(process.stop().await.success());
    }
    lead(&mut process).await;
    bench.delete_lease().await;
    until("a new Lease", &process, async || bench.lease().await.is_some_and(|it| it.lease_transitions == Some(5)))
        .await;
    until("it leads again", &process, async || process.leads().await).await;
    bench.create("one").await;
    bench.until_ready("one", &process).await;
    assert!(process.stop().await.success());
}

#[tokio::test]
async fn without_an_election_there_is_no_lease() {
    let bench = Bench::new("alone").await;
    let mut process = bench.candidate("3s");
    process.set("STRONGROOM_LEADER_ELECTION", None);
    process.start_without_webhook().await;
    bench.create("one").await;
    bench.until_ready("one", &process).await;
    assert!(process.leads().await);
    assert!(bench.lease().await.is_none());
    assert!(process.stop().await.success());
}
