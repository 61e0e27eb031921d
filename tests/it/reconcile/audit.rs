//! What the operator asked of the API server, from the API server's own log.

use serde_json::Value;

use crate::cluster::Cluster;

pub const AGENT: &str = "strongroom-operator-under-test";

#[derive(Debug)]
pub struct Asked {
    pub verb: String,
    /// Such as `secrets` or `credentials/status`.
    pub resource: String,
    pub name: String,
    pub code: u64,
    pub uri: String,
}

/// Everything in one namespace; with an empty name, what went to all of them.
pub fn asked(cluster: &Cluster, namespace: &str) -> Vec<Asked> {
    let log = std::fs::read_to_string(cluster.audit_log()).expect("an audit log");
    let lines = log.lines().filter(|line| line.contains(AGENT));
    let entries = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries.filter(|entry| text(&entry["objectRef"]["namespace"]) == namespace).map(|entry| read(&entry)).collect()
}

impl Asked {
    pub fn is_write(&self) -> bool {
        ["create", "patch", "update", "delete"].contains(&self.verb.as_str())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn read(entry: &Value) -> Asked {
    let object = &entry["objectRef"];
    let resource = match object["subresource"].as_str() {
        Some(part) => format!("{}/{part}", text(&object["resource"])),
        None => text(&object["resource"]),
    };
    Asked {
        verb: text(&entry["verb"]),
        resource,
        name: text(&object["name"]),
        code: entry["responseStatus"]["code"].as_u64().unwrap_or_default(),
        uri: text(&entry["requestURI"]),
    }
}
