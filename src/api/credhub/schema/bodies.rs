//! What CredHub's operations read. Members that are not named are refused; scalars may stand for each other, as with
//! CredHub: a number for a text, and the words `"true"` and `"7"` for what they say.

use serde_json::{Value, json};

use crate::api::shape::{Members, Schemas, exactly, named, schema, some_of};
use crate::domain::authority::credhub::{DAYS_MAX, EXTENDED_KEY_USAGES, KEY_USAGES};
use crate::domain::name::PATH_LIMIT;

pub fn schemas() -> Schemas {
    [small(), set(), generate(), certificates(), permissions(), others()].into_iter().flatten().collect()
}

/// As a regular expression: segments with slashes between them, and perhaps one in front.
const NAME: &str = "/?[-A-Za-z0-9_.:,()\\[\\]+]+(/[-A-Za-z0-9_.:,()\\[\\]+]+)*";

fn small() -> Schemas {
    let scalar = |limit: Option<u64>| {
        let mut scalar = json!({ "type": ["string", "number", "boolean", "null"] });
        if let Some(limit) = limit {
            scalar["maxLength"] = limit.into();
        }
        scalar
    };
    let name = json!({
        "type": ["string", "number", "boolean"],
        "pattern": format!("^{NAME}$"),
        "maxLength": PATH_LIMIT,
    });
    let flag = json!({ "anyOf": [{ "type": ["boolean", "null"] }, { "enum": ["true", "false"] }] });
    named([
        ("Name", name),
        ("Scalar", scalar(None)),
        ("Scalar64", scalar(Some(64))),
        ("Scalar128", scalar(Some(128))),
        ("Scalar2", scalar(Some(2))),
        ("Boolean", flag),
        ("Whole", whole(None)),
        ("KeyLength", json!({ "enum": [2048, 3072, 4096, "2048", "3072", "4096", null] })),
        ("ValidDays", whole(Some((1, DAYS_MAX)))),
    ])
}

fn whole(range: Option<(i64, i64)>) -> Value {
    let mut number = json!({ "type": ["integer", "null"] });
    if let Some((least, most)) = range {
        (number["minimum"], number["maximum"]) = (least.into(), most.into());
    }
    json!({ "anyOf": [number, { "type": "string", "pattern": "^[-+]?[0-9]+$" }] })
}

/// One of CredHub's types, in letters of any case.
fn word(types: &[&str]) -> Value {
    let either = |c: char| format!("[{c}{}]", c.to_ascii_uppercase());
    let words: Vec<String> = types.iter().map(|word| word.chars().map(either).collect()).collect();
    json!({ "type": "string", "pattern": format!("^({})$", words.join("|")) })
}

/// Some of these members, of which some must be there.
fn body(required: &[&str], members: Members) -> Value {
    let mut body = some_of(members);
    body["required"] = json!(required);
    body
}

fn of_type(types: &[&str], required: &[&str], members: Members) -> Value {
    let common = [("name", schema("Name")), ("type", word(types)), ("metadata", json!({}))];
    body(&[&["name", "type"], required].concat(), &[&common[..], members].concat())
}

fn set() -> Schemas {
    let scalar = || schema("Scalar");
    let own = |types: &[&str], value: Value| of_type(types, &["value"], &[("value", value)]);
    let user = body(&["password"], &[("username", scalar()), ("password", scalar()), ("password_hash", json!({}))]);
    let keys = [("public_key", scalar()), ("private_key", scalar())];
    let ssh = [&keys[..], &[("public_key_fingerprint", json!({}))]].concat();
    let kinds = [
        own(&["value", "password"], scalar()),
        own(&["json"], json!({})),
        own(&["user"], user),
        own(&["rsa"], some_of(&keys)),
        own(&["ssh"], some_of(&ssh)),
        own(&["certificate"], schema("CertificateValue")),
    ];
    let mut certificate = vec![("ca", scalar()), ("ca_name", scalar()), ("certificate", scalar())];
    certificate.push(("private_key", scalar()));
    // How it stood elsewhere; here it is looked at.
    let flags = ["transitional", "certificate_authority", "self_signed", "generated"];
    certificate.extend(flags.map(|flag| (flag, json!({}))));
    named([("Set", json!({ "anyOf": kinds })), ("CertificateValue", body(&["certificate"], &certificate))])
}

fn generate() -> Schemas {
    let flag = || schema("Boolean");
    let mode = json!({ "enum": ["converge", "overwrite", "no-overwrite", null] });
    let how = [("mode", mode), ("overwrite", flag()), ("regenerate", flag())];
    let nothing = || json!({ "type": "null" });
    let or_null = |schema: Value| json!({ "anyOf": [schema, { "type": "null" }] });
    let own = |types: &[&str], required: &[&str], parameters: Value, value: Value| {
        of_type(types, required, &[&how[..], &[("parameters", parameters), ("value", value)]].concat())
    };
    let characters = [
        ("length", schema("Whole")),
        ("include_special", flag()),
        ("exclude_number", flag()),
        ("exclude_upper", flag()),
        ("exclude_lower", flag()),
    ];
    let username = [("username", schema("Scalar"))];
    let bits = [("key_length", schema("KeyLength"))];
    let ssh = [&bits[..], &[("ssh_comment", schema("Scalar"))]].concat();
    let user = [&characters[..], &username].concat();
    let again = body(
        &["name", "regenerate"],
        &[("name", schema("Name")), ("type", json!({})), ("metadata", json!({})), ("regenerate", flag())],
    );
    let kinds = [
        own(&["password"], &[], or_null(some_of(&characters)), nothing()),
        own(&["user"], &[], or_null(some_of(&user)), or_null(some_of(&username))),
        own(&["rsa"], &[], or_null(some_of(&bits)), nothing()),
        own(&["ssh"], &[], or_null(some_of(&ssh)), nothing()),
        own(&["certificate"], &["parameters"], schema("CertificateParameters"), nothing()),
        again,
    ];
    named([("Generate", json!({ "anyOf": kinds })), ("CertificateParameters", parameters())])
}

fn parameters() -> Value {
    let words = |known: Vec<&str>| json!({ "type": ["array", "null"], "items": { "enum": known } });
    let names = json!({ "type": ["array", "null"], "items": { "type": ["string", "number"], "maxLength": 253 } });
    let usages = KEY_USAGES.iter().map(|(word, _)| *word).collect();
    let extended = EXTENDED_KEY_USAGES.iter().map(|(word, _)| *word).collect();
    some_of(&[
        ("common_name", schema("Scalar64")),
        ("organization", schema("Scalar64")),
        ("organization_unit", schema("Scalar64")),
        ("locality", schema("Scalar128")),
        ("state", schema("Scalar128")),
        ("country", schema("Scalar2")),
        ("alternative_names", names),
        ("key_usage", words(usages)),
        ("extended_key_usage", words(extended)),
        ("key_length", schema("KeyLength")),
        ("duration", schema("ValidDays")),
        ("ca", schema("Scalar")),
        ("is_ca", schema("Boolean")),
        ("self_sign", schema("Boolean")),
    ])
}

fn certificates() -> Schemas {
    let flag = || schema("Boolean");
    let again = some_of(&[
        ("set_as_transitional", flag()),
        ("allow_transitional_parent_to_sign", flag()),
        ("key_length", schema("KeyLength")),
        ("duration", schema("ValidDays")),
        ("metadata", json!({})),
    ]);
    let version = json!({ "anyOf": [schema("Id"), { "enum": ["latest", null] }] });
    named([
        ("RegenerateCertificate", again),
        ("Transitional", some_of(&[("version", version)])),
        ("NewVersion", body(&["value"], &[("value", schema("CertificateValue")), ("transitional", flag())])),
    ])
}

fn permissions() -> Schemas {
    let operations = json!({ "type": ["array", "null"], "items": schema("PermissionOperation") });
    let own = [("actor", json!({ "type": "string", "minLength": 1 })), ("operations", operations.clone())];
    let path = json!({ "type": "string", "maxLength": PATH_LIMIT, "pattern": format!("^({NAME}(/\\*)?|/?\\*)$") });
    let wish = [&own[..], &[("path", path.clone())]].concat();
    // Which path an entry is about is said once, beside all of them.
    let entry =
        body(&["actor", "operations"], &[&own[..], &[("path", json!({ "type": ["string", "null"] }))]].concat());
    let entries = json!({ "type": "array", "minItems": 1, "items": entry });
    named([
        ("PermissionWish", exactly(&wish)),
        ("OperationsWish", some_of(&[("operations", operations)])),
        ("CredentialPermissionsWish", exactly(&[("credential_name", path), ("permissions", entries)])),
    ])
}

fn others() -> Schemas {
    let mode = json!({ "anyOf": [{ "type": "boolean" }, { "enum": ["true", "false"] }] });
    named([
        ("Regenerate", body(&["name"], &[("name", schema("Name")), ("metadata", json!({}))])),
        ("BulkRegenerate", exactly(&[("signed_by", schema("Name"))])),
        ("ModeWish", exactly(&[("read_only_mode", mode)])),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::credhub::wire::value::TYPES;

    #[test]
    fn every_type_can_be_set_by_a_body_of_its_own() {
        let set = set().remove(0).1.to_string();
        for (word, _) in TYPES {
            assert!(
                set.contains(super::word(&[word])["pattern"].as_str().unwrap().trim_matches(['^', '$', '(', ')'])),
                "{word}"
            );
        }
    }
}
