//! What stands in the results, where a status says too little.

use serde_json::{Value, json};

use super::{Outcomes, Program};

type Content = (&'static str, &'static str, fn(&Value) -> bool);

/// Of both programs: their results have the same names.
const BOTH: &[Content] = &[
    ("set a value", "/type", |it| it == "value"),
    ("set a value", "/name", |it| ends(it, "/value") && it.as_str().is_some_and(|name| name.starts_with("/calls/"))),
    ("set a value", "/id", is_id),
    ("set json", "/value", is_nested),
    ("get json", "/value", is_nested),
    ("set a user", "/value/username", |it| it == "ann"),
    ("set a user", "/value/password_hash", is_crypt),
    ("generate a user", "/value/username", |it| it == "bob"),
    ("generate a user", "/value/password", |it| length(it) == 12),
    ("regenerate user", "/value/username", |it| it == "bob"),
    ("regenerate user", "/value/password", |it| length(it) == 12),
    ("get a user", "/value/password_hash", is_crypt),
    ("get rsa", "/value/private_key", |it| starts(it, "-----BEGIN RSA PRIVATE KEY-----\n")),
    ("get rsa", "/value/public_key", |it| starts(it, "-----BEGIN PUBLIC KEY-----\n")),
    ("generate ssh", "/value/public_key", |it| starts(it, "ssh-rsa AAAA") && ends(it, " ann@example.com")),
    ("regenerate ssh", "/value/public_key", |it| ends(it, " ann@example.com")),
    ("get ssh", "/value/public_key_fingerprint", |it| length(it) == 43 && !ends(it, "=")),
    // Null, which is nothing in Go.
    ("set ssh", "/value/public_key_fingerprint", |it| it.is_null() || it == ""),
    ("generate a certificate", "/value/private_key", |it| starts(it, "-----BEGIN RSA PRIVATE KEY-----\n")),
    ("rotation: the certificate with both roots", "/value/ca", |it| certificates(it) == 2),
    ("rotation: the certificate of the second root", "/value/ca", |it| certificates(it) == 2),
    ("rotation: the certificate with one root", "/value/ca", |it| certificates(it) == 1),
    ("interpolate json", "", |it| {
        let services = parsed(it);
        is_nested(&services["p-config"][0]["credentials"])
            && services["p-config"][0]["label"] == "config"
            && services["p-config"][1]["credentials"] == json!({ "plain": 1 })
    }),
];

const GO: &[Content] = &[
    ("info", "/App/Name", |it| it == "CredHub"),
    ("info", "/auth-server/URL", |it| starts(it, "https://localhost:")),
    ("version", "", is_version),
    ("set a value with metadata", "/metadata", |it| {
        *it == json!({ "team": "shop", "since": 2024, "tags": ["a", null] })
    }),
    ("generate a password", "/value", |it| length(it) == 30),
    ("generate it anew", "/value", |it| length(it) == 40 && !has(it, char::is_alphabetic)),
    ("get a password", "/value", |it| length(it) == 40),
    ("regenerate password", "/value", |it| length(it) == 40 && !has(it, char::is_alphabetic)),
    ("generate a user without a name", "/value/username", |it| {
        length(it) == 20 && !has(it, |c| !c.is_ascii_alphabetic())
    }),
    ("generate with metadata", "/metadata", |it| *it == json!({ "made": "here" })),
    ("regenerate with metadata", "/metadata", |it| *it == json!({ "again": true })),
    ("get the latest", "/value", |it| it == "third"),
    ("get by id", "/value", |it| it == "third"),
    ("get all versions", "", |it| it.as_array().is_some_and(|all| all.len() == 3 && all[0]["value"] == "third")),
    ("get two versions", "", |it| it.as_array().is_some_and(|all| all.len() == 2 && all[1]["value"] == "first")),
    ("get by another spelling", "/value", |it| it == "third"),
    ("find by name", "/credentials", |it| {
        names(it, "/name") == ["given-password", "given-rsa", "given-ssh", "given-user"]
    }),
    ("find nothing", "/credentials", |it| *it == json!([])),
    ("find what ends soon", "/credentials", |it| names(it, "/name") == ["alone", "leaf"]),
    ("find what ends soon", "/credentials/0/expiry_date", |it| length(it) == 20),
    ("regenerate all under a root", "/regenerated_credentials", |it| names(it, "") == ["below", "leaf"]),
    ("regenerate all under nothing", "/regenerated_credentials", |it| *it == json!([])),
    ("a certificate's versions", "/signed_by", |it| ends(it, "/root")),
    ("a certificate's versions", "/signs", |it| names(it, "") == ["leaf"]),
    ("a certificate's versions", "/versions/0/certificate_authority", |it| *it == true),
    ("a certificate's versions", "/versions/0/self_signed", |it| *it == false),
    ("all certificates", "", |it| {
        let wanted = ["alone", "below", "given-by-name", "given-certificate", "given-root", "leaf", "plain", "root"];
        names(it, "/name") == wanted
    }),
    ("rotation: both roots", "", |it| it.as_array().is_some_and(|both| both.len() == 2)),
    ("rotation: versions", "/versions", |it| it.as_array().is_some_and(|all| all.len() == 2)),
    ("add a permission", "/operations", |it| *it == json!(["read", "write"])),
    ("add a permission", "/actor", |it| it == "uaa-client:other"),
    ("add a permission", "/path", |it| ends(it, "/shared/*")),
    ("get it updated", "/operations", |it| *it == json!(["read", "delete", "read_acl"])),
    ("delete it", "/uuid", is_id),
    ("permissions of a name", "", |it| *it == json!([])),
    ("key usage", "/active_key", |it| it.as_u64().is_some_and(|count| count > 10)),
];

const SPRING: &[Content] = &[
    ("version", "/version", is_version),
    ("get all versions", "", |it| it.as_array().is_some_and(|all| all.len() == 2)),
    ("get one version", "", |it| it.as_array().is_some_and(|all| all.len() == 1)),
    ("find by name", "", |it| {
        names(it, "/name/name") == ["given-certificate", "given-password", "given-rsa", "given-ssh", "given-user"]
    }),
    ("regenerate all under a root", "", |it| names(it, "") == ["below", "leaf"]),
    ("all certificates", "", |it| names(it, "/name") == ["alone", "below", "given-certificate", "leaf", "root"]),
    ("rotation: a second root", "/transitional", |it| *it == true),
    ("get it updated", "/operations", |it| *it == json!(["read", "delete", "read_acl"])),
    ("permissions of a name", "/0/operations", |it| *it == json!(["read", "write"])),
];

/// Of the caller who may read one name.
const READER: &[Content] = &[
    // An empty list is left out by Spring CredHub's way to write JSON; that the call was answered stands in the table.
    ("all certificates", "", |it| it.is_null() || *it == json!([])),
];

pub fn wrong(program: Program, outcomes: &Outcomes) -> Vec<String> {
    let own = match program {
        Program::Go => GO,
        Program::Spring => SPRING,
    };
    let all = BOTH.iter().chain(own);
    let mut wanted: Vec<(&str, &Content)> =
        ["token", "certificate"].iter().flat_map(|by| all.clone().map(|row| (*by, row))).collect();
    wanted.extend(READER.iter().map(|row| ("reader", row)));
    let wrong = |(by, (call, place, is_right)): &(&str, &Content)| {
        let found = outcomes.at(by, call, place);
        (!is_right(found)).then(|| format!("{call} by {by}: {place} is {found}"))
    };
    wanted.iter().filter_map(wrong).collect()
}

fn parsed(text: &Value) -> Value {
    match text.as_str() {
        Some(text) => serde_json::from_str(text).unwrap_or_default(),
        None => text.clone(),
    }
}

/// Spring CredHub leaves out what is null, in what it sends and in what is shown of it.
fn is_nested(it: &Value) -> bool {
    let wanted = |tls: Value| json!({ "host": "db", "port": 5432, "tls": tls });
    *it == wanted(json!({ "on": true, "of": null })) || *it == wanted(json!({ "on": true }))
}

fn is_id(it: &Value) -> bool {
    it.as_str().is_some_and(|text| uuid::Uuid::parse_str(text).is_ok())
}

/// One that clients send metadata to.
fn is_version(it: &Value) -> bool {
    let parts: Option<Vec<u32>> =
        it.as_str().map(|text| text.split('.').filter_map(|part| part.parse().ok()).collect());
    parts.is_some_and(|parts| parts.len() == 3 && parts >= vec![2, 6, 0])
}

fn is_crypt(it: &Value) -> bool {
    starts(it, "$6$")
}

fn starts(it: &Value, with: &str) -> bool {
    it.as_str().is_some_and(|text| text.starts_with(with))
}

fn ends(it: &Value, with: &str) -> bool {
    it.as_str().is_some_and(|text| text.ends_with(with))
}

fn length(it: &Value) -> usize {
    it.as_str().map_or(0, |text| text.chars().count())
}

fn has(it: &Value, what: impl Fn(char) -> bool) -> bool {
    it.as_str().is_some_and(|text| text.chars().any(what))
}

fn certificates(it: &Value) -> usize {
    it.as_str().map_or(0, |text| text.matches("-----BEGIN CERTIFICATE-----").count())
}

/// The last parts of all names in a list, in the order of the alphabet.
fn names<'a>(list: &'a Value, place: &str) -> Vec<&'a str> {
    let all = list.as_array().into_iter().flatten();
    let name = |entry: &'a Value| entry.pointer(place).and_then(Value::as_str)?.rsplit('/').next();
    let mut names: Vec<&str> = all.filter_map(name).collect();
    names.sort_unstable();
    names
}
