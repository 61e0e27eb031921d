//! The JSON of Confidant's clients as schemas. What we write is described exactly: a member more or less is an error.
//! Of what we read, members that are not named are ignored.

use serde_json::{Map, Value, json};

use crate::api::shape::{
    Members, Schemas, boolean, exactly, list, named, object, properties, schema, some_of, text, text_or_null, texts,
    with,
};

/// A part of a list.
fn page(name: &str, items: &str) -> Value {
    exactly(&[(name, list(schema(items))), ("next_page", text_or_null())])
}

pub fn schemas() -> Value {
    [small(), credentials(), diffs(), services(), blind_credentials(), certificates(), tokens(), about()]
        .into_iter()
        .flatten()
        .collect()
}

fn small() -> Schemas {
    const HTTP_DATE: &str = "^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT$";
    named([
        ("Id", json!({ "type": "string", "minLength": 1 })),
        ("Revision", json!({ "type": "integer", "minimum": 1 })),
        ("Flag", text()),
        ("Texts", texts()),
        // What is no number is ignored.
        ("Limit", json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, text()] })),
        ("Page", text()),
        ("RecordId", json!({ "type": "string", "pattern": "^[0-9a-f]{32}(-[0-9]+)?$" })),
        ("Date", json!({ "type": "string", "format": "date-time" })),
        ("HttpDate", json!({ "type": "string", "pattern": HTTP_DATE })),
        ("Permissions", json!({ "type": "object", "additionalProperties": boolean() })),
        ("Document", with(&["openapi"], &[("openapi", text())])),
        ("Nothing", exactly(&[])),
        ("Error", told(&[])),
    ])
}

/// An error in JSON: `error`, and what else may be there.
fn told(more: Members) -> Value {
    let members = [&[("error", text())], more].concat();
    json!({ "type": "object", "required": ["error"], "properties": properties(&members), "additionalProperties": false })
}

fn pairs(values: Value) -> Value {
    json!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1000,
        "propertyNames": { "pattern": "^[^\\s\\x00-\\x1f\\x7f-\\x9f]*$", "maxLength": 253 },
        "additionalProperties": values,
    })
}

fn credentials() -> Schemas {
    let scalar = json!({ "type": ["string", "number", "boolean", "null"] });
    let credential = [
        ("id", schema("RecordId")),
        ("name", text()),
        ("revision", schema("Revision")),
        ("enabled", boolean()),
        ("documentation", text_or_null()),
        // Null only in the answer to a create that had none.
        ("metadata", json!({ "type": ["object", "null"] })),
        ("modified_date", schema("Date")),
        ("modified_by", text()),
        ("credential_keys", texts()),
        ("credential_pairs", json!({ "type": "object", "additionalProperties": scalar })),
        ("permissions", schema("Permissions")),
        ("tags", texts()),
        ("last_rotation_date", schema("Date")),
        ("next_rotation_date", json!({ "type": ["string", "null"], "format": "date-time" })),
    ];
    let sent = [
        ("name", schema("Name")),
        ("credential_pairs", pairs(scalar.clone())),
        ("enabled", boolean()),
        ("documentation", text_or_null()),
        ("metadata", object()),
        ("tags", json!({ "type": "array", "maxItems": 100, "items": { "type": "string", "maxLength": 253 } })),
    ];
    named([
        ("Name", json!({ "type": "string", "maxLength": 1024 })),
        ("Credential", exactly(&credential)),
        ("Credentials", page("credentials", "Credential")),
        ("CredentialRevisions", page("revisions", "Credential")),
        ("CredentialDraft", with(&["name", "credential_pairs"], &sent)),
        ("CredentialPatch", with(&[], &sent)),
        ("Dependents", exactly(&[("services", list(exactly(&[("id", text()), ("enabled", boolean())])))])),
        ("Archive", with(&[], &[("force", boolean())])),
        ("Archived", exactly(&[("result", json!({ "enum": ["success", "dry-run success"] }))])),
    ])
}

fn diffs() -> Schemas {
    let change = |of: Value| exactly(&[("added", of.clone()), ("removed", of)]);
    let common = [
        ("enabled", change(boolean())),
        ("modified_by", change(text())),
        ("modified_date", change(schema("HttpDate"))),
    ];
    let credential = [
        ("name", change(text())),
        ("documentation", change(text_or_null())),
        ("last_rotation_date", change(schema("HttpDate"))),
        ("tags", change(texts())),
        ("credential_pairs", schema("Sides")),
        ("metadata", schema("Sides")),
    ];
    let service =
        [("account", change(text_or_null())), ("credentials", schema("Sides")), ("blind_credentials", schema("Sides"))];
    named([
        ("Sides", some_of(&[("added", texts()), ("removed", texts())])),
        ("CredentialDiff", some_of(&[&common[..], &credential].concat())),
        ("ServiceDiff", some_of(&[&common[..], &service].concat())),
    ])
}

fn services() -> Schemas {
    let service = [
        ("id", text()),
        ("revision", schema("Revision")),
        ("enabled", boolean()),
        ("modified_date", schema("Date")),
        ("modified_by", text()),
        ("account", text_or_null()),
        ("credentials", list(schema("Credential"))),
        ("blind_credentials", list(schema("BlindMember"))),
        ("permissions", schema("Permissions")),
    ];
    let ids = json!({ "type": "array", "maxItems": 1000, "items": text() });
    let put =
        [("enabled", boolean()), ("account", text_or_null()), ("credentials", ids.clone()), ("blind_credentials", ids)];
    let grants = exactly(&[("encrypt_grant", boolean()), ("decrypt_grant", boolean())]);
    named([
        ("Service", exactly(&service)),
        ("Services", page("services", "Service")),
        ("ServiceRevisions", page("revisions", "Service")),
        ("ServicePut", with(&[], &put)),
        ("Roles", exactly(&[("roles", texts())])),
        ("Grants", exactly(&[("id", text()), ("grants", grants)])),
    ])
}

fn blind_credentials() -> Schemas {
    let listed = |date: &str| {
        [
            ("id", schema("RecordId")),
            ("name", text()),
            ("revision", schema("Revision")),
            ("enabled", boolean()),
            ("modified_date", schema(date)),
            ("modified_by", text()),
            ("documentation", text_or_null()),
        ]
    };
    let version = || json!({ "type": "integer", "minimum": 0 });
    let opaque = [
        ("credential_pairs", object()),
        ("credential_keys", texts()),
        ("cipher_type", text()),
        ("cipher_version", version()),
        ("data_key", object()),
        ("metadata", object()),
    ];
    let sent =
        [&opaque[..], &[("name", schema("Name")), ("enabled", boolean()), ("documentation", text_or_null())]].concat();
    let all = ["cipher_version", "cipher_type", "credential_pairs", "data_key", "name"];
    let mut patch = with(&[], &sent);
    patch["dependentRequired"] = json!({ "credential_pairs": ["data_key", "cipher_type", "cipher_version"] });
    named([
        ("BlindCredential", exactly(&[&listed("HttpDate")[..], &opaque].concat())),
        ("BlindMember", exactly(&[&listed("Date")[..], &opaque].concat())),
        ("BlindList", exactly(&[("blind_credentials", list(exactly(&listed("HttpDate"))))])),
        ("BlindCredentials", page("blind_credentials", "BlindCredential")),
        ("BlindRevisions", exactly(&[("revisions", list(schema("BlindCredential")))])),
        ("BlindDraft", with(&all, &sent)),
        ("BlindPatch", patch),
    ])
}

fn certificates() -> Schemas {
    let chain = [("certificate", text()), ("certificate_chain", text())];
    let authority = [&[("ca", text())], &chain[..], &[("tags", texts())]].concat();
    let days = json!({ "type": "integer", "minimum": 1 });
    named([
        ("Days", days.clone()),
        ("Authority", exactly(&authority)),
        ("Authorities", exactly(&[("cas", list(schema("Authority")))])),
        ("Certificate", exactly(&chain)),
        ("KeyWithCertificate", exactly(&[&chain[..], &[("key", text())]].concat())),
        ("SigningRequest", with(&["csr"], &[("csr", text()), ("validity", days)])),
    ])
}

fn tokens() -> Schemas {
    let members = [("kid", text()), ("kty", text()), ("alg", text())];
    let names = members.each_ref().map(|(name, _)| *name);
    let key = json!({
        "type": "object", "required": names, "properties": properties(&members), "additionalProperties": text(),
    });
    named([
        ("Seconds", json!({ "type": "integer", "minimum": 1 })),
        ("Token", exactly(&[("token", text())])),
        ("Keys", exactly(&[("keys", list(key))])),
    ])
}

fn about() -> Schemas {
    let rights = exactly(&[("list", boolean()), ("create", boolean())]);
    let permissions = exactly(&["credentials", "blind_credentials", "services"].map(|sort| (sort, rights.clone())));
    let generated = exactly(&[
        ("kms_auth_manage_grants", boolean()),
        ("aws_accounts", texts()),
        ("xsrf_cookie_name", text()),
        ("maintenance_mode", boolean()),
        ("history_page_limit", json!({ "type": ["integer", "null"] })),
        ("defined_tags", texts()),
        ("permissions", permissions),
    ]);
    named([
        ("ClientConfig", exactly(&[("defined", object()), ("generated", generated)])),
        ("Email", exactly(&[("email", text())])),
        ("Value", exactly(&[("value", text())])),
    ])
}

/// Answers other than 200. Operations answer in JSON, what is around them with a page.
pub fn refusals() -> Value {
    let page = ("text/html", json!({ "schema": text() }));
    let json = |schema: Value| ("application/json", json!({ "schema": schema }));
    let error = || json(schema("Error"));
    let holders = some_of(&["credentials", "blind_credentials", "services"].map(|sort| (sort, texts())));
    let conflicts = json!({ "type": "object", "additionalProperties": holders });
    let referred = || json(told(&[("reference", text())]));
    let wrong = json(told(&[("conflicts", conflicts)]));
    let missing = json(json!({ "anyOf": [schema("Nothing"), schema("Error")] }));
    let after = json!({ "Retry-After": { "description": "seconds", "schema": { "type": "integer", "minimum": 1 } } });
    let mut refusals = json!({});
    for (status, what, content) in [
        ("400", "something in the request cannot be: error names it", vec![wrong]),
        ("401", "nobody is calling, or of another account", vec![error(), page.clone()]),
        ("403", "the caller is not accepted, or may not do that", vec![referred(), page.clone()]),
        ("404", "there is no such record", vec![missing, page.clone()]),
        ("409", "it is somebody else's, or taken, or was changed meanwhile", vec![referred()]),
        ("413", "the body is too large", vec![error()]),
        ("500", "something is wrong here", vec![referred(), page]),
        ("503", "something has to be waited for", vec![error()]),
    ] {
        let content: Map<String, Value> = content.into_iter().map(|(kind, of)| (kind.to_owned(), of)).collect();
        refusals[status] = json!({ "description": what, "content": content });
    }
    refusals["503"]["headers"] = after;
    refusals
}

pub fn schemes() -> Value {
    json!({
        "basic": { "type": "http", "scheme": "basic", "description": "a client credential's name and password" },
        "token": { "type": "http", "scheme": "bearer", "description": "a ServiceAccount's token" },
        "certificate": { "type": "mutualTLS", "description": "a client credential's certificate" },
    })
}
