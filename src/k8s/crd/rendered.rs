//! The four CRDs as objects and as the YAML under `crds/`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use super::{CertificateAuthority, ClientCredential, Credential, Service};

/// The CRDs, in the order in which `strongroom crds` prints them.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    [Credential::crd(), Service::crd(), CertificateAuthority::crd(), ClientCredential::crd()].map(tidied).into()
}

/// All CRDs as one YAML stream: what `strongroom crds` prints and `kubectl apply -f -` takes.
///
/// # Panics
/// Never: a CRD is plain data.
#[must_use]
pub fn manifest() -> String {
    all().iter().map(|crd| format!("---\n{}", yaml(crd))).collect()
}

fn yaml(crd: &CustomResourceDefinition) -> String {
    serde_yaml::to_string(crd).expect("a CRD is plain data")
}

fn tidied(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            tidy(schema);
        }
    }
    crd
}

/// Optional fields come out of schemars as nullable. Left so, the API server would store `field: null`, which every rule
/// would have to know beside a field that is left out; without, it drops the null. Descriptions come with the line
/// breaks of the source, which `kubectl explain` would keep.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.description = schema.description.take().map(|text| text.replace('\n', " "));
    if let Some(values) = &mut schema.enum_ {
        values.retain(|value| !value.0.is_null());
    }
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(tidy);
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => tidy(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(tidy),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_checked_in_crds_are_the_generated_ones() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
        for crd in all() {
            let file = folder.join(format!("{}.yaml", crd.spec.names.plural));
            let generated = format!("# Generated from src/k8s/crd: UPDATE_GENERATED=1 cargo test crd\n{}", yaml(&crd));
            if std::env::var_os("UPDATE_GENERATED").is_some() {
                std::fs::write(&file, &generated).expect("crds/ can be written");
            }
            let checked_in = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(checked_in == generated, "{} is old: run UPDATE_GENERATED=1 cargo test crd", file.display());
        }
    }

    #[test]
    fn no_schema_has_a_default_or_takes_null() {
        for crd in all() {
            let text = serde_json::to_string(&crd).expect("plain data");
            assert!(!text.contains("\"default\":") && !text.contains("null"), "{}", crd.spec.names.kind);
        }
    }

    #[test]
    fn every_field_is_described() {
        fn walk(path: &str, schema: &JSONSchemaProps) {
            for (name, field) in schema.properties.iter().flatten() {
                let path = format!("{path}.{name}");
                let generic = ["apiVersion", "kind", "metadata"].contains(&name.as_str());
                assert!(generic || field.description.is_some(), "{path} has no description");
                walk(&path, field);
                if let Some(JSONSchemaPropsOrArray::Schema(items)) = &field.items {
                    walk(&path, items);
                }
            }
        }
        for crd in all() {
            let schema = crd.spec.versions[0].schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
            walk(&crd.spec.names.kind, schema.expect("a schema"));
        }
    }
}
