//! Where in a pod something is put: its containers, and lists in them.

use serde_json::{Map, Value};

use super::wish::{CONTAINERS, annotation};
use super::{Refusal, shown};

/// One of the pod's containers that receive.
#[derive(Clone, Copy)]
pub(super) struct Place {
    list: &'static str,
    index: usize,
}

impl Place {
    pub(super) fn find(self, spec: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
        spec.get_mut(self.list)?.get_mut(self.index)?.as_object_mut()
    }
}

/// Containers and init containers in the pod's order, with their names.
pub(super) fn places(spec: &Map<String, Value>, wanted: Option<&[String]>) -> Result<Vec<(Place, String)>, Refusal> {
    let mut all = Vec::new();
    for list in ["initContainers", "containers"] {
        let containers = spec.get(list).and_then(Value::as_array);
        for (index, container) in containers.into_iter().flatten().enumerate() {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            all.push((Place { list, index }, name.to_owned()));
        }
    }
    let Some(wanted) = wanted else { return Ok(all) };
    if let Some(unknown) = wanted.iter().find(|wanted| all.iter().all(|(_, name)| name != *wanted)) {
        let has = all.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", ");
        let why = format!("this pod has no container {}: write one or more of {has}", shown(unknown));
        return Err(Refusal::new(annotation(CONTAINERS), why));
    }
    all.retain(|(_, name)| wanted.contains(name));
    Ok(all)
}

/// The list of this name, made where there is none.
pub(super) fn list<'a>(of: &'a mut Map<String, Value>, name: &str) -> &'a mut Vec<Value> {
    let value = of.entry(name).or_insert(Value::Null);
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    value.as_array_mut().expect("made an array above")
}
