//! What a pod asks for with its label and annotations. Knows neither the pod's containers nor which Services there are.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Refusal, shown};
use crate::domain::name::{is_dns_label, is_dns_subdomain};

pub const INJECT: &str = "strongroom.dev/inject";
pub const SERVICES: &str = "strongroom.dev/services";
pub const INJECT_AS: &str = "strongroom.dev/inject-as";
pub const CONTAINERS: &str = "strongroom.dev/containers";
pub const MOUNT_PATH: &str = "strongroom.dev/mount-path";
pub const INJECTED: &str = "strongroom.dev/injected";
const DEFAULT_MOUNT_PATH: &str = "/run/strongroom";

/// What a labelled pod wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub services: Vec<String>,
    pub way: Way,
    /// `None`: all of them.
    pub containers: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    Env,
    /// Each Service is a folder of this one.
    Files {
        folder: String,
    },
}

impl Way {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::Files { .. } => "files",
        }
    }
}

/// `None`: the pod wants nothing. `strongroom.dev/injected` is not asked: anybody can write it.
pub fn read(metadata: &ObjectMeta) -> Result<Option<Wish>, Refusal> {
    let label = metadata.labels.as_ref().and_then(|labels| labels.get(INJECT));
    if label.is_none_or(|value| value != "true") {
        return Ok(None);
    }
    let none = BTreeMap::new();
    let annotations = metadata.annotations.as_ref().unwrap_or(&none);
    let services = annotations.get(SERVICES).ok_or_else(|| {
        let why = format!(
            "is missing, and the label {INJECT} asks for Services: write their names, such as {SERVICES}: shop,mail, or remove the label"
        );
        Refusal::new(annotation(SERVICES), why)
    })?;
    Ok(Some(Wish {
        services: names(SERVICES, services, "Service", is_dns_subdomain)?,
        way: way(annotations)?,
        containers: annotations
            .get(CONTAINERS)
            .map(|text| names(CONTAINERS, text, "container", is_dns_label))
            .transpose()?,
    }))
}

/// An annotation as the API server writes a field.
pub fn annotation(key: &str) -> String {
    format!("metadata.annotations[{key}]")
}

fn names(key: &str, text: &str, what: &str, well_formed: fn(&str) -> bool) -> Result<Vec<String>, Refusal> {
    let refuse = |why: String| Err(Refusal::new(annotation(key), why));
    if text.trim().is_empty() {
        return refuse(format!("is empty: write names of {what}s, separated by commas"));
    }
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',').map(str::trim) {
        if name.is_empty() {
            return refuse(format!("has a comma without a name: write names of {what}s, separated by single commas"));
        }
        if !well_formed(name) {
            return refuse(format!("{} cannot be the name of a {what}: separate names by commas", shown(name)));
        }
        if names.iter().any(|other| other == name) {
            return refuse(format!("names {name} twice: write each {what} once"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn way(annotations: &BTreeMap<String, String>) -> Result<Way, Refusal> {
    let folder = annotations.get(MOUNT_PATH);
    match annotations.get(INJECT_AS).map(String::as_str) {
        Some("files") => {
            let folder = folder.map_or(DEFAULT_MOUNT_PATH, String::as_str);
            Ok(Way::Files { folder: one_spelling(folder)? })
        }
        None | Some("env") if folder.is_some() => {
            let why = format!("is for files only: write {INJECT_AS}: files, or remove it");
            Err(Refusal::new(annotation(MOUNT_PATH), why))
        }
        None | Some("env") => Ok(Way::Env),
        Some(other) => {
            let why = format!("{} is not known: write env or files", shown(other));
            Err(Refusal::new(annotation(INJECT_AS), why))
        }
    }
}

/// The folder without a slash at its end. Two spellings of one path would hide that two mounts meet.
fn one_spelling(path: &str) -> Result<String, Refusal> {
    const LIMIT: usize = 1024;
    let bare = path.strip_suffix('/').unwrap_or(path);
    let odd = |segment: &str| matches!(segment, "" | "." | "..");
    let absolute = bare.strip_prefix('/').is_some_and(|rest| !rest.split('/').any(odd));
    // Kubernetes takes no colon in a mount path.
    if absolute && bare.len() <= LIMIT && !bare.chars().any(|c| c == ':' || c.is_control()) {
        return Ok(bare.to_owned());
    }
    let why = format!(
        "{} cannot be used: write the absolute path of a folder, such as {DEFAULT_MOUNT_PATH}, without . and .. and colons",
        shown(path)
    );
    Err(Refusal::new(annotation(MOUNT_PATH), why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pod(label: Option<&str>, annotations: &[(&str, &str)]) -> ObjectMeta {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        ObjectMeta {
            labels: label.map(|value| BTreeMap::from([(INJECT.to_owned(), value.to_owned())])),
            annotations: Some(annotations.iter().map(owned).collect()),
            ..ObjectMeta::default()
        }
    }

    fn refusal(annotations: &[(&str, &str)]) -> String {
        read(&pod(Some("true"), annotations)).expect_err("refused").to_string()
    }

    #[test]
    fn a_pod_without_the_label_wants_nothing() {
        for label in [None, Some("false"), Some("")] {
            assert_eq!(read(&pod(label, &[(SERVICES, "shop")])), Ok(None));
        }
        assert_eq!(read(&ObjectMeta::default()), Ok(None));
    }

    #[test]
    fn names_are_read_with_spaces_around_commas() {
        let wish = read(&pod(Some("true"), &[(SERVICES, " shop , mail.v2"), (CONTAINERS, "app,init")]));
        let wish = wish.expect("well-formed").expect("wanted");
        assert_eq!(wish.services, ["shop", "mail.v2"]);
        assert_eq!(wish.containers, Some(vec!["app".to_owned(), "init".to_owned()]));
        assert_eq!(wish.way, Way::Env);
    }

    #[test]
    fn files_go_below_the_mount_path() {
        for (given, folder) in
            [(None, "/run/strongroom"), (Some("/etc/keys/"), "/etc/keys"), (Some("/a b/..c"), "/a b/..c")]
        {
            let mut annotations = vec![(SERVICES, "shop"), (INJECT_AS, "files")];
            annotations.extend(given.map(|path| (MOUNT_PATH, path)));
            let wish = read(&pod(Some("true"), &annotations)).expect("well-formed").expect("wanted");
            assert_eq!(wish.way, Way::Files { folder: folder.to_owned() });
        }
    }

    #[test]
    fn each_refusal_names_the_annotation_and_says_what_to_write() {
        let long = "x".repeat(300);
        let files = (INJECT_AS, "files");
        for (annotations, key, says) in [
            (vec![], SERVICES, "such as strongroom.dev/services: shop,mail"),
            (vec![(SERVICES, "  ")], SERVICES, "is empty"),
            (vec![(SERVICES, "shop,,mail")], SERVICES, "comma without a name"),
            (vec![(SERVICES, "shop,")], SERVICES, "comma without a name"),
            (vec![(SERVICES, "shop mail")], SERVICES, "\"shop mail\" cannot be the name"),
            (vec![(SERVICES, "../shop")], SERVICES, "cannot be the name"),
            (vec![(SERVICES, &*long)], SERVICES, "x\"…"),
            (vec![(SERVICES, "shop,shop")], SERVICES, "names shop twice"),
            (vec![(SERVICES, "shop"), (INJECT_AS, "Env")], INJECT_AS, "write env or files"),
            (vec![(SERVICES, "shop"), (INJECT_AS, "")], INJECT_AS, "write env or files"),
            (vec![(SERVICES, "shop"), (CONTAINERS, "")], CONTAINERS, "is empty"),
            (vec![(SERVICES, "shop"), (CONTAINERS, "App")], CONTAINERS, "cannot be the name"),
            (vec![(SERVICES, "shop"), (MOUNT_PATH, "/x")], MOUNT_PATH, "is for files only"),
            (vec![(SERVICES, "shop"), files, (MOUNT_PATH, "")], MOUNT_PATH, "absolute path"),
            (vec![(SERVICES, "shop"), files, (MOUNT_PATH, "/")], MOUNT_PATH, "absolute path"),
            (vec![(SERVICES, "shop"), files, (MOUNT_PATH, "a")], MOUNT_PATH, "absolute path"),
            (vec![(SERVICES, "shop"), files, (MOUNT_PATH, "/a//b")], MOUNT_PATH, "absolute path"),
            (vec![(SERVICES, "shop"), files, (MOUNT_PATH, "/a/../b")], MOUNT_PATH, "absolute path"),
            (vec![(SERVICES, "shop"), files, (MOUNT_PATH, "/a:b")], MOUNT_PATH, "absolute path"),
        ] {
            let said = refusal(&annotations);
            assert!(said.starts_with(&format!("metadata.annotations[{key}]: ")) && said.contains(says), "{said}");
            assert!(said.len() < 320, "{said}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(services in "\\PC{0,90}", way in "\\PC{0,9}", path in "\\PC{0,90}") {
            let _ = read(&pod(Some("true"), &[(SERVICES, &services), (INJECT_AS, &way), (MOUNT_PATH, &path)]));
            let _ = read(&pod(Some("true"), &[(SERVICES, &services), (INJECT_AS, "files"), (MOUNT_PATH, &path)]));
        }
    }
}
