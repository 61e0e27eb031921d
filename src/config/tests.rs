//! Which source wins, what is refused, and by which name.

use std::ffi::OsString;
use std::path::Path;

use clap::Parser;
use jiff::SignedDuration;

use super::{Cli, Command, Given, RestTls, Settings};

fn given(arguments: &[&str]) -> Given {
    let line = ["strongroom", "serve"].into_iter().chain(arguments.iter().copied());
    match Cli::try_parse_from(line).expect("a command line").command {
        Command::Serve(given) => given,
        _ => unreachable!("serve was asked for"),
    }
}

fn settle(arguments: &[&str]) -> Result<Settings, String> {
    given(arguments).settle(std::iter::empty()).map_err(|error| error.to_string())
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("strongroom.yaml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn everything_has_a_default() {
    let settings = settle(&[]).unwrap();
    assert_eq!(settings.key_file, Path::new("/var/lib/strongroom/strongroom.key"));
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8443");
    assert!(matches!(settings.rest_tls, RestTls::Own(names) if names.len() == 3));
}

#[test]
fn flags_are_stronger_than_the_file() {
    let (_dir, path) = file("listen: 127.0.0.1:1\nadminListen: 127.0.0.1:2\ndataDir: /d\n");
    let settings = settle(&["--config", &path, "--listen", "127.0.0.1:3"]).unwrap();
    assert_eq!(settings.listen.port(), 3);
    assert_eq!(settings.admin_listen.port(), 2);
    assert_eq!(settings.key_file, Path::new("/d/strongroom.key"));
}

#[test]
fn the_database_is_never_shown() {
    let (_dir, path) = file("database: postgres://u:hunter2@a/b\n");
    let settings = settle(&["--config", &path]).unwrap();
    assert_eq!(settings.database.as_ref().unwrap().expose(), "postgres://u:hunter2@a/b");
    let given = given(&["--database", "postgres://u:hunter2@c/d"]);
    let shown = format!("{settings:?} {given:?}");
    assert!(shown.contains("database") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn what_is_unknown_or_malformed_is_refused_by_its_name() {
    let (_dir, unknown) = file("lisen: 127.0.0.1:1\n");
    assert!(settle(&["--config", &unknown]).unwrap_err().contains("lisen"));
    let (_dir, malformed) = file("listen: nowhere\n");
    assert!(settle(&["--config", &malformed]).unwrap_err().contains("listen"));
    let (_dir, empty) = file("");
    assert!(settle(&["--config", &empty]).is_ok());
    assert!(settle(&["--retain-for", "soon"]).unwrap_err().contains("--retain-for"));
    assert!(settle(&["--tls-name", "a b"]).unwrap_err().contains("--tls-name"));
    assert!(settle(&["--tls-cert", "x"]).unwrap_err().contains("--tls-key"));
    assert!(settle(&["--config", "/nowhere.yaml"]).unwrap_err().contains("/nowhere.yaml"));
    let names = ["STRONGROOM_LISEN".into(), "HOME".into()];
    let error = given(&[]).settle(names.into_iter()).unwrap_err();
    assert!(error.to_string().contains("STRONGROOM_LISEN"));
    let flag = Cli::try_parse_from(["strongroom", "serve", "--listen", "nowhere"]).unwrap_err();
    assert!(flag.to_string().contains("--listen"));
}

#[test]
fn known_variables_and_those_of_kubernetes_are_accepted() {
    let names = ["STRONGROOM_LISTEN", "STRONGROOM_PORT", "STRONGROOM_PORT_443_TCP", "STRONGROOM_SERVICE_HOST"];
    assert!(given(&[]).settle(names.into_iter().map(OsString::from)).is_ok());
}

const KEY: &str = "alias/strongroom";

#[test]
fn a_key_in_kms_takes_the_place_of_the_key_file() {
    let kms = settle(&["--kms-key", KEY]).unwrap().kms.unwrap();
    assert_eq!((kms.key.as_str(), kms.outage_limit), (KEY, SignedDuration::from_hours(24)));
    assert_eq!(settle(&[]).unwrap().kms, None);
    let (_dir, path) = file("kmsKey: alias/a\nkmsRegion: eu-west-1\nkmsOutageLimit: 4s\n");
    let kms = settle(&["--config", &path, "--kms-key", KEY]).unwrap().kms.unwrap();
    assert_eq!((kms.key.as_str(), kms.region.as_deref()), (KEY, Some("eu-west-1")));
    assert_eq!(kms.outage_limit, SignedDuration::from_secs(4));
}

#[test]
fn what_does_not_go_with_kms_is_refused_by_its_name() {
    for (arguments, named) in [
        (&["--kms-key", KEY, "--key-file", "/k"][..], "--key-file"),
        (&["--kms-key", ""], "--kms-key"),
        (&["--kms-key", "two words"], "--kms-key"),
        (&["--kms-region", "eu-west-1"], "--kms-region"),
        (&["--kms-outage-limit", "1h"], "--kms-outage-limit"),
        (&["--kms-key", KEY, "--kms-region", "evil.example/"], "--kms-region"),
        (&["--kms-key", KEY, "--kms-outage-limit", "3s"], "--kms-outage-limit"),
        (&["--kms-key", KEY, "--kms-endpoint", "kms.example"], "--kms-endpoint"),
        (&["--kms-key", KEY, "--kms-endpoint", "ftp://kms.example"], "--kms-endpoint"),
    ] {
        assert!(settle(arguments).unwrap_err().contains(named), "{arguments:?}");
    }
}

#[test]
fn data_keys_do_not_cross_a_network_in_plain_text() {
    for endpoint in ["https://kms.example", "http://127.0.0.1:5000", "http://[::1]:5000", "http://localhost:1"] {
        let kms = settle(&["--kms-key", KEY, "--kms-endpoint", endpoint]).unwrap().kms.unwrap();
        assert_eq!(kms.endpoint.as_deref(), Some(endpoint));
    }
    let refused = settle(&["--kms-key", KEY, "--kms-endpoint", "http://kms.example"]).unwrap_err();
    assert!(refused.contains("not https"), "{refused}");
}

#[test]
fn plain_http_stays_on_loopback() {
    assert!(matches!(settle(&["--plain-http"]).unwrap().rest_tls, RestTls::Plain));
    let error = settle(&["--plain-http", "--listen", "0.0.0.0:80"]).unwrap_err();
    assert!(error.contains("--plain-http") && error.contains("0.0.0.0:80"));
}
