//! Grants of the key of callers' tokens, and roles: against moto's KMS and IAM, through the real router.

use std::sync::Arc;

use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};
use reqwest::Method;
use serde_json::{Value, json};
use strongroom::adapters::kms::aws::grants::AwsGrants;
use strongroom::adapters::kms::aws::iam::{IamPlace, IamRoles};
use strongroom::adapters::kms::aws::tokens::AwsTokens;
use strongroom::adapters::system::SystemClock;
use strongroom::app::Rolls;
use strongroom::app::roles::Source;

use crate::kms::contract;
use crate::kms::moto::Moto;
use crate::kms::proxy::{Fault, Proxy};
use crate::process::plain_client;
use crate::rest::house::{House, Setup, answer};

struct Place {
    moto: Moto,
    proxy: Proxy,
    arn: String,
}

impl Place {
    async fn new() -> Self {
        let moto = Moto::running().await;
        let proxy = Proxy::before(moto.url()).await;
        let arn = moto.create_key().await;
        Self { moto, proxy, arn }
    }

    fn iam(&self, endpoint: &str) -> IamRoles {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "a secret for moto", None, None, "test");
        let place = IamPlace { endpoint: Some(endpoint.to_owned()), region: None };
        let roles = IamRoles::new(place, Arc::new(SystemClock)).expect("a client");
        roles.with(SharedCredentialsProvider::new(credentials))
    }

    async fn house(&self, manages_grants: bool, binds_sort: bool) -> House {
        let tokens = AwsTokens::with(contract::client(&self.proxy.url()), vec![self.arn.clone()]);
        let grants = AwsGrants::new(tokens, self.iam(self.moto.url()), binds_sort);
        let roles = Source::Book(Arc::new(self.iam(self.moto.url())));
        let rolls = Rolls { roles, grants: Some(Arc::new(grants)), manages_grants };
        House::set_up(Setup { rolls, ..Setup::default() }).await
    }

    /// A role of this name in moto's IAM; tests share it, so names are their own.
    async fn role(&self, name: &str) {
        let scope =
            "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=none";
        let body = format!("Action=CreateRole&Version=2010-05-08&RoleName={name}&AssumeRolePolicyDocument=%7B%7D");
        let request = plain_client().post(self.moto.url()).header("authorization", scope).body(body);
        let made = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        assert!(made.status().is_success(), "{}", made.text().await.unwrap());
    }

    async fn grants(&self) -> Vec<Value> {
        let listed = self.moto.ask("ListGrants", json!({ "KeyId": self.arn })).await;
        listed["Grants"].as_array().cloned().unwrap_or_default()
    }

    /// Of this test alone.
    fn own(&self, name: &str) -> String {
        format!("{name}-{}", &self.arn.rsplit('/').next().unwrap()[..8])
    }
}

fn shape(id: &str, granted: bool) -> Value {
    json!({"id": id, "grants": {"encrypt_grant": granted, "decrypt_grant": granted}})
}

async fn service(house: &House, id: &str) {
    let (status, made) = house.send(Method::PUT, &format!("/v1/services/{id}"), &json!({"credentials": []})).await;
    assert_eq!(status, 200, "{made}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_service_gets_its_grants_and_others_on_demand() {
    let place = Place::new().await;
    let house = place.house(true, false).await;
    let (early, late) = (place.own("early"), place.own("late"));
    place.role(&early).await;
    service(&house, &early).await;
    let path = format!("/v1/grants/{early}");
    assert_eq!(house.get(&path).await, (200, shape(&early, true)));
    let given = place.grants().await;
    let contexts: Vec<&Value> = given.iter().map(|grant| &grant["Constraints"]["EncryptionContextSubset"]).collect();
    assert_eq!(given.len(), 2);
    for (context, operations) in
        [(json!({"from": early}), json!(["Encrypt", "Decrypt"])), (json!({"to": early}), json!(["Decrypt"]))]
    {
        let at =
            contexts.iter().position(|known| **known == context).unwrap_or_else(|| panic!("{context}: {contexts:?}"));
        assert_eq!(given[at]["Operations"], operations);
        let grantee = given[at]["GranteePrincipal"].as_str().unwrap();
        assert!(grantee.ends_with(&format!(":role/{early}")), "{grantee}");
    }
    // What is there is not given again.
    assert_eq!(house.send(Method::PUT, &path, &json!({})).await, (200, shape(&early, true)));
    service(&house, &early).await;
    assert_eq!(place.grants().await.len(), 2);

    // A service stands without its role, and gets its grants when there is one.
    service(&house, &late).await;
    let path = format!("/v1/grants/{late}");
    assert_eq!(house.get(&path).await, (200, shape(&late, false)));
    let (status, refused) = house.send(Method::PUT, &path, &json!({})).await;
    assert_eq!(status, 400);
    assert!(refused["error"].as_str().unwrap().contains("role"), "{refused}");
    place.role(&late).await;
    assert_eq!(house.send(Method::PUT, &path, &json!({})).await, (200, shape(&late, true)));
    assert_eq!(house.get(&path).await, (200, shape(&late, true)));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_only_tokens_of_version_two_count_grants_ask_for_the_sort() {
    let place = Place::new().await;
    let house = place.house(true, true).await;
    let id = place.own("till");
    place.role(&id).await;
    service(&house, &id).await;
    let contexts: Vec<Value> =
        place.grants().await.iter().map(|grant| grant["Constraints"]["EncryptionContextSubset"].clone()).collect();
    assert!(contexts.contains(&json!({"from": id, "user_type": "service"})), "{contexts:?}");
    assert!(contexts.contains(&json!({"to": id})), "{contexts:?}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_management_grants_are_only_looked_at() {
    let place = Place::new().await;
    let looking = place.house(false, false).await;
    let id = place.own("till");
    place.role(&id).await;
    service(&looking, &id).await;
    let path = format!("/v1/grants/{id}");
    assert_eq!(looking.send(Method::PUT, &path, &json!({})).await, (200, shape(&id, false)));
    assert_eq!(place.grants().await.len(), 0);
    looking.close().await;

    let house = House::open().await;
    service(&house, "till").await;
    for method in [Method::GET, Method::PUT] {
        let before = house.recorded().await;
        assert_eq!(house.send(method, "/v1/grants/till", &json!({})).await, (200, shape("till", false)));
        assert_eq!(house.recorded().await - before, 1);
    }
    assert_eq!(house.get("/v1/roles").await, (200, json!({"roles": []})));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_of_what_is_no_service_and_of_a_kms_that_is_away() {
    let mut place = Place::new().await;
    let house = place.house(true, false).await;
    let credential = house.credential("db", json!({"a": "b"})).await;
    for id in ["nothing", credential.as_str()] {
        for method in [Method::GET, Method::PUT] {
            let (status, body) = house.send(method, &format!("/v1/grants/{id}"), &json!({})).await;
            assert_eq!(status, 400, "{id}");
            assert!(body["error"].as_str().unwrap().contains("id"), "{body}");
        }
    }
    let id = place.own("till");
    place.role(&id).await;
    place.proxy.fail(Fault::Refuse("CreateGrant", "AccessDeniedException"));
    service(&house, &id).await;
    let put = |method| house.ops(method, &format!("/v1/grants/{id}")).json(&json!({}));
    let refused = put(Method::PUT).send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    place.proxy.fail(Fault::None);
    place.proxy.down().await;
    assert_eq!(answer(put(Method::GET)).await.0, 503);
    place.proxy.up().await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(answer(put(Method::PUT)).await, (200, shape(&id, true)));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_are_read_once_and_again_when_it_is_time() {
    let place = Place::new().await;
    let (first, second) = (place.own("first"), place.own("second"));
    place.role(&first).await;
    let house = place.house(true, false).await;
    let names = async || {
        let (status, body) = house.get("/v1/roles").await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_value::<Vec<String>>(body["roles"].clone()).unwrap()
    };
    assert!(names().await.contains(&first));
    place.role(&second).await;
    assert!(!names().await.contains(&second), "not asked at every request");
    house.app.roles.refresh().await.unwrap();
    let known = names().await;
    assert!(known.contains(&second) && known.is_sorted(), "{known:?}");
    // Whoever may not list services learns nothing.
    let denied = house.client.get(house.url("/v1/roles")).bearer_auth("none");
    assert_eq!(answer(denied).await.0, 403);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_without_iam_are_somebody_elses_trouble() {
    let place = Place::new().await;
    let roles = Source::Book(Arc::new(place.iam("http://127.0.0.1:1")));
    let house = House::set_up(Setup { rolls: Rolls { roles, ..Rolls::default() }, ..Setup::default() }).await;
    let response = house.ops(Method::GET, "/v1/roles").send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    house.close().await;

    let roles = Source::Fixed(vec!["b".into(), "a".into()]);
    let house = House::set_up(Setup { rolls: Rolls { roles, ..Rolls::default() }, ..Setup::default() }).await;
    assert_eq!(house.get("/v1/roles").await, (200, json!({"roles": ["b", "a"]})));
    house.close().await;
}
