use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use strongroom::k8s::crd::{CertificateAuthority, Credential};

use super::operator::{Ground, condition, data, eventually, keys};

const RESTORED_WITHIN: Duration = Duration::from_secs(2);

fn password() -> serde_json::Value {
    json!({"type": "User", "source": {"generate": {}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_or_edited_secret_is_back_within_two_seconds() {
    let ground = Ground::new("restore").await;
    let operator = ground.start().await;
    ground.create::<Credential>("db", password()).await;
    ground.ready::<Credential>("db").await;
    let first = ground.secret("db").await;

    let begun = Instant::now();
    ground.api::<Secret>().delete("db", &DeleteParams::default()).await.expect("deleted");
    let again = ground.secret_until("db", |it| it.metadata.uid != first.metadata.uid).await;
    assert!(begun.elapsed() < RESTORED_WITHIN, "{:?}", begun.elapsed());
    assert_eq!(data(&again), data(&first));
    ground.event("db", "Restored").await;

    let edits = [
        json!({"stringData": {"password": "mine"}}),
        json!({"data": {"password": null}}),
        json!({"stringData": {"MORE": "x"}}),
        json!({"data": {"username": null}, "stringData": {"password": "mine"}}),
        json!({"metadata": {"labels": {"strongroom.dev/kind": null}}}),
        json!({"metadata": {"annotations": {"strongroom.dev/owner": null}}}),
        json!({"metadata": {"annotations": {"strongroom.dev/content": "other"}}}),
        json!({"metadata": {"ownerReferences": null}}),
        json!({"stringData": {"password": "mine"}, "metadata": {"labels": null, "annotations": null}}),
    ];
    for edit in edits {
        let begun = Instant::now();
        ground.edit_secret("db", edit.clone()).await;
        let same = |it: &Secret| {
            data(it) == data(&first)
                && it.metadata.labels == first.metadata.labels
                && it.metadata.annotations == first.metadata.annotations
                && it.metadata.owner_references == first.metadata.owner_references
        };
        ground.secret_until("db", same).await;
        assert!(begun.elapsed() < RESTORED_WITHIN, "{edit}: {:?}", begun.elapsed());
    }
    assert_eq!(ground.ready::<Credential>("db").await.status.expect("a status").revision, Some(1));
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_and_its_undoing_are_settled_once() {
    let ground = Ground::new("undone").await;
    let operator = ground.start().await;
    ground.create::<Credential>("db", password()).await;
    ground.ready::<Credential>("db").await;
    operator.stop().await;
    let value = data(&ground.secret("db").await)["password"].clone();
    ground.edit_secret("db", json!({"stringData": {"password": "mine"}})).await;
    ground.edit_secret("db", json!({"stringData": {"password": value}})).await;
    let before = ground.writes().len();
    let operator = ground.start().await;
    // Whose the key is does not change by writing the same value: it must not be tried again and again.
    ground.change::<Credential>("db", json!({"tags": ["a"]})).await;
    ground.until::<Credential>("db", |it| it.status.as_ref().is_some_and(|it| it.revision == Some(2))).await;
    ground.change::<Credential>("db", json!({"tags": ["b"]})).await;
    ground.until::<Credential>("db", |it| it.status.as_ref().is_some_and(|it| it.revision == Some(3))).await;
    assert_eq!(data(&ground.secret("db").await)["password"], value);
    let writes = ground.writes().len() - before;
    assert!(writes <= 8, "{writes} writes");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_secret_is_never_touched_and_adopted_with_consent_only() {
    let ground = Ground::new("foreign").await;
    let foreign =
        ground.foreign_secret("db", json!({"labels": {"app": "shop"}}), json!({"password": "theirs", "x": "y"})).await;
    let operator = ground.start().await;
    ground.create::<Credential>("db", password()).await;
    let message = ground.failing::<Credential>("db", "ForeignObject").await;
    assert!(message.contains("strongroom.dev/adopt: Credential.db"), "{message}");
    ground.change::<Credential>("db", json!({"target": {"conflictPolicy": "Adopt"}})).await;
    ground
        .until::<Credential>("db", |it| it.status.as_ref().is_some_and(|it| it.observed.observed_generation == Some(2)))
        .await;
    ground.failing::<Credential>("db", "ForeignObject").await;
    assert_eq!(ground.secret("db").await.metadata.resource_version, foreign.metadata.resource_version);

    ground.edit_secret("db", json!({"metadata": {"annotations": {"strongroom.dev/adopt": "Credential.db"}}})).await;
    ground.change::<Credential>("db", json!({"documentation": "adopt it now"})).await;
    ground.ready::<Credential>("db").await;
    // Another type cannot be changed into ours: with its owner's consent it was made anew.
    let adopted = ground.secret("db").await;
    assert_eq!(adopted.type_.as_deref(), Some("kubernetes.io/basic-auth"));
    assert_eq!(keys(&adopted), ["password", "username"]);
    assert_ne!(data(&adopted)["password"], "theirs");

    ground
        .foreign_secret(
            "taken",
            json!({"annotations": {"strongroom.dev/adopt": "Credential.other"}}),
            json!({"password": "p"}),
        )
        .await;
    let spec = json!({"type": "Password", "source": {"generate": {}}, "target": {"secretName": "taken", "conflictPolicy": "Adopt"}});
    ground.create::<Credential>("taker", spec).await;
    ground.failing::<Credential>("taker", "ForeignObject").await;
    let consent = json!({"metadata": {"annotations": {"strongroom.dev/adopt": "Credential.taker"}}});
    ground.edit_secret("taken", consent).await;
    ground.change::<Credential>("taker", json!({"documentation": "now"})).await;
    ground.ready::<Credential>("taker").await;
    let taken = ground.secret("taken").await;
    assert!(!taken.metadata.annotations.expect("annotations").contains_key("strongroom.dev/adopt"));
    ground.event("taker", "Adopted").await;

    let second = json!({"type": "Password", "source": {"generate": {}}, "target": {"secretName": "db"}});
    ground.create::<Credential>("second", second).await;
    let message = ground.failing::<Credential>("second", "ForeignObject").await;
    assert_eq!(message, "Secret db belongs to Credential db: choose another name");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_target_moves_and_an_immutable_one_is_made_anew() {
    let ground = Ground::new("rename").await;
    let operator = ground.start().await;
    ground.create::<Credential>("db", password()).await;
    ground.ready::<Credential>("db").await;
    let first = data(&ground.secret("db").await);
    ground.change::<Credential>("db", json!({"target": {"secretName": "db-app"}})).await;
    let moved = ground.secret_until("db-app", |_| true).await;
    assert_eq!(data(&moved), first);
    let secrets = ground.api::<Secret>();
    eventually(async || secrets.get_opt("db").await.expect("an answer").is_some(), |there| !there).await;

    ground.edit_secret("db-app", json!({"immutable": true})).await;
    ground.change::<Credential>("db", json!({"source": {"generate": {"length": 50}}})).await;
    ground.secret_until("db-app", |it| data(it)["password"].len() == 50).await;
    assert_ne!(ground.secret("db-app").await.metadata.uid, moved.metadata.uid);

    ground.change::<Credential>("db", json!({"target": {"secretName": null, "creationPolicy": "None"}})).await;
    eventually(async || secrets.get_opt("db-app").await.expect("an answer").is_some(), |there| !there).await;
    let silent = ground.ready::<Credential>("db").await;
    assert_eq!(silent.status.as_ref().and_then(|it| it.secret_name.clone()), None);
    assert!(condition(&silent, "Ready").is_some_and(|it| it.message.contains("no Secret is asked for")));
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_stays_has_no_owner_and_is_taken_up_again() {
    let ground = Ground::new("retain").await;
    let operator = ground.start().await;
    let spec = json!({"type": "User", "source": {"generate": {}}, "target": {"deletionPolicy": "Retain"}});
    ground.create::<Credential>("db", spec.clone()).await;
    ground.ready::<Credential>("db").await;
    let first = ground.secret("db").await;
    assert_eq!(first.metadata.owner_references, None);
    ground.delete::<Credential>("db").await;
    let gone = async || ground.api::<Credential>().get_opt("db").await.expect("an answer").is_some();
    eventually(gone, |there| !there).await;
    ground.create::<Credential>("db", spec).await;
    ground.ready::<Credential>("db").await;
    let second = ground.secret("db").await;
    assert_eq!((data(&second), &second.metadata.uid), (data(&first), &first.metadata.uid));
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trust_bundle_is_kept_like_a_secret() {
    let ground = Ground::new("bundle").await;
    let operator = ground.start().await;
    let spec = json!({"subject": {"commonName": "CA"}, "validity": "24h", "trustBundle": {"configMapName": "roots"}});
    ground.create::<CertificateAuthority>("ca", spec).await;
    ground.ready::<CertificateAuthority>("ca").await;
    let api = ground.api::<k8s_openapi::api::core::v1::ConfigMap>();
    let first = api.get("roots").await.expect("there");
    let patch = json!({"data": {"ca.crt": "forged", "more": "x"}, "binaryData": {"b": "AAAA"}});
    let parameters = PatchParams { field_manager: Some("somebody".into()), ..PatchParams::default() };
    api.patch("roots", &parameters, &Patch::Merge(patch)).await.expect("edited");
    let same = |it: &k8s_openapi::api::core::v1::ConfigMap| it.data == first.data && it.binary_data.is_none();
    let begun = Instant::now();
    eventually(async || api.get("roots").await.expect("there"), same).await;
    assert!(begun.elapsed() < RESTORED_WITHIN);
    operator.stop().await;
}
