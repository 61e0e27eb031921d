//! What the code says it needs at the API server, and what the plain install grants: the same, to the verb.

use std::collections::BTreeSet;
use std::path::Path;

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde::Deserialize;
use strongroom::k8s::rights::{LEADING, RIGHTS, Right};

/// Group, resource with its subresource, verb, and whether it is for one name only.
type Grant = (String, String, String, bool);

fn needed(rights: &[Right]) -> BTreeSet<Grant> {
    let grants = rights.iter().flat_map(|right| {
        let resource = match right.subresource {
            Some(part) => format!("{}/{part}", right.resource),
            None => right.resource.to_owned(),
        };
        right.verbs.iter().map(move |verb| (right.group.into(), resource.clone(), (*verb).to_owned(), right.named))
    });
    grants.collect()
}

/// By the role of this kind in one of the generated manifests.
fn granted(manifest: &str, kind: &str) -> BTreeSet<Grant> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(manifest);
    let text = std::fs::read_to_string(path).expect("a manifest");
    let mut grants = BTreeSet::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let object = serde_yaml::Value::deserialize(document).expect("YAML");
        let named = |name: &str, value: &str| object[name].as_str() == Some(value);
        if !named("kind", kind) || object["metadata"]["name"].as_str() != Some("strongroom") {
            continue;
        }
        let rules: Vec<PolicyRule> = serde_yaml::from_value(object["rules"].clone()).expect("rules");
        for rule in rules {
            let only_named = rule.resource_names.is_some_and(|names| !names.is_empty());
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    grants.extend(
                        rule.verbs.iter().map(|verb| (group.clone(), resource.clone(), verb.clone(), only_named)),
                    );
                }
            }
        }
    }
    grants
}

#[test]
fn the_install_grants_what_the_code_needs_and_nothing_else() {
    assert!(needed(RIGHTS).len() > 30);
    for manifest in ["manifests/install.yaml", "tests/manifests/rendered/replicas.yaml"] {
        assert_eq!(granted(manifest, "ClusterRole"), needed(RIGHTS), "{manifest}");
    }
}

#[test]
fn several_replicas_may_keep_their_lease_and_a_single_one_needs_none() {
    assert_eq!(granted("tests/manifests/rendered/replicas.yaml", "Role"), needed(LEADING));
    assert!(granted("manifests/install.yaml", "Role").is_empty());
}
