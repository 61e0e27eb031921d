//! CredHub's operations in words, for the OpenAPI document: what each is for, what it takes and what it answers.

mod answers;
mod bodies;

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Value;
use warp::http::StatusCode;
use warp::reply::Response;

use crate::api::credhub::{Credhub, error};
use crate::api::openapi::{self, Described, Operation, Parameter};
use crate::api::route;

/// The document, made when it is first asked for.
pub fn document() -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = DOCUMENT.get_or_init(openapi::document::<Credhub>);
    route::response(StatusCode::OK, &error::HEADERS, document.clone())
}

impl Described for Credhub {
    const TITLE: &'static str = "CredHub's API, answered by Strongroom";
    const OPERATIONS: &'static [(&'static str, Operation)] = OPERATIONS;
    const PARAMETERS: &'static [Parameter] = PARAMETERS;

    fn schemas() -> Value {
        answers::schemas().into_iter().chain(bodies::schemas()).collect()
    }

    fn refusals() -> Value {
        answers::refusals()
    }

    fn schemes() -> Value {
        answers::schemes()
    }
}

const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "id",
        about: "of a version; of a certificate, the one that lists of certificates say",
        schema: "Id",
    },
    Parameter { name: "version", about: "a version of the certificate", schema: "Id" },
    Parameter { name: "uuid", about: "a permission", schema: "Id" },
];

const READ: &[Parameter] = &[
    Parameter { name: "name", about: "the credential; without it, a search by what follows", schema: "Text" },
    Parameter {
        name: "current",
        about: "true: only the version that counts, and a certificate's transitional one",
        schema: "Flag",
    },
    Parameter { name: "versions", about: "how many versions at most; not with current", schema: "Count" },
    Parameter { name: "path", about: "a folder: everything below it", schema: "Text" },
    Parameter { name: "name-like", about: "a part of the name", schema: "Text" },
    Parameter { name: "expires-within-days", about: "certificates that end by then", schema: "Days" },
];
const NAME: &[Parameter] = &[Parameter { name: "name", about: "the credential; must be given", schema: "Text" }];
const CERTIFICATE: &[Parameter] =
    &[Parameter { name: "name", about: "the certificate; all, if it is not given", schema: "Text" }];
const CURRENT: &[Parameter] =
    &[Parameter { name: "current", about: "true: the active one and the transitional one", schema: "Flag" }];
const GRANTED: &[Parameter] = &[
    Parameter { name: "path", about: "a name, or a folder with /* behind it; must be given", schema: "Text" },
    Parameter { name: "actor", about: "whose permission; must be given", schema: "Text" },
];
const AT_CREDENTIAL: &[Parameter] =
    &[Parameter { name: "credential_name", about: "the credential; must be given", schema: "Text" }];
const OF_ACTOR: &[Parameter] = &[
    Parameter { name: "credential_name", about: "the credential; must be given", schema: "Text" },
    Parameter { name: "actor", about: "whose permission; must be given", schema: "Text" },
];

/// What cannot be asked is 400, and what is not there or not the caller's to read 404.
const FIND: &[u16] = &[400, 404];
/// 409 where a resource is the only writer, or where somebody else is faster again and again.
const WRITE: &[u16] = &[404, 409];
/// JSON of another shape is 422, everywhere but at the generation of values.
const SHAPED: &[u16] = &[404, 409, 422];
/// Whoever calls from elsewhere is 401, though nobody has to say who calls.
const HERE: &[u16] = &[401];
const MANAGE: &[u16] = &[400, 401, 413, 422];

const OPERATIONS: &[(&str, Operation)] = &[
    ("GET /openapi.json", Operation::new("This document: at /credhub, the root has another dialect's.", "Document")),
    ("GET /info", Operation::new("Where clients get their tokens.", "Info")),
    ("GET /health", Operation::new("Answers while the server does.", "Health")),
    ("GET /version", Operation::new("The version of CredHub whose behaviour this is.", "Version")),
    ("GET /api/v1/key-usage", Operation::new("How many versions are sealed under which key.", "KeyUsage")),
    ("GET /management", Operation::new("Whether this process writes. From its own host only.", "Mode").or(HERE)),
    (
        "POST /management",
        Operation::new("Whether this process writes from now on. From its own host only.", "Mode")
            .body("ModeWish")
            .or(MANAGE),
    ),
    ("GET /api/v1/data", Operation::new("Versions of a credential, or a search.", "Found").query(READ).or(FIND)),
    ("GET /api/v1/data/{id}", Operation::new("One version.", "Credential").or(FIND)),
    (
        "PUT /api/v1/data",
        Operation::new("A new version with the given value, even if it is the same.", "Credential")
            .body("Set")
            .or(SHAPED),
    ),
    (
        "POST /api/v1/data",
        Operation::new("A version with a generated value: a new one, or the one that is there.", "Made")
            .body("Generate")
            .or(WRITE),
    ),
    ("DELETE /api/v1/data", Operation::bare("Forgets a credential with all its versions.", 204).query(NAME).or(WRITE)),
    (
        "POST /api/v1/regenerate",
        Operation::new("A new version, generated as the newest one was.", "Made").body("Regenerate").or(SHAPED),
    ),
    (
        "POST /api/v1/bulk-regenerate",
        Operation::new("Everything that an authority has signed, signed anew in one write.", "Regenerated")
            .body("BulkRegenerate")
            .or(SHAPED),
    ),
    (
        "POST /api/v1/interpolate",
        Operation::new("The body, with references to credentials replaced by their values.", "Services")
            .body("Services")
            .or(FIND),
    ),
    (
        "GET /api/v1/certificates",
        Operation::new("Certificates with their versions, who signed them and what they sign.", "Certificates")
            .query(CERTIFICATE)
            .or(FIND),
    ),
    (
        "POST /api/v1/certificates/{id}/regenerate",
        Operation::new("A new version, which may wait beside the one that counts.", "MadeCertificate")
            .optional_body("RegenerateCertificate")
            .or(SHAPED),
    ),
    (
        "PUT /api/v1/certificates/{id}/update_transitional_version",
        Operation::new("Which version waits; the newest of the others counts.", "CertificateVersions")
            .body("Transitional")
            .or(SHAPED),
    ),
    (
        "GET /api/v1/certificates/{id}/versions",
        Operation::new("Versions, the newest first.", "CertificateVersions").query(CURRENT).or(FIND),
    ),
    (
        "POST /api/v1/certificates/{id}/versions",
        Operation::new("A new version that the caller brings.", "CertificateCredential").body("NewVersion").or(SHAPED),
    ),
    (
        "DELETE /api/v1/certificates/{id}/versions/{version}",
        Operation::new("Deletes a version; the last one stays.", "CertificateCredential").or(WRITE),
    ),
    (
        "GET /api/v2/permissions",
        Operation::new("What an actor may do at a path.", "Permission").query(GRANTED).or(FIND),
    ),
    (
        "POST /api/v2/permissions",
        Operation::new("A new permission.", "Permission").answers(201).body("PermissionWish").or(SHAPED),
    ),
    ("GET /api/v2/permissions/{uuid}", Operation::new("A permission.", "Permission").or(FIND)),
    (
        "PUT /api/v2/permissions/{uuid}",
        Operation::new("A permission with other operations; its path and actor stay.", "Permission")
            .body("PermissionWish")
            .or(SHAPED),
    ),
    (
        "PATCH /api/v2/permissions/{uuid}",
        Operation::new("A permission with other operations, or none.", "Permission").body("OperationsWish").or(SHAPED),
    ),
    ("DELETE /api/v2/permissions/{uuid}", Operation::new("Takes a permission away.", "Permission").or(WRITE)),
    (
        "GET /api/v1/permissions",
        Operation::new("Permissions at exactly this name.", "CredentialPermissions").query(AT_CREDENTIAL).or(FIND),
    ),
    (
        "POST /api/v1/permissions",
        Operation::bare("Adds permissions at a name.", 201).body("CredentialPermissionsWish").or(SHAPED),
    ),
    (
        "DELETE /api/v1/permissions",
        Operation::bare("Takes away what an actor may do at exactly this name.", 204).query(OF_ACTOR).or(WRITE),
    ),
];
