//! What pods are started with, as their template says it: the Services that the webhook gives them, and the Secrets and
//! ConfigMaps that they name themselves.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec, Volume};

use crate::k8s::projection::Shelf;
use crate::k8s::webhook::wish;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    Service(String),
    Object(Shelf, String),
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(f, "Service/{name}"),
            Self::Object(shelf, name) => write!(f, "{}/{name}", shelf.kind()),
        }
    }
}

pub fn wants(template: &PodTemplateSpec) -> BTreeSet<Want> {
    let mut wants = BTreeSet::new();
    // A wish that cannot be read is told to whoever makes the pods, by the webhook.
    let wish = template.metadata.as_ref().and_then(|metadata| wish::read(metadata).ok().flatten());
    wants.extend(wish.into_iter().flat_map(|wish| wish.services).map(Want::Service));
    if let Some(spec) = &template.spec {
        containers(spec).for_each(|container| wants.extend(environment(container)));
        spec.volumes.iter().flatten().for_each(|volume| wants.extend(files(volume)));
    }
    wants
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.containers.iter().chain(spec.init_containers.iter().flatten())
}

fn secret(name: String) -> Want {
    Want::Object(Shelf::Secrets, name)
}

fn config_map(name: String) -> Want {
    Want::Object(Shelf::ConfigMaps, name)
}

fn environment(container: &Container) -> Vec<Want> {
    let whole = container.env_from.iter().flatten();
    let single = container.env.iter().flatten().filter_map(|it| it.value_from.as_ref());
    let mut wants = Vec::new();
    for source in whole {
        wants.extend(source.secret_ref.as_ref().map(|it| secret(it.name.clone())));
        wants.extend(source.config_map_ref.as_ref().map(|it| config_map(it.name.clone())));
    }
    for source in single {
        wants.extend(source.secret_key_ref.as_ref().map(|it| secret(it.name.clone())));
        wants.extend(source.config_map_key_ref.as_ref().map(|it| config_map(it.name.clone())));
    }
    wants
}

fn files(volume: &Volume) -> Vec<Want> {
    let mut wants = Vec::new();
    wants.extend(volume.secret.iter().filter_map(|it| it.secret_name.clone()).map(secret));
    wants.extend(volume.config_map.iter().map(|it| config_map(it.name.clone())));
    for source in volume.projected.iter().flat_map(|it| it.sources.iter().flatten()) {
        wants.extend(source.secret.iter().map(|it| secret(it.name.clone())));
        wants.extend(source.config_map.iter().map(|it| config_map(it.name.clone())));
    }
    wants
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn named(template: Value) -> Vec<String> {
        let template: PodTemplateSpec = serde_json::from_value(template).expect("a template");
        wants(&template).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn services_of_the_webhook_are_wanted_by_who_asks_for_them() {
        let annotations = json!({"strongroom.dev/services": "till, mail"});
        let asks = json!({"metadata": {"labels": {"strongroom.dev/inject": "true"}, "annotations": annotations}});
        assert_eq!(named(asks), ["Service/mail", "Service/till"]);
        assert!(named(json!({"metadata": {"annotations": annotations}})).is_empty());
        assert!(named(json!({})).is_empty());
    }

    #[test]
    fn every_way_to_name_a_secret_counts() {
        let spec = json!({
            "containers": [{"name": "a", "envFrom": [{"secretRef": {"name": "s1"}}, {"configMapRef": {"name": "c1"}}]}],
            "initContainers": [{"name": "b", "env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s2", "key": "k"}}},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c2", "key": "k"}}},
                {"name": "C", "value": "plain"}]}],
            "volumes": [{"name": "v", "secret": {"secretName": "s3"}}, {"name": "w", "configMap": {"name": "c3"}},
                {"name": "x", "projected": {"sources": [{"secret": {"name": "s4"}}, {"configMap": {"name": "c4"}}]}},
                {"name": "y", "emptyDir": {}}],
        });
        let expected = [
            "Secret/s1",
            "Secret/s2",
            "Secret/s3",
            "Secret/s4",
            "ConfigMap/c1",
            "ConfigMap/c2",
            "ConfigMap/c3",
            "ConfigMap/c4",
        ];
        assert_eq!(named(json!({"spec": spec})), expected);
    }
}
