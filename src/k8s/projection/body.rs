//! What is sent to the API server: a whole new object, or the patch that is bound to what we saw.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::k8s::failure::{Failure, Next};
use crate::k8s::label;
use crate::k8s::projection::held::Held;
use crate::k8s::projection::plan::{self, Author, Reason};
use crate::k8s::projection::{Item, Projection, Sort};

pub(super) fn created(author: &Author, wish: &Projection) -> Result<Value, Failure> {
    let mut metadata = described(author, wish);
    metadata.insert("name".into(), json!(wish.name));
    metadata.insert("namespace".into(), json!(author.owner.namespace));
    metadata.insert("ownerReferences".into(), json!(plan::own_reference(author).into_iter().collect::<Vec<_>>()));
    let mut body = json!({
        "apiVersion": "v1",
        "kind": wish.sort.shelf().kind(),
        "metadata": metadata,
        "data": data(wish)?,
    });
    if let Sort::Secret(secret_type) = wish.sort {
        body["type"] = json!(secret_type);
    }
    Ok(body)
}

pub(super) fn changed(author: &Author, wish: &Projection, held: &Held, reason: Reason) -> Result<Value, Failure> {
    let mut metadata = described(author, wish);
    metadata.insert("uid".into(), json!(held.uid));
    metadata.insert("resourceVersion".into(), json!(held.resource_version));
    let references = plan::references(held, author);
    if references != held.references {
        metadata.insert("ownerReferences".into(), json!(references));
    }
    if held.adopt.is_some() {
        metadata["annotations"][label::ADOPT] = Value::Null;
    }
    let mut body = json!({"metadata": metadata});
    if reason.writes_values() {
        let mut data = data(wish)?;
        let unwanted = held.our_keys.union(&held.other_keys).filter(|key| !wish.content.keys.contains(*key));
        data.extend(unwanted.map(|key| (key.clone(), Value::Null)));
        body["data"] = Value::Object(data);
        match wish.sort {
            Sort::Secret(secret_type) => body["type"] = json!(secret_type),
            Sort::ConfigMap => body["binaryData"] = Value::Null,
        }
    }
    Ok(body)
}

/// Labels and annotations of a projection.
fn described(author: &Author, wish: &Projection) -> Map<String, Value> {
    let labels = json!({label::KIND: author.owner.kind, label::MANAGED_BY: label::STRONGROOM});
    let mut annotations = json!({
        label::OWNER: author.owner.name,
        label::REVISION: wish.revision.to_string(),
        label::CONTENT: wish.content.word,
    });
    if let Some(mark) = &wish.mark {
        annotations[label::MARK] = json!(mark);
    }
    Map::from_iter([("labels".to_owned(), labels), ("annotations".to_owned(), annotations)])
}

fn data(wish: &Projection) -> Result<Map<String, Value>, Failure> {
    let items = wish.content.items.as_ref().ok_or_else(|| lost(wish, "its values are in no other place"))?;
    let text = |item: &Item| match wish.sort {
        Sort::Secret(_) => STANDARD.encode(item.value.expose()),
        Sort::ConfigMap => item.value.expose().to_owned(),
    };
    Ok(items.iter().map(|item| (item.key.clone(), Value::String(text(item)))).collect())
}

/// Only the Secret had these values, and it is gone or changed since we looked.
fn lost(wish: &Projection, why: &str) -> Failure {
    let failure = Failure::new(Next::Retry, "Contended", format!("{} changed meanwhile", wish.what()));
    Failure { detail: Some(why.to_owned()), ..failure }
}
