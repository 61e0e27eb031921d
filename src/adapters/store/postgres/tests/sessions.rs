//! Which server is used, what it must prove, and what never gets into a log.

use std::time::{Duration, Instant};

use sqlx::Row;

use crate::adapters::store::postgres::pool::{Pool, SIZE};
use crate::adapters::store::postgres::server::{self, Server};
use crate::adapters::store::postgres::session::Dialer;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

fn dialer(url: &str) -> Dialer {
    Dialer::new(&SecretText::from(url)).unwrap()
}

async fn dial(url: &str) -> Result<()> {
    dialer(url).dial().await.map(drop)
}

fn detail(error: &Error) -> String {
    format!("{error} {}", error.detail().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_that_is_primary_is_found_among_several() {
    let primary = Server::start(&[("fsync", "off")]);
    let standby = primary.standby("second");
    let hosts = format!("127.0.0.1:1,127.0.0.1:{},127.0.0.1:{}", standby.port(), primary.port());
    let dialer = dialer(&format!("postgres://tests@{hosts}/postgres?target_session_attrs=read-write"));
    let pool = Pool::new(dialer.clone());
    let port = async || -> i32 {
        let rows = pool.read(|| sqlx::query("SELECT current_setting('port')::int4")).await.unwrap();
        rows[0].try_get(0).unwrap()
    };
    assert_eq!(port().await, i32::from(primary.port()));
    primary.kill();
    standby.promote();
    assert_eq!(port().await, i32::from(standby.port()));
    standby.kill();
    let error = dialer.dial().await.err().unwrap();
    assert!(detail(&error).matches("127.0.0.1").count() >= 3, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_to_be_encrypted_is() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let root = folder.path().join("root.pem");
    std::fs::write(&root, certificate.pem()).unwrap();
    let server = Server::start(&[("fsync", "off")]);
    for mode in ["require", "verify-full"] {
        let error = dial(&format!("{}?sslmode={mode}", server.url("postgres"))).await.unwrap_err();
        assert!(!detail(&error).is_empty(), "{mode}: a server without TLS is refused");
    }
    server.place("server.crt", &certificate.pem());
    server.place("server.key", &key.serialize_pem());
    server.set("ssl", "on");
    server.sql("postgres", "CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'hunter2'");
    server.admit_first("hostssl all guarded 127.0.0.1/32 scram-sha-256\nhostnossl all guarded 127.0.0.1/32 reject");
    server.restart("fast");
    let url = |password: &str, rest: &str| {
        format!("postgres://guarded:{password}@localhost:{}/postgres{rest}", server.port())
    };
    let full = format!("?sslmode=verify-full&sslrootcert={}", root.display());
    dial(&url("hunter2", &full)).await.unwrap();
    dial(&url("hunter2", "?sslmode=require")).await.unwrap();
    for (url, why) in [
        (url("hunter2", "?sslmode=disable"), "without TLS the server refuses this user"),
        (url("hunter2", "?sslmode=verify-full"), "an unknown root is refused"),
        (url("hunter3", &full), "a wrong password is refused"),
        (url("hunter2", &full).replace("localhost", "127.0.0.1"), "another name is refused"),
    ] {
        let error = dial(&url).await.unwrap_err();
        let said = format!("{error} {error:?} {}", detail(&error));
        assert!(!said.contains("hunter"), "{why}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_survive_the_end_of_every_session_and_no_place_is_lost() {
    let server = server::shared();
    let url = server.database();
    let name = url.rsplit('/').next().unwrap();
    let pool = Pool::new(dialer(&url));
    let read = |pool: Pool| async move { pool.read(|| sqlx::query("SELECT pg_sleep(0.002), 1::int4")).await };
    for round in 0..20 {
        let reads = (0..SIZE).map(|_| tokio::spawn(read(pool.clone())));
        for read in reads {
            assert_eq!(read.await.unwrap().unwrap().len(), 1, "round {round}");
        }
        let (idle, free) = pool.at_rest();
        assert_eq!(free, SIZE);
        let ended = server.sql(
            "postgres",
            &format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'"),
        );
        assert_eq!(ended, idle.to_string(), "no session is left over");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_hangs_up_costs_neither_a_place_nor_a_session() {
    let server = server::shared();
    let pool = Pool::new(dialer(&server.database()));
    let session = async || -> i32 {
        let rows = pool.read(|| sqlx::query("SELECT pg_backend_pid()")).await.unwrap();
        rows[0].try_get(0).unwrap()
    };
    let first = session().await;
    for _ in 0..3 {
        let slow = pool.read(|| sqlx::query("SELECT pg_sleep(0.2)"));
        assert!(tokio::time::timeout(Duration::from_millis(50), slow).await.is_err());
        let begun = Instant::now();
        while pool.at_rest() != (1, SIZE) {
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", pool.at_rest());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(session().await, first);
    let answers = pool.read(|| sqlx::query("SELECT 7::int4")).await.unwrap();
    assert_eq!(answers[0].try_get::<i32, _>(0).unwrap(), 7, "not the answer to another question");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_readers_than_places_are_told_to_come_back() {
    let pool = Pool::new(dialer(&server::shared().database()));
    let reads = (0..SIZE + 4).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move { pool.read(|| sqlx::query("SELECT pg_sleep(3)")).await })
    });
    let reads: Vec<_> = reads.collect();
    let mut refused = 0;
    for read in reads {
        match read.await.unwrap() {
            Ok(_) => {}
            Err(Error::Overloaded { .. }) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(refused, 4);
}
