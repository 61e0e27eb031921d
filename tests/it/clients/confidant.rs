//! Confidant's official client: the library and its commands, unchanged, with moto as AWS KMS, against the real binary.
//! tests/clients/confidant/calls.py makes the calls; what each must come to stands here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kube::Api;
use kube::api::PostParams;
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use strongroom::k8s::crd::{CertificateAuthority, Managed};

use super::{CONTEXT, Server, run};
use crate::cluster;
use crate::kms::moto::REGION;

const PATIENCE: Duration = Duration::from_secs(20);

const PASSWORD: &str = "hunter2 $HOME 'quoted'";

/// Three credentials, two services with one each, and what the script must know of them.
async fn plan(server: &Server, ca: &str) -> Value {
    let credential = server.credential("credential", json!({ "user": "u", "password": PASSWORD })).await;
    let other = server.credential("other", json!({ "password": "of the bank" })).await;
    let spare = server.credential("spare", json!({ "spare": "s" })).await;
    server.service("mail", &[&credential]).await;
    server.service("bank", &[&other]).await;
    json!({
        "url": server.strongroom.url(""), "region": REGION, "context": CONTEXT, "keys": server.keys,
        "service": "mail", "other_service": "bank", "user": "ann", "credential": credential, "spare": spare,
        "environment": "production", "ca": ca, "common_name": "mail.example.com",
    })
}

/// A key that signs tokens.
fn key(folder: &Path) -> PathBuf {
    let file = folder.join("key.pem");
    let command = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"];
    assert!(Command::new("openssl").args(command).arg(&file).status().expect("openssl").success());
    file
}

/// The resource `ca`, when it can sign.
async fn authority(client: &kube::Client, namespace: &str) {
    let api: Api<CertificateAuthority> = Api::namespaced(client.clone(), namespace);
    let spec = json!({ "subject": { "commonName": "Example CA" }, "validity": "8760h" });
    let wanted = CertificateAuthority::new("ca", serde_json::from_value(spec).expect("a spec"));
    api.create(&PostParams::default(), &wanted).await.expect("created");
    let is_ready = |it: Option<&CertificateAuthority>| {
        it.is_some_and(|it| it.conditions().iter().any(|known| known.type_ == "Ready" && known.status == "True"))
    };
    let ready = await_condition(api, "ca", is_ready);
    tokio::time::timeout(PATIENCE, ready).await.expect("ready in time").expect("ready");
}

/// What each call came to, by its name.
async fn outcomes(server: &Server, ca: &str) -> BTreeMap<String, Value> {
    let file = server.dir.path().join("plan");
    std::fs::write(&file, plan(server, ca).await.to_string()).expect("written");
    let (is_done, said) = run(&[server], "tests/clients/confidant/calls.py", &[&file.display().to_string()]).await;
    assert!(is_done, "{said}");
    let outcome = |line: &str| -> Value { serde_json::from_str(line).expect("JSON") };
    let outcomes = said.lines().map(outcome);
    outcomes.map(|outcome| (outcome["call"].as_str().expect("a name").to_owned(), outcome)).collect()
}

/// A call, the statuses of its answers, and whether the client calls it a success.
type Wanted = (&'static str, &'static [u16], bool);

const WANTED: &[Wanted] = &[
    ("its own service", &[200], true),
    ("its own service without values", &[200], true),
    ("somebody else's service", &[403], false),
    // To the client a service that is not there is a success without a service.
    ("a service that is not there", &[404], true),
    ("a credential", &[200], true),
    ("a credential without values", &[200], true),
    ("a credential that is not there", &[404], false),
    ("a credential, as a service", &[403], false),
    ("services of a credential", &[200], true),
    ("an update with a name", &[200, 200], true),
    // Confidant's own server fails here.
    ("an update without one", &[200, 200], true),
    ("a revert", &[200], true),
    ("a revert to what is there", &[400], false),
    ("a revert to no revision", &[404], false),
    ("a new blind credential", &[200], true),
    ("a blind credential, opened", &[200], true),
    ("a blind credential that is not there", &[404], false),
    ("an update of it", &[200, 200], true),
    ("an update of its words alone", &[200, 200], true),
    ("all blind credentials", &[200], true),
    ("a revert of it", &[200], true),
    ("credentials for a service", &[200, 200], true),
    ("its service with them", &[200], true),
    ("fewer credentials for it", &[200, 200], true),
    ("a revert of the service", &[200], true),
    ("a token", &[200], true),
    // Confidant's own server has no such path.
    ("a token for a time", &[200], true),
    ("keys of tokens", &[200], true),
    ("all authorities", &[200], true),
    ("an authority", &[200], true),
    ("an authority that is not there", &[404], false),
    ("a certificate", &[200], true),
    ("a certificate of another name", &[403], false),
    // The client forgets to send it.
    ("a certificate for a request", &[400], false),
];

/// Something in what a call returned.
type Content = (&'static str, &'static str, fn(&Value) -> bool);

const CONTENT: &[Content] = &[
    ("its own service", "/service/credentials/0/credential_pairs", |it| {
        *it == json!({ "user": "u", "password": PASSWORD })
    }),
    ("its own service", "/service/permissions/get", |it| *it == true),
    ("its own service without values", "/service/credentials/0/credential_pairs", |it| *it == json!({})),
    ("somebody else's service", "/reference", |it| it == "bank"),
    ("a service that is not there", "/service", Value::is_null),
    ("a credential", "/credential/credential_pairs/user", |it| it == "u"),
    ("a credential without values", "/credential/credential_keys", |it| *it == json!(["user", "password"])),
    ("services of a credential", "/data/services", |it| *it == json!([{ "id": "mail", "enabled": true }])),
    ("an update with a name", "/credential/credential_pairs", |it| *it == json!({ "user": "u2" })),
    ("an update without one", "/credential/name", |it| it == "renamed"),
    ("an update without one", "/credential/documentation", |it| it == "how to rotate it"),
    ("an update without one", "/credential/modified_by", |it| it == "ann"),
    ("a revert", "/credential/name", |it| it == "credential"),
    ("a revert", "/credential/revision", |it| *it == 4),
    ("a new blind credential", "/blind_credential/credential_keys", |it| *it == json!(["pin"])),
    ("a blind credential, opened", "/blind_credential/decrypted_credential_pairs", |it| {
        *it == json!({ "pin": "1234" })
    }),
    ("an update of its words alone", "/blind_credential/enabled", |it| *it == false),
    ("all blind credentials", "/blind_credentials/0/documentation", |it| it == "ask Ann"),
    ("its service with them", "/service/credentials/1/credential_pairs", |it| *it == json!({ "spare": "s" })),
    ("its service with them", "/service/blind_credentials/0/decrypted_credential_pairs/pin", |it| it == "1234"),
    ("a revert of the service", "/service/credentials/1", Value::is_null),
    ("a revert of the service", "/service/blind_credentials/0", Value::is_null),
    ("a token", "/token", |it| it.as_str().is_some_and(|token| token.split('.').count() == 3)),
    ("keys of tokens", "/keys/0/kid", |it| it == "first"),
    ("all authorities", "/cas/0/ca", |it| it.as_str().is_some_and(|name| name.ends_with(".ca"))),
    ("an authority", "/ca/certificate", is_certificate),
    ("a certificate", "/certificate/certificate", is_certificate),
    ("a certificate", "/certificate/certificate_chain", is_certificate),
    ("a certificate", "/certificate/key", |it| starts(it, "-----BEGIN RSA PRIVATE KEY-----")),
];

fn is_certificate(text: &Value) -> bool {
    starts(text, "-----BEGIN CERTIFICATE-----")
}

fn starts(text: &Value, with: &str) -> bool {
    text.as_str().is_some_and(|text| text.starts_with(with))
}

/// The commands that come with the library: how each ends, and what it says.
const COMMANDS: &[(&str, i64, &str)] = &[
    ("confidant get_service", 0, "hunter2"),
    // What stands for AWS is kept from the program.
    ("confidant env", 0, "u:\n"),
    ("confidant get_jwks", 0, "\"kid\": \"first\""),
    ("confidant of another", 1, "\"reference\": \"bank\""),
    ("confidant-format", 0, "CREDENTIALS_PASSWORD='hunter2 $HOME '\"'\"'quoted'\"'\"''"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_official_client_of_confidant_gets_from_every_call_what_it_expects() {
    let turn = cluster::turn().await;
    let client = turn.cluster.client().await;
    let namespace = cluster::namespace(&client, "official").await;
    let (ca, keys) = (format!("{namespace}.ca"), tempfile::tempdir().expect("a folder"));
    let settings = json!({
        "authorities": { &ca: { "domainPattern": "{service}.example.com" } },
        "jwt": { "environments": { "production": { "active": "first", "keys": { "first": { "file": key(keys.path()) } } } } },
    });
    let server = Server::start_with(Some(&turn.cluster.kubeconfig()), settings).await;
    authority(&client, &namespace).await;
    let outcomes = outcomes(&server, &ca).await;
    let mut wrong = Vec::new();
    let outcome = |call: &str| outcomes.get(call).unwrap_or_else(|| panic!("no outcome of {call}"));
    for (call, statuses, result) in WANTED {
        let outcome = outcome(call);
        if outcome["statuses"] != json!(statuses) || outcome["returned"]["result"] != json!(result) {
            wrong.push(format!("{call}: {outcome}"));
        }
    }
    for (call, place, is_right) in CONTENT {
        let found = outcome(call)["returned"].pointer(place).unwrap_or(&Value::Null);
        if !is_right(found) {
            wrong.push(format!("{call}: {place} is {found}"));
        }
    }
    for (command, status, said) in COMMANDS {
        let outcome = outcome(command);
        if outcome["status"] != *status || !outcome["said"].as_str().is_some_and(|text| text.contains(said)) {
            wrong.push(format!("{command}: {outcome}"));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), server.strongroom.log());
    assert_eq!(outcomes.len(), WANTED.len() + COMMANDS.len(), "{:?}", outcomes.keys());
}
