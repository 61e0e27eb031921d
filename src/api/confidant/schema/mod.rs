//! Confidant's operations in words, for the OpenAPI document: what each is for, what it takes and what it answers.

mod shapes;

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Value;
use warp::http::StatusCode;
use warp::reply::Response;

use crate::api::confidant::{Confidant, error};
use crate::api::openapi::{self, Described, Operation, Parameter};
use crate::api::route;

/// The document, made when it is first asked for.
pub fn document() -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = DOCUMENT.get_or_init(openapi::document::<Confidant>);
    route::response(StatusCode::OK, &error::JSON_HEADERS, document.clone())
}

impl Described for Confidant {
    const TITLE: &'static str = "Confidant's API, answered by Strongroom";
    const OPERATIONS: &'static [(&'static str, Operation)] = OPERATIONS;
    const PARAMETERS: &'static [Parameter] = PARAMETERS;

    fn schemas() -> Value {
        shapes::schemas()
    }

    fn refusals() -> Value {
        shapes::refusals()
    }

    fn schemes() -> Value {
        shapes::schemes()
    }
}

const PARAMETERS: &[Parameter] = &[
    Parameter { name: "id", about: "the record's id; of a service, its name", schema: "Id" },
    Parameter { name: "revision", about: "the revision to go back to", schema: "Revision" },
    Parameter { name: "old", about: "one of two revisions", schema: "Revision" },
    Parameter { name: "new", about: "the other one", schema: "Revision" },
    Parameter { name: "ca", about: "an authority: <namespace>.<name>, or a name of the settings", schema: "Id" },
    Parameter { name: "expiry", about: "for how many seconds", schema: "Seconds" },
    Parameter { name: "environment", about: "whose keys", schema: "Id" },
    Parameter { name: "cn", about: "the name that the certificate is for", schema: "Id" },
];

const METADATA_ONLY: &[Parameter] =
    &[Parameter { name: "metadata_only", about: "True, true or 1: without values", schema: "Flag" }];
const PAGE: &[Parameter] = &[
    Parameter { name: "limit", about: "how many at most; 0 and what is no number: no limit", schema: "Limit" },
    Parameter { name: "page", about: "the next_page of the answer before, together with limit", schema: "Page" },
];

const CERTIFICATE: &[Parameter] = &[
    Parameter { name: "san", about: "another name that it is for", schema: "Texts" },
    Parameter { name: "validity", about: "for how many days", schema: "Days" },
];

const ENVIRONMENT: &[Parameter] =
    &[Parameter { name: "environment", about: "whose key signs; must be given", schema: "Id" }];

/// What a list answers whose page cannot be read.
const LIST: &[u16] = &[400];
const FIND: &[u16] = &[404];
const CREATE: &[u16] = &[409];
const CHANGE: &[u16] = &[404, 409];
/// A service that is not there is a bad request, as in Confidant.
const GRANT: &[u16] = &[400, 404];
/// What is not there is an environment that cannot be, as in Confidant.
const TOKEN: &[u16] = &[400];
/// 409 while the authority itself is still waited for.
const ISSUE: &[u16] = &[400, 404, 409];

const OPERATIONS: &[(&str, Operation)] = &[
    ("GET /openapi.json", Operation::new("This document.", "Document")),
    ("GET /healthcheck", Operation::bare("Answers while the server does.", 200)),
    ("GET /v1/value_generator", Operation::new("A random value; nothing of it is kept.", "Value").or(&[500])),
    ("GET /v1/login", Operation::bare("Where the web page goes when nobody is logged in yet.", 302)),
    ("POST /v1/login", Operation::bare("Where the web page goes when nobody is logged in yet.", 302)),
    ("GET /v1/client_config", Operation::new("What the web page wants to know of this installation.", "ClientConfig")),
    ("GET /v1/user/email", Operation::new("Who is calling.", "Email")),
    ("POST /v1/user/email", Operation::new("Who is calling.", "Email")),
    (
        "GET /v1/credentials",
        Operation::new("All credentials, without keys and values.", "Credentials").query(PAGE).or(LIST),
    ),
    ("POST /v1/credentials", Operation::new("A new credential.", "Credential").body("CredentialDraft").or(CREATE)),
    (
        "GET /v1/credentials/{id}",
        Operation::new("A credential. Values are there for those who may read them.", "Credential")
            .query(METADATA_ONLY)
            .or(FIND),
    ),
    (
        "PUT /v1/credentials/{id}",
        Operation::new("The next revision of a credential. What is not sent stays.", "Credential")
            .body("CredentialPatch")
            .or(CHANGE),
    ),
    (
        "GET /v1/credentials/{id}/services",
        Operation::new("Services that a credential is mapped into.", "Dependents").or(FIND),
    ),
    (
        "POST /v1/credentials/{id}/archive",
        Operation::new("Archives a disabled credential of no service, or says whether it could be.", "Archived")
            .optional_body("Archive")
            .or(CHANGE),
    ),
    (
        "PUT /v1/credentials/{id}/{revision}",
        Operation::new("A next revision with the content of an earlier one.", "Credential").or(CHANGE),
    ),
    (
        "GET /v1/credentials/{id}/{old}/{new}",
        Operation::new("What differs between two revisions, without values.", "CredentialDiff").or(FIND),
    ),
    (
        "GET /v1/archive/credentials",
        Operation::new("All revisions of all credentials, without values.", "Credentials").query(PAGE).or(LIST),
    ),
    (
        "GET /v1/archive/credentials/{id}",
        Operation::new("All revisions of a credential, without values.", "CredentialRevisions").or(FIND),
    ),
    ("GET /v1/services", Operation::new("All services, without their credentials.", "Services").query(PAGE).or(LIST)),
    (
        "GET /v1/services/{id}",
        Operation::new("A service with its credentials and their values.", "Service").query(METADATA_ONLY).or(FIND),
    ),
    (
        "PUT /v1/services/{id}",
        Operation::new("A new service, or the next revision of one. What is not sent stays.", "Service")
            .body("ServicePut")
            .or(CHANGE),
    ),
    (
        "PUT /v1/services/{id}/{revision}",
        Operation::new("A next revision with the content of an earlier one.", "Service").or(CHANGE),
    ),
    (
        "GET /v1/services/{id}/{old}/{new}",
        Operation::new("What differs between two revisions.", "ServiceDiff").or(FIND),
    ),
    ("GET /v1/archive/services", Operation::new("All revisions of all services.", "Services").query(PAGE).or(LIST)),
    ("GET /v1/archive/services/{id}", Operation::new("All revisions of a service.", "ServiceRevisions").or(FIND)),
    ("GET /v1/roles", Operation::new("Names that a new service may be given.", "Roles")),
    ("GET /v1/grants/{id}", Operation::new("A service's grants of the key of tokens.", "Grants").or(GRANT)),
    ("PUT /v1/grants/{id}", Operation::new("Gives a service its grants.", "Grants").or(GRANT)),
    ("GET /v1/blind_credentials", Operation::new("All blind credentials, without ciphertext.", "BlindList")),
    (
        "POST /v1/blind_credentials",
        Operation::new("A new credential that only its clients can open.", "BlindCredential")
            .body("BlindDraft")
            .or(CREATE),
    ),
    ("GET /v1/blind_credentials/{id}", Operation::new("A blind credential.", "BlindCredential").or(FIND)),
    (
        "PUT /v1/blind_credentials/{id}",
        Operation::new("The next revision of a blind credential. What is not sent stays.", "BlindCredential")
            .body("BlindPatch")
            .or(CHANGE),
    ),
    (
        "GET /v1/blind_credentials/{id}/services",
        Operation::new("Services that a blind credential is mapped into.", "Dependents").or(FIND),
    ),
    (
        "PUT /v1/blind_credentials/{id}/{revision}",
        Operation::new("A next revision with the content of an earlier one.", "BlindCredential").or(CHANGE),
    ),
    (
        "GET /v1/archive/blind_credentials",
        Operation::new("All revisions of all blind credentials.", "BlindCredentials").query(PAGE).or(LIST),
    ),
    (
        "GET /v1/archive/blind_credentials/{id}",
        Operation::new("All revisions of a blind credential, the last one first.", "BlindRevisions").or(FIND),
    ),
    ("GET /v1/cas", Operation::new("Certificate authorities.", "Authorities")),
    ("GET /v1/cas/{ca}", Operation::new("A certificate authority.", "Authority").or(FIND)),
    (
        "GET /v1/certificates/{ca}/{cn}",
        Operation::new("A new key with a certificate; neither is kept.", "KeyWithCertificate")
            .query(CERTIFICATE)
            .or(ISSUE),
    ),
    (
        "POST /v1/certificates/{ca}",
        Operation::new("A certificate for the key of a signing request.", "Certificate")
            .body("SigningRequest")
            .or(ISSUE),
    ),
    ("GET /v1/jwks/token", Operation::new("A token about the caller.", "Token").query(ENVIRONMENT).or(TOKEN)),
    ("GET /v1/jwks/token/{id}", Operation::new("A token about somebody.", "Token").query(ENVIRONMENT).or(TOKEN)),
    (
        "GET /v1/jwks/token/{id}/{expiry}",
        Operation::new("A token about somebody for a time.", "Token").query(ENVIRONMENT).or(TOKEN),
    ),
    ("GET /v1/jwks/public/{environment}", Operation::new("Keys that verify tokens.", "Keys").or(&[404, 500, 503])),
];
