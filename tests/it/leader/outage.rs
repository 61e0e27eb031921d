//! A leader that does not reach the API server for a while, cut off or unanswered: it stops leading by itself, serves
//! REST all the while, and leads again afterwards.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::bench::{Bench, lead, until};

/// A term ends by itself after two thirds of it; the rest is for a busy machine to show it.
const LEASE: Duration = Duration::from_secs(12);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    /// Connections break, and new ones are refused.
    Cut,
    /// Nothing breaks, and nothing comes through.
    Silent,
}

/// Stands between a process and the API server.
struct Road {
    way: watch::Sender<Way>,
    address: SocketAddr,
}

impl Road {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let way = watch::Sender::new(Way::Open);
        let ways = way.subscribe();
        tokio::spawn(async move {
            while let Ok((here, _)) = listener.accept().await {
                tokio::spawn(carry(here, server.clone(), ways.clone()));
            }
        });
        Self { way, address }
    }
}

async fn carry(mut here: TcpStream, server: String, mut ways: watch::Receiver<Way>) {
    if *ways.borrow() == Way::Cut {
        return;
    }
    let Ok(mut there) = TcpStream::connect(server).await else { return };
    while *ways.borrow() != Way::Cut {
        let now = *ways.borrow_and_update();
        let changed = async {
            let _ = ways.wait_for(|way| *way != now).await;
        };
        match now {
            Way::Open => tokio::select! {
                _ = copy_bidirectional(&mut here, &mut there) => return,
                () = changed => {}
            },
            _ => changed.await,
        }
    }
}

/// The administrator's kubeconfig, by way of the road; and where the server is.
fn detour(bench: &Bench, address: Option<SocketAddr>) -> (String, String) {
    let text = std::fs::read_to_string(bench.kubeconfig()).expect("a kubeconfig");
    let after = text.split("https://").nth(1).expect("a server");
    let server: String = after.chars().take_while(|c| !c.is_whitespace() && *c != '"').collect();
    let by = address.map_or_else(|| server.clone(), |address| address.to_string());
    (text.replace(&server, &by), server)
}

async fn survives(away: Way) {
    let bench = Bench::new("outage").await;
    let road = Road::to(detour(&bench, None).1).await;
    let dir = tempfile::tempdir().expect("a folder");
    let kubeconfig = dir.path().join("kubeconfig");
    std::fs::write(&kubeconfig, detour(&bench, Some(road.address)).0).expect("written");
    let mut process = bench.candidate(&format!("{}s", LEASE.as_secs()));
    process.set("KUBECONFIG", Some(kubeconfig.to_str().expect("a path")));
    lead(&mut process).await;
    bench.create("before").await;
    bench.until_ready("before", &process).await;
    let (epoch, id) = (bench.epoch().await, process.id());

    let password = process.create_client("root", true);
    let (caller, url) = (process.caller(None), process.url("/v1/credentials"));
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = reads.clone();
    let reading = tokio::spawn(async move {
        loop {
            let answer = caller.get(&url).basic_auth("root", Some(&password)).send().await.expect("an answer");
            assert_eq!(answer.status().as_u16(), 200);
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });

    road.way.send_replace(away);
    let lost = until("it stops leading", &process, async || !process.leads().await).await;
    assert!(lost < LEASE, "others may lead after a lease: {lost:?}");
    bench.create("meanwhile").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!process.leads().await && !bench.is_ready("meanwhile").await);
    let read = reads.load(Ordering::Relaxed);

    road.way.send_replace(Way::Open);
    let back = until("it leads again", &process, async || process.leads().await).await;
    bench.until_ready("meanwhile", &process).await;
    assert!(bench.epoch().await > epoch);
    assert!(back < Duration::from_secs(15), "{back:?}");
    assert!(!reading.is_finished(), "REST failed during the outage");
    reading.abort();
    assert!(read > 20, "too few reads to mean anything: {read}");
    assert_eq!(process.id(), id);
    println!("{away:?}: stopped leading after {lost:?}, led again {back:?} after the end; {read} reads meanwhile");
    assert!(process.stop().await.success());
}

#[tokio::test]
async fn a_leader_that_is_cut_off_stops_serves_rest_and_comes_back() {
    survives(Way::Cut).await;
}

#[tokio::test]
async fn a_leader_that_gets_no_answers_stops_serves_rest_and_comes_back() {
    survives(Way::Silent).await;
}
