//! `strongroom serve --kms-key`: how it starts, and when it does not.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::proxy::{Fault, assert_paced};
use super::{Kms, page, until};
use crate::process::{Strongroom, binary};

async fn refusal(strongroom: &mut Strongroom) -> String {
    let before = strongroom.log().len();
    strongroom.spawn();
    assert!(!strongroom.ended().await.success());
    strongroom.log()[before..].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_first_start_wraps_one_key_and_every_other_one_unwraps_it() {
    let kms = Kms::new().await;
    let mut strongroom = kms.strongroom();
    // Whatever is logged, nothing of a key is.
    strongroom.set("STRONGROOM_LOG_LEVEL", Some("trace"));
    strongroom.start().await;
    let made = kms.proxy.actions();
    assert!(made.contains(&"Encrypt".into()) && made.len() <= 3, "{made:?}");
    assert!(!strongroom.data.join("strongroom.key").exists());
    let password = strongroom.create_client("ops", true);
    strongroom.kill();

    let before = kms.proxy.actions().len();
    strongroom.start().await;
    assert_eq!(kms.proxy.actions()[before..], ["DescribeKey", "Decrypt"]);
    let read = strongroom.caller(None).get(strongroom.url("/v1/services")).basic_auth("ops", Some(&password));
    assert_eq!(read.send().await.expect("an answer").status(), 200);
    strongroom.stop().await;

    let log = strongroom.log();
    for call in kms.proxy.calls() {
        for body in [&call.request, &call.answer] {
            let body: Value = serde_json::from_slice(body).expect("JSON");
            let Some(plain) = body["Plaintext"].as_str() else { continue };
            assert!(!log.contains(plain), "{} shows a data key", call.action);
        }
    }
    assert!(log.contains("TRACE"), "the log would have shown it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_key_that_cannot_be_used_is_refused_by_name_and_nothing_changes() {
    let kms = Kms::new().await;
    let mut strongroom = kms.strongroom();
    strongroom.start().await;
    assert_eq!(strongroom.stop().await.code(), Some(0));
    let stored = || fs::read(strongroom.data.join("strongroom.db")).expect("a store");
    let before = stored();

    kms.moto.change("DisableKey", &kms.arn).await;
    let mut again = kms.strongroom();
    again.data.clone_from(&strongroom.data);
    let said = refusal(&mut again).await;
    assert!(said.contains(&kms.arn) && said.contains("disabled"), "{said}");

    kms.moto.change("ScheduleKeyDeletion", &kms.arn).await;
    let said = refusal(&mut again).await;
    assert!(said.contains(&kms.arn) && said.contains("deletion"), "{said}");
    kms.moto.change("CancelKeyDeletion", &kms.arn).await;
    kms.moto.change("EnableKey", &kms.arn).await;

    let missing = format!("{}-0000-0000-0000-000000000000", &kms.arn[..kms.arn.len() - 28]);
    again.set("STRONGROOM_KMS_KEY", Some(&missing));
    let said = refusal(&mut again).await;
    assert!(said.contains(&missing) && said.contains("does not exist"), "{said}");

    let other = kms.moto.create_key().await;
    again.set("STRONGROOM_KMS_KEY", Some(&other));
    let said = refusal(&mut again).await;
    assert!(said.contains(&other), "{said}");

    again.set("STRONGROOM_KMS_KEY", Some(&kms.arn));
    again.set("STRONGROOM_KMS_REGION", Some("us-east-1"));
    let said = refusal(&mut again).await;
    assert!(said.contains(&kms.arn) && said.contains("us-east-1"), "{said}");

    let id = kms.arn.rsplit('/').next().expect("an id");
    again.set("STRONGROOM_KMS_KEY", Some(id));
    let said = refusal(&mut again).await;
    assert!(said.contains(id) && said.contains("--kms-region"), "{said}");

    assert!(before == stored(), "the store was written");
    assert!(!strongroom.data.join("strongroom.key").exists());
    assert!(!kms.proxy.actions().contains(&"CreateKey".into()));
    strongroom.start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_finds_no_kms_waits_aloud_until_it_answers() {
    let mut kms = Kms::new().await;
    let mut strongroom = kms.strongroom();
    kms.proxy.down().await;
    strongroom.spawn();
    until("alive and not ready", async || {
        page(&strongroom, "readyz").await.is_some_and(|(status, said)| status == 503 && said.contains("key service"))
    })
    .await;
    assert_eq!(page(&strongroom, "healthz").await.map(|(status, _)| status), Some(200));
    until("it says so", async || strongroom.log().contains("not ready: the key service does not answer")).await;
    assert!(strongroom.log().contains(&kms.arn));

    kms.proxy.up().await;
    strongroom.wait_until("readyz").await;
    assert_eq!(strongroom.stop().await.code(), Some(0));

    kms.proxy.down().await;
    strongroom.spawn();
    until("it waits", async || page(&strongroom, "readyz").await.is_some()).await;
    assert_eq!(strongroom.stop().await.code(), Some(0), "it can be stopped while it waits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_start_under_throttling_asks_once_a_second_and_succeeds() {
    let kms = Kms::new().await;
    let mut strongroom = kms.strongroom();
    strongroom.start().await;
    strongroom.kill();

    let before = kms.proxy.calls().len();
    kms.proxy.fail(Fault::Throttle);
    let begun = Instant::now();
    strongroom.spawn();
    while page(&strongroom, "readyz").await.is_none_or(|(status, _)| status != 200) {
        assert!(begun.elapsed() < Duration::from_secs(90), "{}", strongroom.log());
        assert!(!strongroom.has_ended(), "{}", strongroom.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let calls = kms.proxy.calls().split_off(before);
    assert_eq!(calls.len(), 20, "18 were throttled, 2 passed");
    assert_paced(&calls);
    assert!(calls[19].at - calls[0].at >= Duration::from_secs(19));
    println!(
        "a start with 9 of 10 calls throttled took {:.1} s and {} calls",
        begun.elapsed().as_secs_f32(),
        calls.len()
    );
}

/// `strongroom check` on a folder where nothing is yet: what it says of the key.
fn checked(kms: &Kms, environment: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let output = binary()
        .args(["check", "--kms-key", &kms.arn, "--kms-endpoint", &kms.proxy.url()])
        .args(["--data-dir", &dir.path().join("data").display().to_string()])
        .envs([("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_CONFIG_FILE", "/dev/null")])
        .envs(environment.iter().copied())
        .env("KUBECONFIG", dir.path().join("none"))
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output();
    let said = String::from_utf8(output.expect("the binary").stdout).expect("text");
    let line = said.lines().find(|line| line.contains(" key ")).unwrap_or_else(|| panic!("{said}"));
    line.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn check_says_whether_the_key_can_be_used() {
    let kms = Kms::new().await;
    assert_eq!(checked(&kms, &[]), format!("ok    key        aws-kms:{} can be used", kms.arn));
    kms.moto.change("DisableKey", &kms.arn).await;
    let found = checked(&kms, &[]);
    assert!(found.starts_with("FAIL") && found.contains("enable it"), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_kms_that_says_nothing_is_given_up_in_time() {
    let kms = Kms::new().await;
    kms.proxy.fail(Fault::Silence);
    let begun = Instant::now();
    let found = checked(&kms, &[]);
    assert!(found.starts_with("FAIL") && found.contains("does not answer in time"), "{found}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn kms_is_reached_over_tls_if_its_certificate_is_trusted() {
    let mut kms = Kms::new().await;
    let certificate = kms.proxy.over_tls().await;
    let dir = tempfile::tempdir().expect("a folder");
    let trusted = dir.path().join("trusted.pem").display().to_string();
    fs::write(&trusted, certificate).expect("a file");
    let found = checked(&kms, &[("SSL_CERT_FILE", &trusted)]);
    assert!(found.starts_with("ok"), "{found}");
    // Nothing on the system, as in the image: the roots that were built in are asked, and do not know it.
    let nothing = dir.path().join("none").display().to_string();
    let found = checked(&kms, &[("SSL_CERT_FILE", &nothing), ("SSL_CERT_DIR", &nothing)]);
    assert!(found.starts_with("FAIL") && found.contains("KMS cannot be reached"), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_credentials_it_says_that_they_are_missing() {
    let kms = Kms::new().await;
    let none = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("AWS_EC2_METADATA_DISABLED", "true")];
    let found = checked(&kms, &none);
    assert!(found.starts_with("FAIL") && found.contains("AWS credentials"), "{found}");
    assert!(kms.proxy.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_moves_from_a_key_file_to_kms_and_back() {
    let kms = Kms::new().await;
    let mut strongroom = kms.strongroom();
    let endpoint = kms.proxy.url();
    // With the caller's rights at AWS, and whatever root key the arguments say.
    let strongroom_data = strongroom.data.display().to_string();
    let rekey = |more: &[&str]| {
        let mut command = binary();
        command.arg("rekey").args(more).args(["--data-dir", &strongroom_data]);
        command.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").env("AWS_SECRET_ACCESS_KEY", "a secret for moto");
        let output = command.output().expect("the binary");
        (output.status.success(), [output.stdout, output.stderr].concat())
    };
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for name in ["STRONGROOM_KMS_KEY", "STRONGROOM_KMS_ENDPOINT"] {
        strongroom.set(name, None);
    }
    strongroom.start().await;
    let password = strongroom.create_client("ops", true);
    let (whole, told) = rekey(&["--to-kms-key", &kms.arn, "--to-kms-endpoint", &endpoint]);
    assert!(whole && said(&told).contains("--retire-other-roots"), "{}", said(&told));
    strongroom.stop().await;

    let on_kms = ["--kms-key", &kms.arn, "--kms-endpoint", &endpoint];
    let (whole, told) = rekey(&[&["--retire-other-roots"][..], &on_kms].concat());
    assert!(whole && said(&told).contains("does not open the store any more"), "{}", said(&told));
    let refused = refusal(&mut strongroom).await;
    assert!(refused.contains(&kms.arn), "a file opens nothing any more: {refused}");
    strongroom.set("STRONGROOM_KMS_KEY", Some(&kms.arn));
    strongroom.set("STRONGROOM_KMS_ENDPOINT", Some(&endpoint));
    strongroom.start().await;
    let read = strongroom.caller(None).get(strongroom.url("/v1/services")).basic_auth("ops", Some(&password));
    assert_eq!(read.send().await.expect("an answer").status(), 200);

    let file = strongroom.data.join("next.key").display().to_string();
    let (whole, told) = rekey(&[&["--to-key-file", &file][..], &on_kms].concat());
    assert!(whole && said(&told).contains("--key-file"), "{}", said(&told));
    strongroom.stop().await;
    let (whole, told) = rekey(&["--retire-other-roots", "--key-file", &file]);
    assert!(whole, "{}", said(&told));
}
