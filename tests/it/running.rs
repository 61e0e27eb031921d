//! `strongroom run` as a whole, on the real API server: what only shows when all parts are together.

use std::path::Path;
use std::time::{Duration, Instant};

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::{Value, json};
use strongroom::k8s::crd::{self, Managed};

use crate::cluster;
use crate::issuer::Issuer;
use crate::process::{Strongroom, binary};

const PATIENCE: Duration = Duration::from_secs(20);

/// The webhook configurations of the local install, for one namespace and under a name of their own, while this lives.
struct Hooks {
    client: Client,
    name: String,
}

impl Hooks {
    async fn install(client: &Client, namespace: &str, port: u16) -> Self {
        let name = format!("strongroom-{namespace}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/webhook-local.yaml");
        let text = std::fs::read_to_string(path).expect("the local install");
        let text = text.replace("127.0.0.1:9443", &format!("127.0.0.1:{port}"));
        let only_here = LabelSelector {
            match_labels: Some([("kubernetes.io/metadata.name".into(), namespace.into())].into()),
            ..LabelSelector::default()
        };
        let parameters = PostParams::default();
        for document in serde_yaml::Deserializer::from_str(&text) {
            let object = serde_yaml::Value::deserialize(document).expect("YAML");
            match object["kind"].as_str() {
                Some("MutatingWebhookConfiguration") => {
                    let mut hooks: MutatingWebhookConfiguration = serde_yaml::from_value(object).expect("hooks");
                    hooks.metadata.name = Some(name.clone());
                    for hook in hooks.webhooks.iter_mut().flatten() {
                        hook.namespace_selector = Some(only_here.clone());
                    }
                    Api::all(client.clone()).create(&parameters, &hooks).await.expect("installed");
                }
                Some("ValidatingWebhookConfiguration") => {
                    let mut hooks: ValidatingWebhookConfiguration = serde_yaml::from_value(object).expect("hooks");
                    hooks.metadata.name = Some(name.clone());
                    for hook in hooks.webhooks.iter_mut().flatten() {
                        hook.namespace_selector = Some(only_here.clone());
                    }
                    Api::all(client.clone()).create(&parameters, &hooks).await.expect("installed");
                }
                _ => {}
            }
        }
        Self { client: client.clone(), name }
    }

    async fn remove(self) {
        let parameters = DeleteParams::default();
        let mutating: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        mutating.delete(&self.name, &parameters).await.expect("removed");
        let validating: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        validating.delete(&self.name, &parameters).await.expect("removed");
    }
}

struct Town {
    client: Client,
    namespace: String,
}

impl Town {
    async fn create<K: Managed>(&self, name: &str, spec: Value) {
        let body =
            json!({"apiVersion": K::api_version(&()), "kind": K::KIND, "metadata": {"name": name}, "spec": spec});
        let resource: K = serde_json::from_value(body).expect("a resource");
        self.api::<K>().create(&PostParams::default(), &resource).await.expect("created");
    }

    fn api<K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn until<K: Managed>(&self, name: &str, is: impl Fn(&K) -> bool) -> K {
        let begun = Instant::now();
        loop {
            let found = self.api::<K>().get(name).await.expect("a resource");
            if is(&found) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{} {name}: {:?}", K::KIND, found.conditions());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn ready<K: Managed>(&self, name: &str) -> K {
        self.until::<K>(name, |it| {
            it.conditions().iter().any(|known| known.type_ == "Ready" && known.status == "True")
                && it.observed_generation() == it.meta().generation
        })
        .await
    }

    async fn secret(&self, name: &str, key: &str) -> String {
        let data = self.api::<Secret>().get(name).await.expect("a Secret").data.expect("data");
        String::from_utf8(data[key].0.clone()).expect("text")
    }

    /// A token of this ServiceAccount, for this audience.
    async fn token(&self, account: &str, audience: &str) -> String {
        let request = TokenRequest {
            spec: TokenRequestSpec { audiences: vec![audience.into()], ..TokenRequestSpec::default() },
            ..TokenRequest::default()
        };
        let api = self.api::<ServiceAccount>();
        let answer = api.create_token_request(account, &PostParams::default(), &request).await.expect("a token");
        answer.status.expect("a status").token
    }

    async fn may_read_services(&self, account: &str) {
        let rule = PolicyRule {
            api_groups: Some(vec![crd::GROUP.into()]),
            resources: Some(vec!["services/value".into()]),
            verbs: vec!["get".into()],
            ..PolicyRule::default()
        };
        let mut role = Role { rules: Some(vec![rule]), ..Role::default() };
        role.metadata.name = Some("reader".into());
        self.api::<Role>().create(&PostParams::default(), &role).await.expect("a role");
        let mut binding = RoleBinding {
            role_ref: RoleRef {
                api_group: "rbac.authorization.k8s.io".into(),
                kind: "Role".into(),
                name: "reader".into(),
            },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".into(),
                name: account.into(),
                namespace: Some(self.namespace.clone()),
                ..Subject::default()
            }]),
            ..RoleBinding::default()
        };
        binding.metadata.name = Some("reader".into());
        self.api::<RoleBinding>().create(&PostParams::default(), &binding).await.expect("a binding");
    }
}

#[tokio::test]
async fn everything_together_from_apply_to_each_caller() {
    let turn = cluster::turn().await;
    let client = turn.cluster.client().await;
    let namespace = cluster::namespace(&client, "running").await;
    let town = Town { client: client.clone(), namespace };
    let mut strongroom = Strongroom::new(Some(&turn.cluster.kubeconfig()));
    let hooks = Hooks::install(&client, &town.namespace, strongroom.webhook).await;
    strongroom.set("STRONGROOM_WEBHOOK_CONFIG", Some(&hooks.name));
    // Another issuer of tokens beside the cluster.
    let (issuer, settings) = (Issuer::start().await, tempfile::tempdir().expect("a folder"));
    let [root, config] = ["root.pem", "config.yaml"].map(|name| settings.path().join(name));
    let issuers = json!([{"url": issuer.url(), "caFile": root}]);
    std::fs::write(&root, issuer.root()).expect("a file");
    std::fs::write(&config, json!({"credhub": {"auth": {"issuers": issuers}}}).to_string()).expect("a file");
    strongroom.set("STRONGROOM_CONFIG", config.to_str());
    strongroom.start().await;

    let found = binary()
        .args(["check", "--data-dir", &strongroom.data.display().to_string(), "--webhook-config", &hooks.name])
        .env("KUBECONFIG", turn.cluster.kubeconfig())
        .output()
        .expect("the binary");
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    for what in ["settings", "store", "key", "api server", "crds", "rights", "webhook"] {
        assert!(found.contains(&format!("ok    {what}")), "{found}");
    }

    town.create::<crd::Credential>("db", json!({"type": "User", "source": {"generate": {}}})).await;
    town.create::<crd::ClientCredential>("till", json!({"type": "Basic"})).await;
    let service = json!({"credentials": [{"name": "db"}], "clients": [{"name": "till"}]});
    town.create::<crd::Service>("shop", service).await;
    town.ready::<crd::Service>("shop").await;
    town.ready::<crd::ClientCredential>("till").await;
    let (username, password) = (town.secret("till", "username").await, town.secret("till", "password").await);
    let path = strongroom.url(&format!("/v1/services/{}.shop", town.namespace));
    let caller = strongroom.caller(None);

    let as_till = async || {
        let answer = caller.get(&path).basic_auth(&username, Some(&password)).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    let (status, answer) = as_till().await;
    assert_eq!(status, 200, "{answer}");
    let value = town.secret("db", "password").await;
    assert!(answer.contains(&serde_json::to_string(&value).expect("JSON")));

    // Suspended: refused at the next request, and welcome again when it is active.
    for (state, expected) in [("Suspended", 403), ("Active", 200), ("Revoked", 403)] {
        let patch = Patch::Merge(json!({"spec": {"state": state}}));
        let api = town.api::<crd::ClientCredential>();
        api.patch("till", &PatchParams::default(), &patch).await.expect("changed");
        town.until::<crd::ClientCredential>("till", |it| {
            let shown = it.status.as_ref().and_then(|status| status.state).map(|state| format!("{state:?}"));
            shown.as_deref() == Some(state)
        })
        .await;
        assert_eq!(as_till().await.0, expected, "{state}");
    }

    // A ServiceAccount reads what RBAC lets it, with a token that is meant for Strongroom.
    for account in ["reader", "stranger"] {
        let mut made = ServiceAccount::default();
        made.metadata.name = Some(account.into());
        town.api::<ServiceAccount>().create(&PostParams::default(), &made).await.expect("an account");
    }
    town.may_read_services("reader").await;
    let cases = [
        ("reader", "strongroom.dev", 200),
        ("stranger", "strongroom.dev", 403),
        ("reader", "https://kubernetes.default.svc", 403),
    ];
    for (account, audience, expected) in cases {
        let token = town.token(account, audience).await;
        let answer = caller.get(&path).bearer_auth(&token).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), expected, "{account} {audience}");
        assert!(!strongroom.log().contains(&token));
    }

    let of_issuer = issuer.token(&issuer.claims("till"));
    for token in [town.token("reader", "strongroom.dev").await, of_issuer] {
        let answer = caller.get(strongroom.url("/version")).bearer_auth(token).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    // What was put into Secrets is recorded as what callers read is: once each.
    let audit = binary().args(["audit", "tail", "--lines", "1000", "--data-dir"]).arg(&strongroom.data).output();
    let audit = String::from_utf8_lossy(&audit.expect("the binary").stdout).into_owned();
    // And each refusal once: of whom is not known after Revoked and Suspended, of the token for somebody else, of rights.
    for (refused, times) in [
        (r#""scheme":"basic","from":"127.0.0.1","action":"authenticate","outcome":"denied""#, 2),
        (r#""scheme":"service-account","from":"127.0.0.1","action":"authenticate","outcome":"denied""#, 1),
        (r#":stranger","scheme":"service-account","from":"127.0.0.1","action":"read","class":"service""#, 1),
    ] {
        assert_eq!(audit.matches(refused).count(), times, "{refused} in {audit}");
    }
    for (owner, name) in [("Credential", "db"), ("Service", "shop"), ("ClientCredential", "till")] {
        let shown =
            format!(r#""action":"show","name":"Secret {0}/{name}","with":[["{owner} {0}/{name}",1]]"#, town.namespace);
        assert_eq!(audit.matches(&shown).count(), 1, "{shown} in {audit}");
    }

    let metrics = reqwest::get(format!("http://127.0.0.1:{}/metrics", strongroom.admin)).await.expect("an answer");
    let metrics = metrics.text().await.expect("text");
    assert!(metrics.contains("strongroom_http_requests_total") && metrics.contains("strongroom_admissions_total"));
    for text in [strongroom.log(), metrics] {
        assert!(!text.contains(&value) && !text.contains(&password), "a value in {text}");
    }
    assert_eq!(strongroom.stop().await.code(), Some(0), "{}", strongroom.log());
    hooks.remove().await;
}
