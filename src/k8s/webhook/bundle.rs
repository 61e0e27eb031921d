//! What a webhook configuration carries as `caBundle`, and the change that makes it carry ours. Decides, writes nothing.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch;
use k8s_openapi::api::admissionregistration::v1::WebhookClientConfig;
use serde_json::{Value, json};

/// Webhooks of this name are ours; others in the same configuration are left alone.
const OURS: &str = ".strongroom.dev";

/// The webhooks of one configuration that are ours, as they were at `version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub version: String,
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place among all webhooks of the configuration.
    index: usize,
    pub name: String,
    bundle: Vec<u8>,
}

impl Held {
    pub fn new<'a>(version: String, webhooks: impl Iterator<Item = (&'a str, &'a WebhookClientConfig)>) -> Self {
        let entry = |(index, (name, client)): (usize, (&str, &WebhookClientConfig))| Entry {
            index,
            name: name.to_owned(),
            bundle: client.ca_bundle.as_ref().map(|bundle| bundle.0.clone()).unwrap_or_default(),
        };
        let ours = webhooks.enumerate().filter(|(_, (name, _))| name.ends_with(OURS));
        Self { version, entries: ours.map(entry).collect() }
    }

    pub fn carries(&self, roots: &str) -> bool {
        self.outdated(roots).next().is_none()
    }

    fn outdated(&self, roots: &str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.bundle != roots.as_bytes())
    }

    /// Names of webhooks that trust somebody, and none of these roots.
    pub fn foreign(&self, roots: &str) -> Vec<&str> {
        let ours: BTreeSet<&str> = certificates(roots).collect();
        let foreign = |entry: &&Entry| {
            let text = String::from_utf8_lossy(&entry.bundle);
            !entry.bundle.is_empty() && !certificates(&text).any(|certificate| ours.contains(certificate))
        };
        self.outdated(roots).filter(foreign).map(|entry| entry.name.as_str()).collect()
    }

    /// Fits this version only: what somebody moved meanwhile is not hit by its old place.
    pub fn patch(&self, roots: &str) -> Patch {
        let bundle = STANDARD.encode(roots);
        let carry = |entry: &Entry| {
            let path = format!("/webhooks/{}/clientConfig/caBundle", entry.index);
            json!({"op": "add", "path": path, "value": bundle})
        };
        let same = json!({"op": "test", "path": "/metadata/resourceVersion", "value": self.version});
        let operations = std::iter::once(same).chain(self.outdated(roots).map(carry)).collect();
        serde_json::from_value(Value::Array(operations)).expect("operations of a JSON patch")
    }

    /// Whether this was seen after `other`. Versions that are no numbers are taken in the order of their arrival.
    pub fn is_older_than(&self, other: &Self) -> bool {
        let number = |held: &Self| held.version.parse::<u128>().ok();
        number(self).zip(number(other)).is_some_and(|(this, other)| this < other)
    }
}

fn certificates(pem: &str) -> impl Iterator<Item = &str> {
    pem.split("-----BEGIN CERTIFICATE-----").skip(1).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const TWO: &str = "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n";

    fn held(webhooks: &[(&str, Option<&str>)]) -> Held {
        let client = |(name, bundle): &(&'static str, Option<&str>)| {
            let ca_bundle = bundle.map(|text| ByteString(text.into()));
            (*name, WebhookClientConfig { ca_bundle, url: Some("https://x".into()), ..Default::default() })
        };
        let names: Vec<(&'static str, Option<&str>)> =
            webhooks.iter().map(|(name, bundle)| (&*name.to_string().leak(), *bundle)).collect();
        let clients: Vec<_> = names.iter().map(client).collect();
        Held::new("7".into(), clients.iter().map(|(name, client)| (*name, client)))
    }

    #[test]
    fn only_what_differs_and_is_ours_is_changed() {
        let held = held(&[("a.example.org", None), ("b.strongroom.dev", Some(ONE)), ("c.strongroom.dev", None)]);
        let expected = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "add", "path": "/webhooks/2/clientConfig/caBundle", "value": STANDARD.encode(ONE)},
        ]);
        assert_eq!(serde_json::to_value(held.patch(ONE)).expect("a patch"), expected);
        assert!(!held.carries(ONE));
    }

    #[test]
    fn nothing_is_left_to_do_when_all_of_ours_carry_the_roots() {
        let both = format!("{TWO}{ONE}");
        assert!(held(&[("x.example.org", None), ("b.strongroom.dev", Some(&both))]).carries(&both));
        assert!(!held(&[("b.strongroom.dev", Some(ONE))]).carries(&both));
    }

    #[test]
    fn an_earlier_bundle_of_ours_is_not_foreign() {
        let both = format!("{TWO}{ONE}");
        let held = held(&[
            ("old.strongroom.dev", Some(ONE)),
            ("empty.strongroom.dev", None),
            ("junk.strongroom.dev", Some("junk")),
            ("other.strongroom.dev", Some("-----BEGIN CERTIFICATE-----\nCCCC\n-----END CERTIFICATE-----")),
        ]);
        assert_eq!(held.foreign(&both), ["junk.strongroom.dev", "other.strongroom.dev"]);
    }

    #[test]
    fn what_was_seen_late_is_not_news() {
        let at = |version: &str| Held { version: version.into(), entries: Vec::new() };
        assert!(at("9").is_older_than(&at("10")));
        assert!(!at("10").is_older_than(&at("10")));
        assert!(!at("abc").is_older_than(&at("10")));
    }
}
