//! Labels and annotations of projections and of what is started again: the contract of docs/architecture.md.

/// Label: kind of the resource that a projection shows. The watches of projections select by it.
pub const KIND: &str = "strongroom.dev/kind";
/// Label.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub const STRONGROOM: &str = "strongroom";
/// Annotation: name of the resource.
pub const OWNER: &str = "strongroom.dev/owner";
/// Annotation: revision of the record that is shown.
pub const REVISION: &str = "strongroom.dev/revision";
/// Annotation: which revisions are shown under which keys, as one word; made of identifiers, never of values.
pub const CONTENT: &str = "strongroom.dev/content";
/// Annotation: ties the Secret of a Basic client to the password hash in the store.
pub const MARK: &str = "strongroom.dev/mark";
/// Annotation on a foreign Secret: its owner's consent.
pub const ADOPT: &str = "strongroom.dev/adopt";

/// Label of a Deployment, StatefulSet or DaemonSet, `"true"`: its pods are started again when what they use has changed.
pub const RESTART: &str = "strongroom.dev/restart";
/// Annotation of such a workload: what its pods were started with, in words as those of [`CONTENT`].
pub const STARTED_WITH: &str = "strongroom.dev/started-with";
/// Annotation of its pod template: a new one starts the pods again.
pub const RESTARTED_FOR: &str = "strongroom.dev/restarted-for";
/// The field manager of both.
pub const RESTARTER: &str = "strongroom-restart";
