//! From a request of the API server to an answer, out of what is in memory. A reflector may be milliseconds behind: what
//! would be refused is looked at again for a moment.

use std::sync::Arc;
use std::time::Duration;

use json_patch::Patch;
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, Operation};
use kube::core::response::{StatusCause, StatusDetails, StatusSummary};
use kube_runtime::reflector::{ObjectRef, Store};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::inject::{Delivered, inject};
use super::validate::{Others, Validated, refusals};
use super::wish::{self, SERVICES, Wish, annotation};
use super::{Refusal, shown};
use crate::k8s::crd::{CertificateAuthority, ClientCredential, Credential, GROUP, Managed, Service};

/// How long a pod waits for a Service that was applied just before it.
const CATCH_UP: Duration = Duration::from_secs(1);
/// How long a resource waits for the one in its way to be known as deleted.
const CATCH_UP_ON_OTHERS: Duration = Duration::from_millis(300);

/// What the webhook knows of the cluster: filled by whichever watches run.
#[derive(Clone)]
pub struct Known {
    pub credentials: Store<Credential>,
    pub services: Store<Service>,
    pub authorities: Store<CertificateAuthority>,
    pub clients: Store<ClientCredential>,
}

pub enum Answer {
    /// What the request leaves open is not our business.
    Allowed,
    Patched(Patch),
    /// Nothing is done, and the user should know.
    Warned(&'static str),
    Refused(Vec<Refusal>),
}

impl Answer {
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Allowed | Self::Warned(_) => "allowed",
            Self::Patched(_) => "injected",
            Self::Refused(_) => "refused",
        }
    }

    pub fn into_response(
        self,
        mut response: AdmissionResponse,
        request: &AdmissionRequest<DynamicObject>,
    ) -> AdmissionResponse {
        match self {
            Self::Allowed => response,
            Self::Warned(text) => {
                response.warnings = Some(vec![text.to_owned()]);
                response
            }
            // Serialising a patch of JSON values does not fail; a pod must not start without it, should it ever.
            Self::Patched(patch) => response.clone().with_patch(patch).unwrap_or_else(|error| response.deny(error)),
            Self::Refused(refusals) => refuse(response, request, &refusals),
        }
    }
}

/// A refusal as the API server itself gives it for a field, so that kubectl and GitOps tools print it like one.
fn refuse(
    response: AdmissionResponse,
    request: &AdmissionRequest<DynamicObject>,
    refusals: &[Refusal],
) -> AdmissionResponse {
    let message = refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let mut response = response.deny(message);
    let cause = |refusal: &Refusal| StatusCause {
        reason: "FieldValueInvalid".to_owned(),
        message: refusal.why.clone(),
        field: refusal.field.clone(),
    };
    response.result.status = Some(StatusSummary::Failure);
    response.result.code = 422;
    response.result.reason = "Invalid".to_owned();
    response.result.details = Some(StatusDetails {
        name: request.name.clone(),
        group: request.kind.group.clone(),
        kind: request.kind.kind.clone(),
        uid: String::new(),
        causes: refusals.iter().map(cause).collect(),
        retry_after_seconds: 0,
    });
    response
}

/// Asks again, at growing intervals, until it works or the time is over.
async fn settle<T, E>(end: Instant, mut attempt: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let mut pause = Duration::from_millis(5);
    loop {
        match attempt() {
            Err(_) if Instant::now() + pause < end => tokio::time::sleep(pause).await,
            done => return done,
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// A pod that is being made. Its other operations and its subresources are nobody's business here: what a pod refers to
/// cannot be changed any more.
pub async fn pod(request: &AdmissionRequest<DynamicObject>, known: &Known) -> Answer {
    let is_pod = request.resource.group.is_empty() && request.resource.resource == "pods";
    let subresource = request.sub_resource.as_deref().is_some_and(|name| !name.is_empty());
    match &request.object {
        Some(object) if is_pod && !subresource && request.operation == Operation::Create => {
            let namespace = request.namespace.as_deref().unwrap_or_default();
            pod_object(object, namespace, known).await.unwrap_or_else(|refusal| Answer::Refused(vec![refusal]))
        }
        _ => Answer::Allowed,
    }
}

async fn pod_object(object: &DynamicObject, namespace: &str, known: &Known) -> Result<Answer, Refusal> {
    let Some(wish) = wish::read(&object.metadata)? else { return Ok(Answer::Allowed) };
    // The kubelet shows a static pod to the API server as it already runs, and may not let it refer to Secrets.
    if object.metadata.annotations.as_ref().is_some_and(|all| all.contains_key("kubernetes.io/config.mirror")) {
        return Ok(Answer::Warned("a static pod cannot receive Services of Strongroom: nothing was injected"));
    }
    let end = Instant::now() + CATCH_UP;
    if !matches!(timeout_at(end, known.services.wait_until_ready()).await, Ok(Ok(()))) {
        let why = "cannot be looked up yet, because Strongroom has just started: try again in a moment";
        return Err(Refusal::new(annotation(SERVICES), why));
    }
    let services = settle(end, || delivered(&wish, namespace, &known.services)).await?;
    let pod = serde_json::to_value(object).unwrap_or(Value::Null);
    let patch = inject(&pod, &wish, &services)?;
    Ok(if patch.0.is_empty() { Answer::Allowed } else { Answer::Patched(patch) })
}

fn delivered(wish: &Wish, namespace: &str, services: &Store<Service>) -> Result<Vec<Delivered>, Refusal> {
    let find = |name: &String| {
        let found = services.get(&ObjectRef::new(name).within(namespace));
        found.map(|service| Delivered::from(service.as_ref())).ok_or_else(|| {
            let why = format!(
                "there is no Service {} in namespace {namespace}: apply it first, or write the name of one that `kubectl get credsvc -n {namespace}` lists",
                shown(name)
            );
            Refusal::new(annotation(SERVICES), why)
        })
    };
    wish.services.iter().map(find).collect()
}

/// One of the custom resources; `None` for any other object.
pub async fn resource(request: &AdmissionRequest<DynamicObject>, known: &Known) -> Option<Answer> {
    if request.kind.group != GROUP {
        return None;
    }
    match request.kind.kind.as_str() {
        Credential::KIND => Some(verdict::<Credential>(request, known).await),
        Service::KIND => Some(verdict::<Service>(request, known).await),
        CertificateAuthority::KIND => Some(verdict::<CertificateAuthority>(request, known).await),
        ClientCredential::KIND => Some(verdict::<ClientCredential>(request, known).await),
        _ => None,
    }
}

async fn verdict<K: Validated + DeserializeOwned>(request: &AdmissionRequest<DynamicObject>, known: &Known) -> Answer {
    let subresource = request.sub_resource.as_deref().is_some_and(|name| !name.is_empty());
    if subresource || !matches!(request.operation, Operation::Create | Operation::Update) {
        return Answer::Allowed;
    }
    let object = match request.object.clone().map(DynamicObject::try_parse::<K>) {
        Some(Ok(object)) => object,
        // Accepted by the CRD and not understood here: the CRD is of a newer Strongroom. Stored, such an object would
        // stop the watch of its whole kind.
        Some(Err(error)) => {
            let why =
                format!("this Strongroom is older than its CRDs and cannot read it ({error}): update Strongroom first");
            return Answer::Refused(vec![Refusal::new("spec", why)]);
        }
        None => return Answer::Allowed,
    };
    let old = request.old_object.clone().and_then(|old| old.try_parse::<K>().ok());
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let attempt = || match refusals(&object, old.as_ref(), &others(known, namespace)) {
        refusals if refusals.is_empty() => Ok(()),
        refusals => Err(refusals),
    };
    match settle(Instant::now() + CATCH_UP_ON_OTHERS, attempt).await {
        Ok(()) => Answer::Allowed,
        Err(refusals) => Answer::Refused(refusals),
    }
}

fn others(known: &Known, namespace: &str) -> Others {
    fn within<K>(store: &Store<K>, namespace: &str) -> Vec<Arc<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + 'static,
    {
        store.state_filter(|object| object.meta().namespace.as_deref() == Some(namespace))
    }
    Others {
        credentials: within(&known.credentials, namespace),
        services: within(&known.services, namespace),
        authorities: within(&known.authorities, namespace),
        clients: within(&known.clients, namespace),
    }
}
