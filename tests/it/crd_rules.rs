//! What the API server refuses by the CRDs alone, a row of `crd_rules/*.yaml` for each rule, and what it takes.

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::GroupVersionKind;
use kube::{Api, Client, CustomResourceExt};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use strongroom::k8s::crd;

use crate::cluster;

#[derive(Deserialize)]
struct Refused {
    kind: String,
    what: String,
    spec: Value,
    field: String,
    says: String,
}

#[derive(Deserialize)]
struct ChangeRefused {
    kind: String,
    what: String,
    before: Value,
    after: Value,
    field: String,
    says: String,
}

#[derive(Deserialize)]
struct ChangeAccepted {
    kind: String,
    what: String,
    before: Value,
    after: Value,
}

#[derive(Deserialize)]
struct Accepted {
    kind: String,
    what: String,
    spec: Value,
}

fn rows<T: DeserializeOwned>(yaml: &str) -> Vec<T> {
    let rows: Vec<T> = serde_yaml::from_str(yaml).expect("rows");
    assert!(!rows.is_empty());
    rows
}

fn refused() -> Vec<Refused> {
    rows(include_str!("crd_rules/refused.yaml"))
}

fn changes_refused() -> Vec<ChangeRefused> {
    rows(include_str!("crd_rules/changes_refused.yaml"))
}

fn changes_accepted() -> Vec<ChangeAccepted> {
    rows(include_str!("crd_rules/changes_accepted.yaml"))
}

fn accepted() -> Vec<Accepted> {
    rows(include_str!("crd_rules/accepted.yaml"))
}

const NAME: &str = "sample";

fn object(kind: &str, spec: &Value) -> DynamicObject {
    let gvk = GroupVersionKind::gvk(crd::GROUP, "v1alpha1", kind);
    DynamicObject::new(NAME, &ApiResource::from_gvk(&gvk)).data(json!({"spec": spec}))
}

fn api(client: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let resource = match kind {
        "Credential" => crd::Credential::api_resource(),
        "Service" => crd::Service::api_resource(),
        "CertificateAuthority" => crd::CertificateAuthority::api_resource(),
        "ClientCredential" => crd::ClientCredential::api_resource(),
        other => panic!("no such kind: {other}"),
    };
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// What is wrong with the answer; nothing when the refusal names the field and says what to do.
fn complaint(answer: Result<DynamicObject, kube::Error>, field: &str, says: &str) -> Option<String> {
    match answer {
        Ok(_) => Some("accepted".to_owned()),
        Err(kube::Error::Api(status))
            if status.message.contains(&format!("{field}: ")) && status.message.contains(says) =>
        {
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

fn nothing(complaints: &[String]) {
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test]
async fn what_a_rule_forbids_is_refused_by_the_name_of_its_field() {
    let client = cluster::SHARED.client().await;
    let namespace = cluster::namespace(&client, "refused").await;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let mut complaints = Vec::new();
    for Refused { kind, what, spec, field, says } in refused() {
        let answer = api(&client, &namespace, &kind).create(&dry_run, &object(&kind, &spec)).await;
        complaints.extend(complaint(answer, &field, &says).map(|wrong| format!("{kind}: {what}: {wrong}")));
    }
    nothing(&complaints);
}

#[tokio::test]
async fn what_cannot_change_is_refused_by_the_name_of_its_field() {
    let client = cluster::SHARED.client().await;
    let mut complaints = Vec::new();
    for ChangeRefused { kind, what, before, after, field, says } in changes_refused() {
        let answer = change(&client, &kind, &before, &after).await;
        complaints.extend(complaint(answer, &field, &says).map(|wrong| format!("{kind}: {what}: {wrong}")));
    }
    nothing(&complaints);
}

#[tokio::test]
async fn what_may_change_is_accepted() {
    let client = cluster::SHARED.client().await;
    for ChangeAccepted { kind, what, before, after } in changes_accepted() {
        change(&client, &kind, &before, &after).await.unwrap_or_else(|error| panic!("{kind}: {what}: {error}"));
    }
}

async fn change(client: &Client, kind: &str, before: &Value, after: &Value) -> Result<DynamicObject, kube::Error> {
    let namespace = cluster::namespace(client, "changed").await;
    let api = api(client, &namespace, kind);
    let created = api.create(&PostParams::default(), &object(kind, before)).await?;
    let mut edited = object(kind, after);
    edited.metadata = created.metadata;
    api.replace(NAME, &PostParams::default(), &edited).await
}

/// Strict, so that a field which the CRD does not have is an error here and not silently dropped.
fn strict_dry_run() -> PatchParams {
    let params = PatchParams { dry_run: true, ..PatchParams::apply("tests") };
    PatchParams { field_validation: Some(ValidationDirective::Strict), ..params }
}

#[tokio::test]
async fn what_the_guides_show_is_accepted() {
    let client = cluster::SHARED.client().await;
    let namespace = cluster::namespace(&client, "accepted").await;
    for Accepted { kind, what, spec } in accepted() {
        let api = api(&client, &namespace, &kind);
        let answer = api.patch(NAME, &strict_dry_run(), &Patch::Apply(&object(&kind, &spec))).await;
        answer.unwrap_or_else(|error| panic!("{kind}: {what}: {error}"));
    }
}

#[tokio::test]
async fn every_sample_is_accepted() {
    let client = cluster::SHARED.client().await;
    let namespace = cluster::namespace(&client, "samples").await;
    let samples = samples();
    assert!(!samples.is_empty());
    for mut sample in samples {
        let kind = sample.types.as_ref().map(|types| types.kind.clone()).expect("a kind");
        let name = sample.metadata.name.clone().expect("a name");
        sample.metadata.namespace = Some(namespace.clone());
        let answer = api(&client, &namespace, &kind).patch(&name, &strict_dry_run(), &Patch::Apply(&sample)).await;
        answer.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }
}

/// Strongroom's own resources under `manifests/samples`.
fn samples() -> Vec<DynamicObject> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/samples");
    let files = std::fs::read_dir(folder).into_iter().flatten().map(|file| file.expect("a file").path());
    let texts = files
        .filter(|file| file.extension().is_some_and(|end| end == "yaml"))
        .map(|file| std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
    let documents = texts.flat_map(|text| {
        let documents = serde_yaml::Deserializer::from_str(&text).map(Value::deserialize);
        documents.map(|document| document.expect("YAML")).collect::<Vec<_>>()
    });
    let ours = documents.filter(|it| it["apiVersion"].as_str().is_some_and(|version| version.starts_with(crd::GROUP)));
    ours.map(|document| serde_json::from_value(document).expect("an object")).collect()
}

#[tokio::test]
async fn a_tag_that_is_there_twice_is_refused_by_apply_too() {
    let client = cluster::SHARED.client().await;
    let namespace = cluster::namespace(&client, "tags").await;
    let twice = object("Credential", &json!({"type": "Value", "source": {"stored": {}}, "tags": ["a", "a"]}));
    let answer = api(&client, &namespace, "Credential").patch(NAME, &strict_dry_run(), &Patch::Apply(&twice)).await;
    assert_eq!(complaint(answer, ".spec.tags", "duplicate"), None);
}

#[tokio::test]
async fn what_the_api_server_stores_is_what_was_written() {
    let client = cluster::SHARED.client().await;
    let namespace = cluster::namespace(&client, "drift").await;
    for Accepted { kind, what, spec } in accepted() {
        let written = object(&kind, &spec);
        let api = api(&client, &namespace, &kind);
        let stored = api.create(&PostParams { dry_run: true, ..PostParams::default() }, &written).await;
        let stored = stored.unwrap_or_else(|error| panic!("{kind}: {what}: {error}"));
        assert_eq!(stored.data["spec"], written.data["spec"], "{kind}: {what}");
    }
}

#[tokio::test]
async fn null_is_stored_as_a_field_that_is_left_out() {
    let client = cluster::SHARED.client().await;
    let namespace = cluster::namespace(&client, "null").await;
    let object = object("Credential", &json!({"type": "Value", "source": {"stored": {}}, "enabled": null}));
    let created = api(&client, &namespace, "Credential").create(&PostParams::default(), &object).await;
    assert_eq!(created.expect("accepted").data["spec"], json!({"type": "Value", "source": {"stored": {}}}));
}

/// A rule without a row would be a rule that nobody has seen refuse anything.
#[test]
fn every_rule_has_a_row() {
    let rows = refused().into_iter().map(|row| (row.kind, row.says));
    let changes = changes_refused().into_iter().map(|row| (row.kind, row.says));
    let seen: Vec<(String, String)> = rows.chain(changes).collect();
    for crd in crd::all() {
        let kind = &crd.spec.names.kind;
        let mut messages = Vec::new();
        collect_messages(schema(&crd), &mut messages);
        assert!(!messages.is_empty(), "{kind} has rules");
        for message in messages {
            let has_a_row = seen.iter().any(|(of, says)| of == kind && message.contains(says.as_str()));
            assert!(has_a_row, "{kind}: no row for the rule: {message}");
        }
    }
}

/// Together with the strict validation above: a field that no accepted row uses is one that nobody has seen work.
#[test]
fn every_field_of_the_specs_is_in_an_accepted_row() {
    for crd in crd::all() {
        let kind = &crd.spec.names.kind;
        let specs: Vec<Value> = accepted().into_iter().filter(|row| row.kind == *kind).map(|row| row.spec).collect();
        let spec = schema(&crd).properties.as_ref().and_then(|properties| properties.get("spec")).expect("a spec");
        let mut unused = Vec::new();
        collect_unused("spec", spec, &specs.iter().collect::<Vec<_>>(), &mut unused);
        assert!(unused.is_empty(), "{kind}: no accepted row uses {}", unused.join(", "));
    }
}

fn schema(crd: &CustomResourceDefinition) -> &JSONSchemaProps {
    let validation = crd.spec.versions[0].schema.as_ref().expect("a validation");
    validation.open_api_v3_schema.as_ref().expect("a schema")
}

fn collect_messages(schema: &JSONSchemaProps, messages: &mut Vec<String>) {
    let rules = schema.x_kubernetes_validations.iter().flatten();
    messages.extend(rules.map(|rule| rule.message.clone().expect("a rule says what to do")));
    for property in schema.properties.iter().flat_map(|properties| properties.values()) {
        collect_messages(property, messages);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        collect_messages(items, messages);
    }
}

fn collect_unused(path: &str, schema: &JSONSchemaProps, values: &[&Value], unused: &mut Vec<String>) {
    for (name, property) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        let present: Vec<&Value> = values.iter().filter_map(|value| value.get(name)).collect();
        if present.is_empty() {
            unused.push(path.clone());
        }
        collect_unused(&path, property, &present, unused);
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &property.items {
            let items_present: Vec<&Value> = present.iter().filter_map(|value| value.as_array()).flatten().collect();
            collect_unused(&path, items, &items_present, unused);
        }
    }
}
