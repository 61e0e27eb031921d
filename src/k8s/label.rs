//! Labels and annotations of projections: the contract of docs/architecture.md.

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
