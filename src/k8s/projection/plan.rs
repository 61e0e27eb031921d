//! Decides what has to happen to one projection, from metadata and with a named reason. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::domain::record::Owner;
use crate::k8s::crd::{ConflictPolicy, DeletionPolicy, GROUP};
use crate::k8s::label;
use crate::k8s::projection::Projection;
use crate::k8s::projection::held::Held;

/// The resource on whose behalf projections are written.
#[derive(Clone, Debug)]
pub struct Author {
    pub owner: Owner,
    pub uid: String,
    pub api_version: String,
    pub deletion: DeletionPolicy,
    pub conflict: ConflictPolicy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    Create,
    Keep,
    Write(Reason),
    /// Somebody else's, or nobody's: not ours to touch.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its owner agreed that we take it over.
    Adopted,
    /// What it shows is not what it should show any more.
    NewContent,
    /// Somebody changed its data.
    Edited,
    /// Only labels, annotations or the owner reference are not as they should be.
    Metadata,
}

impl Reason {
    /// Whether the values have to be written too.
    pub fn writes_values(self) -> bool {
        self != Self::Metadata
    }
}

pub fn plan(held: Option<&Held>, author: &Author, wish: &Projection) -> Plan {
    let Some(held) = held else { return Plan::Create };
    if !is_ours(held, author) {
        return match author.conflict == ConflictPolicy::Adopt && has_consent(held, author) {
            true => Plan::Write(Reason::Adopted),
            false => Plan::Foreign,
        };
    }
    if held.content.as_deref() != Some(&wish.content.word) {
        return Plan::Write(Reason::NewContent);
    }
    if !held.is_untouched(&wish.content.keys) {
        return Plan::Write(Reason::Edited);
    }
    let revision = wish.revision.to_string();
    let described = held.kind.as_deref() == Some(&author.owner.kind)
        && held.managed_by.as_deref() == Some(label::STRONGROOM)
        && held.owner.as_deref() == Some(&author.owner.name)
        && held.revision.as_deref() == Some(&revision)
        && held.mark == wish.mark
        && held.references == references(held, author);
    if described { Plan::Keep } else { Plan::Write(Reason::Metadata) }
}

/// Ours is what this very resource controls, and what names it and is controlled by nobody else. A controller
/// of our kind and name with another uid is this resource before it was deleted and made again.
pub fn is_ours(held: &Held, author: &Author) -> bool {
    let controller = held.references.iter().find(|reference| reference.controller == Some(true));
    if controller.is_some_and(|reference| reference.uid == author.uid) {
        return true;
    }
    let named = held.kind.as_deref() == Some(&author.owner.kind) && held.owner.as_deref() == Some(&author.owner.name);
    named && controller.is_none_or(|reference| is_predecessor(reference, author))
}

fn is_predecessor(reference: &OwnerReference, author: &Author) -> bool {
    reference.kind == author.owner.kind
        && reference.name == author.owner.name
        && reference.api_version.split('/').next() == Some(GROUP)
}

fn has_consent(held: &Held, author: &Author) -> bool {
    let controlled = held.references.iter().any(|reference| reference.controller == Some(true));
    held.adopt.as_deref() == Some(&consent(author)) && !controlled
}

/// What the annotation `strongroom.dev/adopt` must say.
pub fn consent(author: &Author) -> String {
    format!("{}.{}", author.owner.kind, author.owner.name)
}

/// Owner references as they should be: those of others, and ours if the projection goes with us.
pub fn references(held: &Held, author: &Author) -> Vec<OwnerReference> {
    let others = held
        .references
        .iter()
        .filter(|reference| reference.uid != author.uid && !is_predecessor(reference, author))
        .cloned();
    others.chain(own_reference(author)).collect()
}

pub fn own_reference(author: &Author) -> Option<OwnerReference> {
    (author.deletion == DeletionPolicy::Delete).then(|| OwnerReference {
        api_version: author.api_version.clone(),
        kind: author.owner.kind.clone(),
        name: author.owner.name.clone(),
        uid: author.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::name::Revision;
    use crate::k8s::projection::held::{read, tests::meta};
    use crate::k8s::projection::{Content, Sort};

    const OURS: &[(&str, &[&str])] = &[("strongroom-credential", &["password"])];

    fn author() -> Author {
        Author {
            owner: Owner { kind: "Credential".into(), namespace: "shop".into(), name: "db".into() },
            uid: "me".into(),
            api_version: "strongroom.dev/v1alpha1".into(),
            deletion: DeletionPolicy::Delete,
            conflict: ConflictPolicy::Fail,
        }
    }

    fn wish() -> Projection {
        let content = Content { word: "word".into(), keys: ["password".to_owned()].into(), items: Some(vec![]) };
        Projection { sort: Sort::Secret("Opaque"), name: "db".into(), revision: Revision(1), mark: None, content }
    }

    fn held() -> Held {
        Held { references: own_reference(&author()).into_iter().collect(), ..read(&meta("1", "db", OURS)) }
    }

    fn reference(kind: &str, name: &str, uid: &str) -> OwnerReference {
        OwnerReference { kind: kind.into(), name: name.into(), uid: uid.into(), ..own_reference(&author()).unwrap() }
    }

    fn planned(held: Held) -> Plan {
        plan(Some(&held), &author(), &wish())
    }

    #[test]
    fn what_is_as_it_should_be_is_kept() {
        assert_eq!(plan(None, &author(), &wish()), Plan::Create);
        assert_eq!(planned(held()), Plan::Keep);
    }

    #[test]
    fn a_change_of_what_is_shown_writes_values() {
        assert_eq!(planned(Held { content: Some("old".into()), ..held() }), Plan::Write(Reason::NewContent));
        assert_eq!(planned(Held { content: None, ..held() }), Plan::Write(Reason::NewContent));
    }

    #[test]
    fn an_edit_is_seen_by_who_wrote_each_key() {
        let taken: &[(&str, &[&str])] = &[("strongroom-credential", &[]), ("kubectl-edit", &["password"])];
        let added: &[(&str, &[&str])] = &[OURS[0], ("kubectl-edit", &["more"])];
        let removed: &[(&str, &[&str])] = &[("strongroom-credential", &[])];
        for managers in [taken, added, removed] {
            let edited = Held { references: held().references, ..read(&meta("2", "db", managers)) };
            assert_eq!(planned(edited.clone()), Plan::Write(Reason::Edited));
            assert_eq!(planned(Held { verified: true, ..edited }), Plan::Keep);
        }
    }

    #[test]
    fn labels_and_annotations_are_put_right_without_values() {
        let stale = [
            Held { revision: Some("0".into()), ..held() },
            Held { managed_by: None, ..held() },
            Held { kind: None, ..held() },
            Held { owner: None, ..held() },
            Held { mark: Some("m".into()), ..held() },
            Held { references: vec![], ..held() },
        ];
        for held in stale {
            assert_eq!(planned(held.clone()), Plan::Write(Reason::Metadata), "{held:?}");
        }
    }

    #[test]
    fn what_another_resource_controls_or_nobody_labelled_is_foreign() {
        let other = |reference| Held { references: vec![reference], ..held() };
        assert_eq!(planned(other(reference("Credential", "mail", "x"))), Plan::Foreign);
        assert_eq!(planned(other(reference("Deployment", "db", "x"))), Plan::Foreign);
        let unlabelled = Held { kind: None, owner: None, references: vec![], ..held() };
        assert_eq!(planned(unlabelled.clone()), Plan::Foreign);
        assert_eq!(planned(Held { owner: Some("mail".into()), references: vec![], ..held() }), Plan::Foreign);
        assert_eq!(planned(Held { kind: Some("Service".into()), references: vec![], ..held() }), Plan::Foreign);
    }

    #[test]
    fn the_secret_of_an_earlier_resource_of_the_same_name_is_taken_up() {
        let earlier = Held { references: vec![reference("Credential", "db", "before")], ..held() };
        assert_eq!(planned(earlier.clone()), Plan::Write(Reason::Metadata));
        assert_eq!(references(&earlier, &author()), held().references);
    }

    #[test]
    fn a_foreign_secret_is_adopted_only_with_both_consents() {
        let foreign = Held { kind: None, owner: None, references: vec![], ..held() };
        let agreed = Held { adopt: Some("Credential.db".into()), ..foreign.clone() };
        let adopting = Author { conflict: ConflictPolicy::Adopt, ..author() };
        assert_eq!(plan(Some(&agreed), &adopting, &wish()), Plan::Write(Reason::Adopted));
        assert_eq!(plan(Some(&agreed), &author(), &wish()), Plan::Foreign);
        assert_eq!(plan(Some(&foreign), &adopting, &wish()), Plan::Foreign);
        let other = Held { adopt: Some("Credential.mail".into()), ..foreign };
        assert_eq!(plan(Some(&other), &adopting, &wish()), Plan::Foreign);
        let controlled = Held { references: vec![reference("Deployment", "x", "x")], ..agreed };
        assert_eq!(plan(Some(&controlled), &adopting, &wish()), Plan::Foreign);
    }

    #[test]
    fn references_of_others_stay() {
        let mut guest = reference("Widget", "w", "x");
        guest.controller = None;
        let both = Held { references: vec![guest.clone()], ..held() };
        assert_eq!(references(&both, &author()), [guest.clone(), own_reference(&author()).unwrap()]);
        let retaining = Author { deletion: DeletionPolicy::Retain, ..author() };
        assert_eq!(references(&both, &retaining), [guest]);
    }
}
