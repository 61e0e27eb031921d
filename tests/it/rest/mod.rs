//! The REST edge as its callers meet it: the real server over TLS on a free port, on the real use cases.

mod about;
mod acl;
mod bad_input;
mod blind;
mod callers;
mod certificates;
mod credhub;
mod credhub_matrix;
mod credhub_permissions;
mod document;
mod generated;
mod grants;
mod header_login;
mod history;
pub mod house;
mod jwks;
mod kmsauth;
mod kmsauth_token;
mod matrix;
pub mod openssl;
mod shapes;
mod transport;

use std::path::Path;

use strongroom::api::confidant::Confidant;
use strongroom::api::credhub::Credhub;
use strongroom::api::route::Dialect;

/// Whether each operation of a dialect has a row on its page, with tests that there are.
fn assert_covered<D: Dialect>(page: &str, tests: &str) {
    for route in D::routes() {
        let start = format!("| `{} {}` |", route.method, route.template);
        let row = page.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no row {start}"));
        let named: Vec<&str> = row[start.len()..].split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{row}");
        for test in named {
            assert!(tests.contains(&format!("async fn {test}()")), "{test} does not exist");
        }
    }
}

#[test]
fn every_operation_stands_on_the_dialects_page_with_tests_that_exist() {
    let (mut tests, mut folders) = (String::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/rest")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("tests").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => tests += &std::fs::read_to_string(path).expect("a file of tests"),
            }
        }
    }
    assert_covered::<Confidant>(include_str!("../../../docs/dialects/confidant.md"), &tests);
    assert_covered::<Credhub>(include_str!("../../../docs/dialects/credhub.md"), &tests);
}
