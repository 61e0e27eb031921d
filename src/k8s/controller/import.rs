//! Reads the value of a credential from a Secret that is somebody else's. The Secret stays as it is.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;

use crate::domain::credential::{Field, Form, Kind, Material};
use crate::domain::secret::{SecretBytes, SecretText};
use crate::k8s::controller::Visit;
use crate::k8s::crd::SecretReference;
use crate::k8s::failure::Failure;

/// Whatever is wrong with the Secret can change without this resource: all of it is waited for.
fn awaiting(name: &str, why: impl std::fmt::Display) -> Failure {
    Failure::wait("AwaitingSecret", format!("spec.source.secretRef: Secret {name} {why}"))
}

pub async fn material(visit: &Visit<'_>, reference: &SecretReference, kind: Kind) -> Result<Material, Failure> {
    let name = reference.name.as_str();
    let found = visit.desk.applier.read_secret(&visit.owner().namespace, name).await?;
    let data = found.ok_or_else(|| awaiting(name, "does not exist"))?.data.unwrap_or_default();
    read(data, reference, kind)
}

fn read(mut data: BTreeMap<String, ByteString>, reference: &SecretReference, kind: Kind) -> Result<Material, Failure> {
    let name = reference.name.as_str();
    let keys = keys(&data, reference, kind);
    let mut fields = Vec::with_capacity(keys.len());
    for (field, key, required) in keys {
        match data.remove(&key) {
            Some(ByteString(bytes)) => {
                let value = SecretBytes::new(bytes).into_text().ok_or_else(|| {
                    awaiting(name, format_args!("has something else than UTF-8 text under key {key}"))
                })?;
                fields.push(Field { name: field, form: Form::Text, value });
            }
            None if required => return Err(awaiting(name, format_args!("has no key {key}"))),
            None => {}
        }
    }
    let material = Material::new(fields);
    if kind == Kind::Json && !material.fields().iter().all(|field| is_json(&field.value)) {
        return Err(awaiting(name, "does not hold JSON"));
    }
    material.check(kind).map_err(|error| awaiting(name, format_args!("is not usable: {error}")))?;
    Ok(material)
}

/// Field, key in the Secret, whether it must be there.
fn keys(data: &BTreeMap<String, ByteString>, reference: &SecretReference, kind: Kind) -> Vec<(String, String, bool)> {
    if kind == Kind::Pairs {
        return data.keys().map(|key| (key.clone(), key.clone(), true)).collect();
    }
    let chosen = reference.key.as_ref().map(|key| key.as_str());
    let field = |spec: &crate::domain::credential::kind::FieldSpec| {
        (spec.name.to_owned(), chosen.unwrap_or(spec.secret_key).to_owned(), spec.required)
    };
    kind.fields().iter().map(field).collect()
}

fn is_json(text: &SecretText) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text.expose()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(keys: &[(&str, &[u8])]) -> BTreeMap<String, ByteString> {
        keys.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect()
    }

    fn from(key: Option<&str>) -> SecretReference {
        SecretReference { name: "legacy".into(), key: key.map(Into::into) }
    }

    fn refusal(keys: &[(&str, &[u8])], kind: Kind) -> String {
        read(secret(keys), &from(None), kind).unwrap_err().message
    }

    #[test]
    fn each_type_is_read_under_the_keys_of_its_own_secrets() {
        let tls: &[(&str, &[u8])] = &[("tls.crt", b"c"), ("tls.key", b"k"), ("other", b"x")];
        let material = read(secret(tls), &from(None), Kind::Certificate).unwrap();
        assert_eq!(material.names().collect::<Vec<_>>(), ["certificate", "private_key"]);
        let pairs = read(secret(&[("B", b"2"), ("A", b"1")]), &from(None), Kind::Pairs).unwrap();
        assert_eq!(pairs.names().collect::<Vec<_>>(), ["A", "B"]);
    }

    #[test]
    fn a_chosen_key_holds_the_only_field() {
        let material = read(secret(&[("DB_PASSWORD", b"p")]), &from(Some("DB_PASSWORD")), Kind::Password).unwrap();
        assert_eq!(material.get("password"), Some(&"p".into()));
    }

    #[test]
    fn what_cannot_be_used_is_said_by_key_and_never_by_value() {
        assert!(refusal(&[("username", b"u")], Kind::User).ends_with("has no key password"));
        assert!(refusal(&[("value", b"hunter2\xff")], Kind::Value).contains("UTF-8 text under key value"));
        assert!(refusal(&[], Kind::Pairs).contains("pairs must have at least one key"));
        let json = refusal(&[("value", b"{hunter2")], Kind::Json);
        assert!(json.ends_with("does not hold JSON") && !json.contains("hunter2"));
    }
}
