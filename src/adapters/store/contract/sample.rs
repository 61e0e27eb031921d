//! Records to write, and short words for what is read of them.

use super::*;

pub(in crate::adapters::store) fn wrapped(epoch: u32, root: &str, byte: u8) -> WrappedKey {
    WrappedKey { epoch, root: root.into(), wrapped: vec![byte; 40] }
}

pub(in crate::adapters::store) fn sealed(bytes: impl Into<Vec<u8>>) -> Sealed {
    Sealed { epoch: 1, bytes: bytes.into() }
}

pub(in crate::adapters::store) fn marked(row: &Row) -> Mac {
    keyring().mark(&Head { released: None, ..row.head.clone() }, &row.stamp).unwrap()
}

pub(in crate::adapters::store) fn id(number: u8) -> RecordId {
    RecordId::from_random([number; 16])
}

pub(in crate::adapters::store) fn at(second: i64) -> Timestamp {
    Timestamp::new(1_800_000_000 + second, 123_456_000).unwrap()
}

/// The next revision of a record after `expected`; 0 makes the record.
pub(in crate::adapters::store) fn revision(class: Class, number: u8, name: &str, expected: u64) -> Append {
    let head = Head {
        id: id(number),
        class,
        tenant: Tenant::namespace("shop"),
        name: name.into(),
        origin: Origin::Rest,
        retain_for: SignedDuration::from_hours(720),
        released: None,
    };
    let stamp = Stamp {
        number: Revision(expected + 1),
        version_id: VersionId::from_random([expected as u8; 16]),
        at: at(expected as i64),
        by: "client/shop/app".into(),
    };
    let sealed = sealed(format!("{name} {expected}"));
    let mut row = Row { head, stamp, sealed, mac: Mac { epoch: 1, bytes: [0; 32] } };
    row.mac = marked(&row);
    Append { row, expected: (expected > 0).then_some(Revision(expected)), aliases: vec![], links: vec![] }
}

pub(in crate::adapters::store) fn first(number: u8, name: &str) -> Append {
    revision(Class::Credential, number, name, 0)
}

pub(super) fn titled(append: Append, title: &str) -> Append {
    Append { aliases: vec![Alias { kind: AliasKind::Title, value: title.into() }], ..append }
}

pub(in crate::adapters::store) fn linked(append: Append, links: &[u8]) -> Append {
    Append { links: links.iter().map(|number| id(*number)).collect(), ..append }
}

pub(in crate::adapters::store) fn release(second: i64) -> Release {
    Release { at: at(second), purge_at: at(second + 100) }
}

/// Numbers and ids are what identifies rows in these tests.
pub(super) async fn found(store: &dyn Adapter, key: Key<'_>) -> Vec<(RecordId, u64)> {
    let rows = store.find(Class::Credential, key).await.unwrap();
    let mut found: Vec<_> = rows.iter().map(|row| (row.head.id, row.stamp.number.0)).collect();
    found.sort_unstable();
    found
}

pub(super) async fn titled_so(store: &dyn Adapter, title: &str) -> Vec<(RecordId, u64)> {
    found(store, Key::Alias(AliasKind::Title, title)).await
}

pub(super) async fn names(store: &dyn Adapter, after: Option<&str>, limit: usize) -> Vec<String> {
    named(store, Names::ALL, after, limit).await
}

pub(super) async fn named(store: &dyn Adapter, which: Names<'_>, after: Option<&str>, limit: usize) -> Vec<String> {
    let rows = store.list(Class::Credential, which, after, limit).await.unwrap();
    rows.into_iter().map(|row| row.head.name).collect()
}

pub(super) fn exists(result: Result<()>) -> (String, RecordId) {
    match result {
        Err(Error::Conflict(Conflict::Exists { what, id })) => (what, id),
        other => panic!("{other:?}"),
    }
}

pub(super) fn assert_stale(result: Result<()>) {
    assert!(matches!(result, Err(Error::Conflict(Conflict::Stale { .. }))), "{result:?}");
}
