//! A PostgreSQL database that is put back, or exchanged for a copy that lacks the last writes, under a running server:
//! as when an asynchronous standby is promoted.

use super::*;
use crate::backup::Folder;
use crate::postgres::server::{Server, eventually};

/// Exchanges databases under the server's sessions, which are ended and come back.
struct Databases {
    server: Server,
}

impl Databases {
    fn apart(&self, work: impl FnOnce()) {
        self.server.sql("postgres", "ALTER DATABASE vault ALLOW_CONNECTIONS false");
        self.server.sql(
            "postgres",
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = 'vault'",
        );
        work();
        self.server.sql("postgres", "ALTER DATABASE vault ALLOW_CONNECTIONS true");
    }

    fn copy_to(&self, name: &str) {
        self.apart(|| _ = self.server.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE vault")));
    }

    /// The copy under this name takes the place of the one that is served, which is kept.
    fn exchange_for(&self, name: &str, kept: &str) {
        self.apart(|| {
            self.server.sql("postgres", &format!("ALTER DATABASE vault RENAME TO {kept}"));
            self.server.sql("postgres", &format!("ALTER DATABASE {name} RENAME TO vault"));
        });
    }
}

async fn written(house: &House, id: &str, value: &str) {
    let begun = Instant::now();
    loop {
        let (status, answer) = write(house, id, value).await;
        if status == 200 {
            return;
        }
        assert!(status == 503 && begun.elapsed() < PATIENCE, "{status} {answer}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Sessions come back by themselves; what is refused then is refused for the other reason.
async fn refused_for_rollback(house: &House, id: &str) {
    let begun = Instant::now();
    loop {
        let (status, answer) = write(house, id, "never").await;
        assert_eq!(status, 503, "written into a store that lost what was acknowledged: {answer}");
        if answer["error"].as_str().is_some_and(|told| told.contains("accept-rollback")) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{answer}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_lost_writes_is_noticed_at_the_next_one() {
    let server = tokio::task::spawn_blocking(|| Server::start(&[("fsync", "off")])).await.expect("a server");
    let databases = Databases { server };
    databases.server.sql("postgres", "CREATE DATABASE vault");
    let folder = Folder::new();
    let mut house = House::open_on(&databases.server.url("vault"), &folder).await;
    let id = house.create("mail", "first").await;
    databases.copy_to("older");
    written(&house, &id, "second").await;
    databases.exchange_for("older", "newer");
    refused_for_rollback(&house, &id).await;
    assert_read_only(&house, &id, "first").await;
    assert_eq!(errors(&house.strongroom).len(), 1, "{}", house.strongroom.log());

    // The right one is back: nobody has to say anything.
    databases.exchange_for("newer", "older");
    assert_writes_go_on(&house, &id).await;

    // And over a restart, from the anchor alone.
    house.strongroom.kill();
    databases.exchange_for("older", "newer");
    house.strongroom.start().await;
    assert_read_only(&house, &id, "first").await;
    let mut command = crate::process::binary();
    command.args(["accept-rollback", "--yes", "--data-dir"]).arg(&folder.data);
    let accepted = command.env("STRONGROOM_DATABASE", databases.server.url("vault")).output().expect("the binary");
    assert!(done(&accepted).contains("a rollback from record"));
    assert_writes_go_on(&house, &id).await;
}

/// Others have gone on writing where this one's last writes are missing: more records, and not the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_others_wrote_to_since_is_noticed_too() {
    let server = tokio::task::spawn_blocking(|| Server::start(&[("fsync", "off")])).await.expect("a server");
    let databases = Databases { server };
    databases.server.sql("postgres", "CREATE DATABASE vault");
    let folder = Folder::new();
    let house = House::open_on(&databases.server.url("vault"), &folder).await;
    let id = house.create("mail", "first").await;
    databases.copy_to("older");
    written(&house, &id, "second").await;
    let other = Folder::with_key_of(&folder.data);
    let beside = house.on_database(&databases.server.url("older"), &other).await;
    for number in 0..20 {
        beside.update(&id, &format!("other {number}")).await;
    }
    drop(beside);
    databases
        .server
        .sql("postgres", "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = 'older'");
    databases.exchange_for("older", "newer");
    refused_for_rollback(&house, &id).await;
    assert_read_only(&house, &id, "other 19").await;
    assert!(errors(&house.strongroom)[0].contains("is not the one that it had"), "{:?}", errors(&house.strongroom));
}

/// What was acknowledged was on one disk only, and that is gone: nobody claims that it is still there.
#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_standby_that_lacks_the_last_write_is_noticed_when_it_is_promoted() {
    let [primary, standby] = tokio::task::spawn_blocking(|| {
        let primary = Server::start(&[]);
        let standby = primary.standby("late");
        [primary, standby]
    })
    .await
    .expect("two servers");
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port(), standby.port());
    let folder = Folder::new();
    let house = House::open_on(&format!("postgres://tests@{hosts}/postgres"), &folder).await;
    let id = house.create("mail", "first").await;
    tokio::task::block_in_place(|| {
        eventually("the standby has caught up", || {
            let behind = "SELECT pg_current_wal_lsn() > replay_lsn FROM pg_stat_replication";
            primary.sql("postgres", behind) == "f"
        });
        standby.kill();
    });
    house.update(&id, "second").await;
    tokio::task::block_in_place(|| {
        primary.kill();
        standby.revive();
        standby.promote();
    });
    refused_for_rollback(&house, &id).await;
    assert_read_only(&house, &id, "first").await;
    assert_eq!(errors(&house.strongroom).len(), 1, "{}", house.strongroom.log());
}
