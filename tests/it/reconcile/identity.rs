//! Tokens and rights as the real API server sees them.

use std::sync::Arc;

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::PostParams;
use serde_json::{Value, json};
use strongroom::adapters::identity::{KubernetesIdentity, ServiceAccounts};
use strongroom::adapters::system::SystemClock;
use strongroom::app::ports::{Identify, Review, RoleBook};
use strongroom::domain::actor::Actor;
use strongroom::domain::name::Tenant;
use strongroom::domain::permission::{Action, Target};
use strongroom::domain::record::Class;
use strongroom::domain::secret::SecretText;

use super::operator::{Ground, eventually};

async fn token(ground: &Ground, audience: &str) -> SecretText {
    let request = json!({"spec": {"audiences": [audience], "expirationSeconds": 600}});
    let request: TokenRequest = serde_json::from_value(request).expect("a request");
    let api = ground.api::<ServiceAccount>();
    let answer = api.create_token_request("till", &PostParams::default(), &request).await.expect("a token");
    SecretText::new(answer.status.expect("a status").token)
}

async fn make<K>(ground: &Ground, body: Value)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + serde::Serialize
        + serde::de::DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let object: K = serde_json::from_value(body).expect("an object");
    ground.api::<K>().create(&PostParams::default(), &object).await.expect("created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_is_known_by_its_token_and_may_what_rbac_allows() {
    let ground = Ground::new("identity").await;
    make::<ServiceAccount>(&ground, json!({"metadata": {"name": "till"}})).await;
    let rules = json!([{"apiGroups": ["strongroom.dev"], "resources": ["credentials/value"], "verbs": ["get"], "resourceNames": ["db"]}]);
    make::<Role>(&ground, json!({"metadata": {"name": "reads"}, "rules": rules})).await;
    let subjects = json!([{"kind": "ServiceAccount", "name": "till", "namespace": ground.namespace}]);
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads"});
    make::<RoleBinding>(&ground, json!({"metadata": {"name": "reads"}, "subjects": subjects, "roleRef": role})).await;

    let identity =
        || async { KubernetesIdentity::new(ground.limited_client().await, "strongroom.dev", Arc::new(SystemClock)) };
    let known = identity().await;
    let good = token(&ground, "strongroom.dev").await;
    let till = known.identify(&good).await.expect("an answer").expect("an actor");
    assert_eq!(till.id, format!("system:serviceaccount:{}:till", ground.namespace));
    assert_eq!(till.tenant, Tenant::namespace(&ground.namespace));
    for bad in [token(&ground, "somebody-else").await, SecretText::new(format!("{}x", good.expose())), "x".into()] {
        assert!(known.identify(&bad).await.expect("an answer").is_none());
    }

    let tenant = Tenant::namespace(&ground.namespace);
    let path = |name: &str| format!("/kubernetes/{}/{name}", ground.namespace);
    let ask = async |actor: &Actor, action, class, tenant: &Tenant, name: &str| {
        // A new one each time: nothing is remembered.
        let target = Target::new(class, tenant, name);
        identity().await.allows(actor, action, &target).await.expect("an answer")
    };
    let db = path("db");
    let get = async || ask(&till, Action::Get, Class::Credential, &tenant, &db).await;
    eventually(get, |allowed| *allowed).await;
    assert!(!ask(&till, Action::Get, Class::Credential, &tenant, &path("mail")).await);
    assert!(!ask(&till, Action::Update, Class::Credential, &tenant, &db).await);
    assert!(!ask(&till, Action::Metadata, Class::Credential, &tenant, &db).await);
    assert!(!ask(&till, Action::List, Class::Credential, &tenant, "").await);
    assert!(!ask(&till, Action::Get, Class::Service, &tenant, &format!("{}.db", ground.namespace)).await);
    assert!(!ask(&till, Action::Get, Class::Credential, &Tenant::outside(), "/confidant/db").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_caller_costs_one_review() {
    let ground = Ground::new("busy").await;
    make::<ServiceAccount>(&ground, json!({"metadata": {"name": "till"}})).await;
    let identity = KubernetesIdentity::new(ground.limited_client().await, "strongroom.dev", Arc::new(SystemClock));
    let token = token(&ground, "strongroom.dev").await;
    let reviews = || ground.asked_everywhere().iter().filter(|it| it.resource.ends_with("reviews")).count();
    let before = reviews();
    let tenant = Tenant::namespace(&ground.namespace);
    for _ in 0..50 {
        let actor = identity.identify(&token).await.expect("an answer").expect("an actor");
        let target = Target::new(Class::Credential, &tenant, "/a");
        assert!(!identity.allows(&actor, Action::Get, &target).await.expect("an answer"));
        assert!(identity.identify(&SecretText::from("a.b.c")).await.expect("an answer").is_none());
    }
    eventually(async || reviews() - before, |count| *count >= 3).await;
    assert_eq!(reviews() - before, 3);
}

/// The names of a page's roles where the settings say `rolesFrom: cluster`. It takes a right that the install does not
/// give; without it the answer says whom to ask.
#[tokio::test(flavor = "multi_thread")]
async fn roles_are_the_service_accounts_of_the_cluster() {
    let ground = Ground::new("roles").await;
    for name in ["till", "gate"] {
        make::<ServiceAccount>(&ground, json!({"metadata": {"name": name}})).await;
    }
    let found = ServiceAccounts::new(ground.client.clone()).names().await.expect("names");
    let own = |name: &str| format!("{}.{name}", ground.namespace);
    let own_ones: Vec<&String> =
        found.iter().filter(|name| name.starts_with(&format!("{}.", ground.namespace))).collect();
    assert!(own_ones.contains(&&own("gate")) && own_ones.contains(&&own("till")), "{own_ones:?}");
    assert!(found.is_sorted());
    let refused = ServiceAccounts::new(ground.limited_client().await).names().await.expect_err("no right");
    assert!(
        refused.retryable() && refused.detail().is_some_and(|detail| detail.contains("serviceaccounts")),
        "{refused:?}"
    );
}
