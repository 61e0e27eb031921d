//! What CredHub's operations answer.

use serde_json::{Map, Value, json};

use crate::api::shape::{
    Members, Schemas, boolean, exactly, list, named, object, schema, text, text_or_null, texts, with,
};
use crate::domain::permission::Operation;

pub fn schemas() -> Schemas {
    [small(), credentials(), lists(), permissions(), about()].into_iter().flatten().collect()
}

fn small() -> Schemas {
    const TIME: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$";
    named([
        ("Id", json!({ "type": "string", "format": "uuid" })),
        ("Text", text()),
        ("Flag", json!({ "type": "string", "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])?$" })),
        ("Count", json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })),
        // What is empty is not given.
        ("Days", json!({ "anyOf": [{ "type": "integer" }, { "type": "string", "maxLength": 0 }] })),
        ("Time", json!({ "type": "string", "pattern": TIME })),
        ("Error", told()),
        ("Document", with(&["openapi"], &[("openapi", text())])),
    ])
}

/// `error` is a sentence; where it is about who is calling, it is a word for programs and the other one is the sentence.
fn told() -> Value {
    let mut told = exactly(&[("error", text()), ("error_description", text())]);
    told["required"] = json!(["error"]);
    told
}

/// What every version has, and what its type has besides.
fn version(word: &str, value: Value, more: Members) -> Value {
    let common = [
        ("type", json!({ "const": word })),
        ("version_created_at", schema("Time")),
        ("id", schema("Id")),
        ("name", text()),
        // Any JSON.
        ("metadata", json!({})),
        ("value", value),
    ];
    exactly(&[&common[..], more].concat())
}

fn credentials() -> Schemas {
    let nullable = |names: &[&'static str]| {
        let members: Vec<(&str, Value)> = names.iter().map(|name| (*name, text_or_null())).collect();
        exactly(&members)
    };
    let expiry = json!({ "anyOf": [schema("Time"), { "type": "null" }] });
    let facts = [
        ("expiry_date", expiry),
        ("certificate_authority", boolean()),
        ("self_signed", boolean()),
        ("generated", boolean()),
        ("transitional", boolean()),
    ];
    let made = [
        ("duration_overridden", boolean()),
        ("duration_used", json!({ "type": "integer", "minimum": 0 })),
        ("key_length", json!({ "type": ["integer", "null"] })),
    ];
    let certificate = |more: Members| {
        let value = nullable(&["ca", "certificate", "private_key"]);
        version("certificate", value, &[&facts[..], more].concat())
    };
    let plain = ["Value", "Json", "Password", "User", "Rsa", "Ssh"].map(schema);
    let any_of = |last: &str| {
        let all = [&plain[..], &[schema(last)]].concat();
        json!({ "anyOf": all })
    };
    named([
        ("Value", version("value", text(), &[])),
        ("Json", version("json", json!({}), &[])),
        ("Password", version("password", text(), &[])),
        ("User", version("user", nullable(&["username", "password", "password_hash"]), &[])),
        ("Rsa", version("rsa", nullable(&["public_key", "private_key"]), &[])),
        ("Ssh", version("ssh", nullable(&["public_key", "private_key", "public_key_fingerprint"]), &[])),
        ("CertificateCredential", certificate(&[])),
        ("MadeCertificate", certificate(&made)),
        ("Credential", any_of("CertificateCredential")),
        ("Made", any_of("MadeCertificate")),
        ("CertificateVersions", list(schema("CertificateCredential"))),
    ])
}

fn lists() -> Schemas {
    let entry = |more: Members| {
        let own = [("version_created_at", schema("Time")), ("name", text())];
        exactly(&[&own[..], more].concat())
    };
    let entries = json!({ "anyOf": [entry(&[]), entry(&[("expiry_date", schema("Time"))])] });
    let listed = exactly(&[
        ("id", schema("Id")),
        // Empty where it is not known.
        ("expiry_date", json!({ "anyOf": [schema("Time"), { "const": "" }] })),
        ("transitional", boolean()),
        ("certificate_authority", boolean()),
        ("self_signed", boolean()),
        ("generated", boolean()),
    ]);
    let certificate = exactly(&[
        ("name", text()),
        ("id", schema("Id")),
        ("versions", list(listed)),
        ("signed_by", text()),
        ("signs", texts()),
    ]);
    let versions = exactly(&[("data", list(schema("Credential")))]);
    let search = exactly(&[("credentials", list(entries))]);
    named([
        ("Found", json!({ "anyOf": [versions, search] })),
        ("Certificates", exactly(&[("certificates", list(certificate))])),
        ("Regenerated", exactly(&[("regenerated_credentials", texts())])),
        ("Services", object()),
    ])
}

fn permissions() -> Schemas {
    let own = [("actor", text()), ("path", text()), ("operations", list(schema("PermissionOperation")))];
    let listed = [("credential_name", text()), ("permissions", list(exactly(&own)))];
    named([
        ("PermissionOperation", json!({ "enum": Operation::ALL.map(Operation::as_str) })),
        ("Permission", exactly(&[&own[..], &[("uuid", schema("Id"))]].concat())),
        ("CredentialPermissions", exactly(&listed)),
    ])
}

fn about() -> Schemas {
    let app = exactly(&[("name", text())]);
    let count = || json!({ "type": "integer", "minimum": 0 });
    named([
        ("Info", exactly(&[("auth-server", exactly(&[("url", text())])), ("app", app)])),
        ("Health", exactly(&[("status", text())])),
        ("KeyUsage", exactly(&["active_key", "inactive_keys", "unknown_keys"].map(|sort| (sort, count())))),
        ("Version", exactly(&[("version", text())])),
        ("Mode", exactly(&[("read_only_mode", boolean())])),
    ])
}

/// Answers other than 200, all in JSON.
pub fn refusals() -> Value {
    let told = [
        ("400", "something in the request cannot be: error names it"),
        ("401", "nobody is calling, or somebody who is not accepted"),
        ("403", "the caller may not write there, or lacks a scope (then without a body)"),
        ("404", "there is no such credential, or the caller may not do that to it"),
        ("409", "it is somebody else's, or was changed meanwhile"),
        ("413", "the body or the value is too large"),
        ("422", "the body is JSON, but not of this operation's shape"),
        ("500", "something is wrong here"),
        ("503", "something has to be waited for, or nothing is written here"),
    ];
    let answer = |(status, what): (&str, &str)| {
        let content = json!({ "application/json": { "schema": schema("Error") } });
        (status.to_owned(), json!({ "description": what, "content": content }))
    };
    let mut refusals: Map<String, Value> = told.into_iter().map(answer).collect();
    let after = json!({ "Retry-After": { "description": "seconds", "schema": { "type": "integer", "minimum": 1 } } });
    refusals["503"]["headers"] = after;
    refusals.into()
}

pub fn schemes() -> Value {
    json!({
        "token": { "type": "http", "scheme": "bearer", "description": "an issuer's token, or a ServiceAccount's" },
        "certificate": { "type": "mutualTLS", "description": "an application's certificate, or a client credential's" },
        "basic": { "type": "http", "scheme": "basic", "description": "a client credential's name and password" },
    })
}
