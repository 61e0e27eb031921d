//! Holds the code to the table of rooms in docs/architecture.md, by reading what each file names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Room {
    name: &'static str,
    /// Other rooms that it may name.
    may_name: &'static [&'static str],
    /// Crates that it must not name.
    never: &'static [&'static str],
}

const DATABASES: &[&str] = &["rusqlite", "sqlx"];
const EDGES: &[&str] = &["warp", "hyper", "hyper_util", "kube", "kube_runtime", "k8s_openapi"];
const KUBERNETES: &[&str] = &["kube", "kube_runtime", "k8s_openapi"];

const ROOMS: &[Room] = &[
    Room {
        name: "domain",
        may_name: &[],
        never: &[
            "tokio",
            "warp",
            "hyper",
            "kube",
            "kube_runtime",
            "k8s_openapi",
            "serde_json",
            "serde_yaml",
            "tracing",
            "rusqlite",
            "sqlx",
            "aws_lc_rs",
            "async_trait",
        ],
    },
    Room {
        name: "app",
        may_name: &["domain"],
        never: &["warp", "hyper", "hyper_util", "kube", "kube_runtime", "k8s_openapi", "rusqlite", "sqlx", "rcgen"],
    },
    Room { name: "adapters", may_name: &["domain", "app"], never: &["warp", "hyper", "hyper_util"] },
    Room {
        name: "server",
        may_name: &["domain", "app"],
        never: &["kube", "kube_runtime", "k8s_openapi", "rusqlite", "sqlx", "rcgen"],
    },
    Room {
        name: "api",
        may_name: &["domain", "app", "server"],
        never: &["kube", "kube_runtime", "k8s_openapi", "rusqlite", "sqlx", "rcgen"],
    },
    Room { name: "k8s", may_name: &["domain", "app", "server"], never: &["rusqlite", "sqlx", "rcgen", "hyper"] },
    Room { name: "config", may_name: &["domain"], never: EDGES },
    Room { name: "telemetry", may_name: &[], never: EDGES },
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, files: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).expect("a folder of sources").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                files.push((path, without_comments(&text)));
            }
        }
    }
    let mut files = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 20, "the sources were not found");
    files
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

fn room(path: &Path) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let first = path.strip_prefix(src).expect("below src").components().next().expect("a file");
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Names after `crate::`, single or in braces.
fn rooms_named(text: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut named = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let group = group.split(';').next().unwrap_or_default();
                named.extend(group.split(',').map(|part| word(part.trim())));
            }
            None => {
                named.insert(word(rest));
            }
        }
    }
    named
}

fn names_crate(text: &str, name: &str) -> bool {
    let used = format!("{name}::");
    text.match_indices(&used).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

#[test]
fn every_room_names_only_the_rooms_it_may() {
    let known: Vec<&str> = ROOMS.iter().map(|room| room.name).chain(["runtime"]).collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let name = room(&path);
        let Some(room) = ROOMS.iter().find(|room| room.name == name) else { continue };
        for other in rooms_named(&text).iter().filter(|other| known.contains(&other.as_str())) {
            if other != room.name && !room.may_name.contains(&other.as_str()) {
                wrong.push(format!("{} names crate::{other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_keeps_away_from_the_crates_of_others() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let name = room(&path);
        let Some(room) = ROOMS.iter().find(|room| room.name == name) else { continue };
        for vendor in room.never.iter().filter(|vendor| names_crate(&text, vendor)) {
            wrong.push(format!("{} names the crate {vendor}", path.display()));
        }
        let identity = path.components().any(|part| part.as_os_str() == "identity");
        if name == "adapters" && !identity && KUBERNETES.iter().any(|vendor| names_crate(&text, vendor)) {
            wrong.push(format!("{} talks to Kubernetes; only adapters/identity does", path.display()));
        }
        if name != "adapters" && DATABASES.iter().any(|vendor| names_crate(&text, vendor)) {
            wrong.push(format!("{} names a database", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn dialects_do_not_know_each_other_and_adapters_neither() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        for (parent, siblings) in [
            ("api", &["confidant", "credhub", "barbican", "ccm"][..]),
            ("adapters", &["store", "pki", "kms", "identity"]),
        ] {
            let Some(at) = parts.iter().rposition(|part| part == parent) else { continue };
            let Some(own) = parts.get(at + 1).map(|part| part.trim_end_matches(".rs")) else { continue };
            for sibling in siblings.iter().filter(|sibling| siblings.contains(&own) && **sibling != own) {
                if text.contains(&format!("{parent}::{sibling}")) {
                    wrong.push(format!("{} names its sibling {sibling}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One provider of cryptography and of TLS; `rsa` leaks its keys by timing (RUSTSEC-2023-0071).
const BANNED: &[&str] = &["ring", "rsa", "openssl", "openssl-sys", "native-tls", "chrono"];

#[test]
fn no_second_cryptography_comes_in_through_a_dependency() {
    // Not Cargo.lock: it also lists what is never built.
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build,dev", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo tree");
    let tree = String::from_utf8(tree.stdout).expect("text");
    let built: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(built.contains("aws-lc-rs"));
    let banned: Vec<_> = BANNED.iter().filter(|name| built.contains(**name)).collect();
    assert!(banned.is_empty(), "{banned:?}");
}

#[test]
fn a_wrong_arrow_would_be_seen() {
    assert!(rooms_named("use crate::{domain::Error, api};").contains("api"));
    assert!(rooms_named("let x = crate::k8s::run();").contains("k8s"));
    assert!(names_crate("use kube::Api;", "kube"));
    assert!(!names_crate("use my_kube::Api;", "kube"));
    assert!(without_comments("// crate::api\nx").trim() == "x");
}

/// Enough for any file of one subject; a longer one holds two.
const LINES_NEVER: usize = 500;

#[test]
fn no_file_grows_beyond_one_subject() {
    for (path, text) in sources() {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= LINES_NEVER, "{} has {lines} lines", path.display());
    }
}
