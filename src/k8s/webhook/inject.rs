//! Puts references to Secrets into a pod. Never a value, never a look at an image, and nothing that the creator of the
//! pod could not have written: a pod reaches the Secrets of its own namespace by itself. Injection is a convenience;
//! whoever goes around it gains nothing.

use json_patch::Patch;
use kube::ResourceExt;
use serde_json::{Map, Value, json};

use super::place::{list, places};
use super::volumes::{self, Source};
use super::wish::{INJECT_AS, INJECTED, SERVICES, Way, Wish, annotation};
use super::{Refusal, shown};
use crate::k8s::crd::{Managed, Service};

/// What is known of a Service that a pod names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    pub service: String,
    /// `None`: it makes no Secret.
    pub secret: Option<String>,
    /// Keys of the Secret; empty while they are not known.
    pub keys: Vec<String>,
}

impl From<&Service> for Delivered {
    fn from(service: &Service) -> Self {
        let keys = super::settled_status(service).map_or_else(Vec::new, |status| status.keys.clone());
        Self { service: service.name_any(), secret: service.secret_name(), keys }
    }
}

/// What has to change in `pod`: nothing when it has everything already, whoever put it there.
/// `services` are those of the wish, in its order.
pub fn inject(pod: &Value, wish: &Wish, services: &[Delivered]) -> Result<Patch, Refusal> {
    let mut changed = pod.clone();
    let spec = changed.get_mut("spec").and_then(Value::as_object_mut);
    let spec = spec.ok_or_else(|| Refusal::new("spec", "is missing: a pod has containers"))?;
    let places = places(spec, wish.containers.as_deref())?;
    let sources = services.iter().map(source).collect::<Result<Vec<_>, _>>()?;
    match &wish.way {
        Way::Env => {
            require_distinct_keys(services)?;
            for (place, _) in &places {
                let Some(container) = place.find(spec) else { continue };
                sources.iter().for_each(|source| add_environment(container, source.secret));
            }
        }
        Way::Files { folder } => volumes::mount(spec, &places, folder, &sources)?,
    }
    let names = |names: Vec<&str>| names.join(",");
    let done = format!(
        "{} as {} in {}",
        names(sources.iter().map(|source| source.service).collect()),
        wish.way.name(),
        names(places.iter().map(|(_, name)| name.as_str()).collect())
    );
    changed["metadata"]["annotations"][INJECTED] = Value::String(done);
    Ok(json_patch::diff(pod, &changed))
}

fn source(of: &Delivered) -> Result<Source<'_>, Refusal> {
    let service = of.service.as_str();
    let why = || format!("Service {service} has target.creationPolicy None, so it has no Secret that a pod could use");
    let secret = of.secret.as_deref().ok_or_else(|| Refusal::new(annotation(SERVICES), why()))?;
    Ok(Source { service, secret })
}

/// In an environment the later of two equal names hides the earlier: the user name of one credential would stand beside
/// the password of another, and nobody would be told.
fn require_distinct_keys(services: &[Delivered]) -> Result<(), Refusal> {
    for (at, one) in services.iter().enumerate() {
        let others = services[at + 1..].iter().filter(|other| other.secret != one.secret);
        for other in others {
            if let Some(key) = one.keys.iter().find(|key| other.keys.contains(key)) {
                let why = format!(
                    "Services {} and {} both bring the key {}, and one would hide the other: rename it with keys in one of the Services, or write {INJECT_AS}: files",
                    one.service,
                    other.service,
                    shown(key)
                );
                return Err(Refusal::new(annotation(SERVICES), why));
            }
        }
    }
    Ok(())
}

fn add_environment(container: &mut Map<String, Value>, secret: &str) {
    let sources = list(container, "envFrom");
    let is_there = |source: &Value| {
        source.pointer("/secretRef/name").and_then(Value::as_str) == Some(secret)
            && source.pointer("/secretRef/optional").is_none_or(|optional| optional != true)
            && source.get("prefix").is_none_or(|prefix| prefix == "")
    };
    if !sources.iter().any(is_there) {
        // Not optional: a container that asked for its credentials waits for them.
        sources.push(json!({"secretRef": {"name": secret, "optional": false}}));
    }
}

#[cfg(test)]
mod tests;
