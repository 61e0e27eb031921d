//! The Secrets of Services as files: a volume for each Service, and a mount in each container that receives it.

use serde_json::{Map, Value, json};

use super::Refusal;
use super::place::{Place, list};
use super::wish::{MOUNT_PATH, annotation};

/// A Service with the Secret that holds it.
pub(super) struct Source<'a> {
    pub service: &'a str,
    pub secret: &'a str,
}

/// Mounts each Service at `<folder>/<service>`.
pub(super) fn mount(
    spec: &mut Map<String, Value>,
    places: &[(Place, String)],
    folder: &str,
    sources: &[Source<'_>],
) -> Result<(), Refusal> {
    let mode = mode(spec);
    for source in sources {
        let path = format!("{folder}/{}", source.service);
        let volumes = spec.get("volumes").cloned().unwrap_or_default();
        let volume = volume_name(source.service);
        let mut mounted = false;
        for (place, name) in places {
            let Some(container) = place.find(spec) else { continue };
            let mounts = list(container, "volumeMounts");
            if !has_it(mounts, &path, &volumes, source.secret, name)? {
                mounts.push(json!({"name": volume, "mountPath": path, "readOnly": true}));
                mounted = true;
            }
        }
        if mounted {
            add_volume(list(spec, "volumes"), &volume, source.secret, mode)?;
        }
    }
    Ok(())
}

/// Who may read the files. The kubelet gives them to root and, where there is an `fsGroup`, to that group: 0440 then,
/// which also keeps other users of the container out. Without one, a container that does not run as root could read
/// nothing with less than 0444, and which user it runs as may stand in its image only, where we never look. Either
/// way the files exist in memory, and only in containers that mount them.
fn mode(spec: &Map<String, Value>) -> u32 {
    let group = spec.get("securityContext").and_then(|context| context.get("fsGroup"));
    if group.is_some_and(Value::is_number) { 0o440 } else { 0o444 }
}

/// Whether this container shows this Secret at `path` already. Anything else there, or below, is in the way.
fn has_it(mounts: &[Value], path: &str, volumes: &Value, secret: &str, container: &str) -> Result<bool, Refusal> {
    for mount in mounts {
        let at = mount.get("mountPath").and_then(Value::as_str).unwrap_or_default().trim_end_matches('/');
        let volume = mount.get("name").and_then(Value::as_str).unwrap_or_default();
        let whole = ["subPath", "subPathExpr"].iter().all(|part| mount.get(part).is_none_or(|it| it == ""));
        let below = at.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        if at == path && whole && shows(volumes, volume, secret) {
            return Ok(true);
        }
        if at == path || below {
            let why = format!("container {container} mounts its volume {volume} at {at}: choose another folder");
            return Err(Refusal::new(annotation(MOUNT_PATH), why));
        }
    }
    Ok(false)
}

fn shows(volumes: &Value, name: &str, secret: &str) -> bool {
    let mut volumes = volumes.as_array().into_iter().flatten();
    volumes.any(|volume| volume.get("name").is_some_and(|it| it == name) && is_whole_secret(volume, secret))
}

/// All keys of the Secret, without which the pod does not start.
fn is_whole_secret(volume: &Value, secret: &str) -> bool {
    volume.pointer("/secret/secretName").is_some_and(|name| name == secret)
        && volume.pointer("/secret/items").and_then(Value::as_array).is_none_or(Vec::is_empty)
        && volume.pointer("/secret/optional").is_none_or(|optional| optional != true)
}

fn add_volume(volumes: &mut Vec<Value>, name: &str, secret: &str, mode: u32) -> Result<(), Refusal> {
    match volumes.iter().find(|volume| volume.get("name").is_some_and(|it| it == name)) {
        None => volumes.push(json!({"name": name, "secret": {"secretName": secret, "defaultMode": mode}})),
        Some(volume) if is_whole_secret(volume, secret) => {}
        Some(_) => {
            let why =
                format!("is not the Secret {secret}, for which this name is needed: give the volume another name");
            return Err(Refusal::new(format!("spec.volumes[{name}]"), why));
        }
    }
    Ok(())
}

/// A volume's name is a label: short and without dots, which the name of a Service may have. Such a name is cut and
/// made distinct again by a checksum; it only has to be the same whenever the same pod is asked about again.
fn volume_name(service: &str) -> String {
    const LIMIT: usize = 63;
    const PREFIX: &str = "strongroom-";
    let plain = format!("{PREFIX}{service}");
    if plain.len() <= LIMIT && !plain.contains('.') {
        return plain;
    }
    let checksum = format!("-{:08x}", fnv1a(service.as_bytes()));
    let room = LIMIT - checksum.len();
    // Names of Services are ASCII, so that every index is between two characters.
    let cut = plain[..plain.len().min(room)].replace('.', "-");
    format!("{}{checksum}", cut.trim_end_matches('-'))
}

/// FNV-1a, 32 bits: the same in every release of Strongroom and of Rust.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::name::is_dns_label;
    use proptest::prelude::*;

    #[test]
    fn a_volume_is_called_as_its_service() {
        assert_eq!(volume_name("shop"), "strongroom-shop");
        assert_eq!(volume_name("shop.v2"), "strongroom-shop-v2-81681461");
        assert_ne!(volume_name("shop.v2"), volume_name("shop-v2"));
    }

    proptest! {
        #[test]
        fn a_volume_has_a_name_that_kubernetes_takes(
            service in "[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?){0,4}"
        ) {
            prop_assert!(is_dns_label(&volume_name(&service)), "{}", volume_name(&service));
        }
    }
}
