//! How values of the domain stand in columns, whatever the database. What is written here is a promise to
//! every later version.

use std::fmt::Display;

use jiff::SignedDuration;

use crate::app::ports::AliasKind;
use crate::domain::name::RecordId;
use crate::domain::record::{Class, Origin};
use crate::domain::{Error, Result};

pub(super) fn damaged(id: RecordId, why: &dyn Display) -> Error {
    Error::Damaged { what: format!("record {id}"), detail: why.to_string() }
}

pub(super) fn class_number(class: Class) -> i16 {
    class.number().into()
}

pub(super) fn class(number: i16) -> Option<Class> {
    Class::ALL.into_iter().find(|class| class_number(*class) == number)
}

pub(super) fn alias_number(kind: AliasKind) -> i16 {
    kind.number().into()
}

pub(super) fn alias_kind(number: i16) -> Option<AliasKind> {
    AliasKind::ALL.into_iter().find(|kind| alias_number(*kind) == number)
}

pub(super) fn origin_text(origin: &Origin) -> Result<String> {
    serde_json::to_string(origin).map_err(Error::internal)
}

/// 292,000 years: more is a mistake of ours.
pub(super) fn micros(duration: SignedDuration) -> Result<i64> {
    duration.as_micros().try_into().map_err(Error::internal)
}

/// Numbers that only grow, by one at a time.
pub(super) fn counted(number: u64) -> Result<i64> {
    number.try_into().map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::Owner;

    #[test]
    fn origins_are_written_as_they_always_were() {
        let owner = Owner { kind: "Credential".into(), namespace: "shop".into(), name: "db".into() };
        for (origin, text) in [
            (Origin::Rest, r#""Rest""#),
            (Origin::Own, r#""Own""#),
            (Origin::Resource(owner), r#"{"Resource":{"kind":"Credential","namespace":"shop","name":"db"}}"#),
        ] {
            assert_eq!(origin_text(&origin).unwrap(), text);
        }
    }

    #[test]
    fn classes_and_alias_kinds_keep_their_numbers() {
        assert_eq!(Class::ALL.map(class_number), [1, 2, 3, 4, 5]);
        assert_eq!(Class::ALL.map(|one| class(class_number(one))), Class::ALL.map(Some));
        let kinds = AliasKind::ALL;
        assert_eq!(kinds.map(alias_number), [1, 2, 3, 4]);
        assert_eq!(kinds.map(|one| alias_kind(alias_number(one))), kinds.map(Some));
        assert_eq!((class(6), alias_kind(5)), (None, None));
    }
}
