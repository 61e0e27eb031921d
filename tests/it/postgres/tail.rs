//! `strongroom audit tail --follow` on a database: every record once and in the order of its chain, also across the end
//! of the server, and an end of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use strongroom::adapters::journal::{Pace, TableGround, TableJournal};
use strongroom::adapters::system::{SystemClock, SystemEntropy};
use strongroom::app::audit::Note;
use strongroom::app::ports::{Clock, Journal};
use strongroom::domain::Error;

use super::load::{Root, Vault};
use super::server::{self, Server};
use crate::process::binary;

const PATIENCE: Duration = Duration::from_secs(30);

/// The program while it follows.
struct Follower {
    child: Child,
    lines: Option<Receiver<String>>,
    complaints: Arc<Mutex<String>>,
    seen: Vec<String>,
    folder: tempfile::TempDir,
}

impl Follower {
    fn start(url: &str, lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = binary();
        command.args(["audit", "tail", "--follow", "--lines", lines, "--data-dir"]).arg(folder.path());
        command.env("STRONGROOM_DATABASE", url).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, lines) = channel();
        // Ends, and closes the pipe with it, when nobody wants lines any more.
        std::thread::spawn(move || out.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        let (complaints, errors) = (Arc::default(), BufReader::new(child.stderr.take().expect("its errors")));
        let said: Arc<Mutex<String>> = Arc::clone(&complaints);
        std::thread::spawn(move || {
            errors.lines().map_while(Result::ok).for_each(|line| said.lock().expect("text").push_str(&(line + "\n")));
        });
        Self { child, lines: Some(lines), complaints, seen: Vec::new(), folder }
    }

    fn complaints(&self) -> String {
        self.complaints.lock().expect("text").clone()
    }

    /// Reads on to the line with this in it.
    fn read_to(&mut self, what: &str) {
        let begun = Instant::now();
        while !self.seen.last().is_some_and(|line| line.contains(what)) {
            let line = self.lines.as_ref().expect("reading").recv_timeout(PATIENCE.saturating_sub(begun.elapsed()));
            let line = line.unwrap_or_else(|_| panic!("{what} does not come: {}", self.complaints()));
            self.seen.push(line);
        }
    }

    /// Reads until there are so many lines, and whether there are more.
    fn read_until(&mut self, count: usize) {
        let (begun, lines) = (Instant::now(), self.lines.as_ref().expect("reading"));
        while self.seen.len() < count {
            let line = lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed()));
            self.seen.push(line.unwrap_or_else(|_| panic!("{} of {count} lines", self.seen.len())));
        }
        while let Ok(line) = lines.recv_timeout(Duration::from_secs(3)) {
            self.seen.push(line);
        }
    }

    fn complains(&self, what: &str) {
        server::eventually(what, || self.complaints().contains(what));
    }

    fn ended(&mut self) -> std::process::ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(begun.elapsed() < Duration::from_secs(5), "it goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn journal(vault: &Vault) -> TableJournal {
    let ground = TableGround {
        table: vault.store.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
        keyring: vault.keyring.clone(),
        pace: Pace { sync: Duration::from_millis(200), ..Pace::default() },
    };
    TableJournal::open(ground).await.expect("a journal").0
}

/// Noted until it is taken: what was refused may be there all the same, so each try is another note.
async fn note(journal: &TableJournal, what: &str) {
    let begun = Instant::now();
    for attempt in 0.. {
        let text = format!(r#"{{"at":"{}","read":"{what}","attempt":{attempt}}}"#, SystemClock.now());
        match journal.note(Note::stored(text)).await {
            Ok(()) => return,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One that is refused is not there; one whose answer was lost may be.
async fn append(vault: &Vault, number: u64) {
    let begun = Instant::now();
    loop {
        match vault.append(1, number).await {
            Ok(()) | Err(Error::Conflict(_)) => return,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error:?}"),
        }
    }
}

/// Every note in the database but seals, by chain and in its order.
fn kept(server: &Server) -> Vec<Vec<String>> {
    let ordered = "SELECT string_agg(line, E'\n' ORDER BY place) FROM (
            SELECT journal || '|' || note AS line, journal * 1000000 + number AS place FROM strongroom.notes
             WHERE note NOT LIKE '{\"journal\":\"sealed\"%'
            UNION ALL SELECT '0|' || note, number FROM strongroom.audit) AS all_of_them";
    let mut kept: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in server.sql("postgres", ordered).lines() {
        let (chain, note) = line.split_once('|').expect("a chain");
        kept.entry(chain.to_owned()).or_default().push(note.to_owned());
    }
    kept.into_values().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_is_told_everything_once_and_in_order_across_crashes_of_the_server() {
    let server = Server::start(&[]);
    let vault = Vault::open(&server.url("postgres"), &Root::new()).await;
    let (one, two) = (journal(&vault).await, journal(&vault).await);
    note(&one, "first").await;
    let mut follower = Follower::start(&server.url("postgres"), "1000000");
    tokio::task::block_in_place(|| follower.read_to("first"));
    let mut written = 0;
    let write = async |from: u64, to: u64| {
        for number in from..to {
            note(&one, &format!("one {number}")).await;
            note(&two, &format!("two {number}")).await;
            append(&vault, number + 1).await;
        }
    };
    for outage in 0..2 {
        write(written, written + 40).await;
        written += 40;
        server.kill();
        tokio::task::block_in_place(|| {
            std::thread::sleep(Duration::from_millis(1500));
            follower.complains("trying again");
            server.revive();
        });
        println!("outage {outage} is over");
    }
    write(written, written + 40).await;
    let three = journal(&vault).await;
    note(&three, "of another process").await;
    for journal in [one, two, three] {
        journal.stop().await;
    }
    let kept = kept(&server);
    tokio::task::block_in_place(|| follower.read_until(kept.iter().map(Vec::len).sum()));
    let mut all: Vec<&String> = kept.iter().flatten().collect();
    let mut seen: Vec<&String> = follower.seen.iter().collect();
    all.sort_unstable();
    seen.sort_unstable();
    assert_eq!(seen, all, "each once");
    for chain in &kept {
        let told: Vec<&String> = follower.seen.iter().filter(|line| chain.contains(line)).collect();
        assert_eq!(told, chain.iter().collect::<Vec<_>>(), "in its order");
    }
    println!("records: {} in {} chains, each told once and in order, across 2 crashes", all.len(), kept.len());
    follower.complains("going on");
    assert!(std::fs::read_dir(follower.folder.path()).expect("a folder").next().is_none(), "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_ends_with_its_reader_and_with_ctrl_c() {
    let url = tokio::task::spawn_blocking(|| server::shared().database()).await.expect("a database");
    let vault = Vault::open(&url, &Root::new()).await;
    let journal = journal(&vault).await;
    for number in 0..5 {
        note(&journal, &format!("number {number}")).await;
    }
    tokio::task::block_in_place(|| {
        let mut follower = Follower::start(&url, "2");
        follower.read_to("number 4");
        assert!(follower.seen.len() == 2 && follower.seen[0].contains("number 3"), "{:?}", follower.seen);
        let pid = follower.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", "INT", &pid]).status().expect("kill").success());
        assert_eq!(follower.ended().code(), Some(0));
    });
    // Nobody reads, and nothing comes that would tell it so by not being taken.
    let mut quiet = binary();
    quiet.args(["audit", "tail", "--follow", "--lines", "1"]).env("STRONGROOM_DATABASE", &url).stdout(Stdio::piped());
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = quiet.arg("--data-dir").arg(folder.path()).spawn().expect("the binary");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut first).expect("a line");
    assert!(first.contains("number 4"), "{first}");
    let mut follower = Follower { child, lines: None, complaints: Arc::default(), seen: vec![], folder };
    let status = tokio::task::block_in_place(|| follower.ended());
    assert_eq!(status.code(), Some(0));
    journal.stop().await;
}
