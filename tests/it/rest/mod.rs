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

use strongroom::api::confidant::Confidant;
use strongroom::api::credhub::Credhub;
use strongroom::api::route::Dialect;

/// Whether each operation of a dialect has a row on its page, with tests that there are.
fn assert_covered<D: Dialect>(page: &str, tests: &[&str]) {
    let tests = tests.concat();
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
    let confidant = [
        include_str!("about.rs"),
        include_str!("bad_input.rs"),
        include_str!("blind.rs"),
        include_str!("certificates.rs"),
        include_str!("document.rs"),
        include_str!("grants.rs"),
        include_str!("header_login.rs"),
        include_str!("history.rs"),
        include_str!("jwks.rs"),
        include_str!("kmsauth.rs"),
        include_str!("matrix.rs"),
        include_str!("shapes.rs"),
    ];
    assert_covered::<Confidant>(include_str!("../../../docs/dialects/confidant.md"), &confidant);
    let credhub = [
        include_str!("credhub/bad_bodies.rs"),
        include_str!("credhub/bad_certificates.rs"),
        include_str!("credhub/bad_input.rs"),
        include_str!("credhub/certificates.rs"),
        include_str!("credhub/data.rs"),
        include_str!("credhub/example.rs"),
        include_str!("credhub/generation.rs"),
        include_str!("credhub/read_only.rs"),
        include_str!("credhub_matrix.rs"),
        include_str!("credhub_permissions/mod.rs"),
        include_str!("credhub_permissions/first.rs"),
        include_str!("credhub_permissions/rights.rs"),
        include_str!("document.rs"),
    ];
    assert_covered::<Credhub>(include_str!("../../../docs/dialects/credhub.md"), &credhub);
}
