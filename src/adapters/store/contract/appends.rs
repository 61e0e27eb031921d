//! What every store must do with a new revision.

use super::*;

pub(super) async fn what_was_written_is_read_back_whole(store: Arc<dyn Adapter>) {
    store.begin().await;
    let owner = Owner { kind: "Service".into(), namespace: "shop".into(), name: "Ünï".into() };
    for (number, origin) in [Origin::Rest, Origin::Own, Origin::Resource(owner)].into_iter().enumerate() {
        for class in Class::ALL {
            let number = 10 * (class as u8 + 1) + number as u8;
            let mut append = revision(class, number, &format!("/Ünï'\"\0{number}"), 0);
            append.row.head.origin = origin.clone();
            append.row.head.tenant = if number.is_multiple_of(2) { Tenant::outside() } else { Tenant::namespace("a") };
            append.row.head.retain_for = SignedDuration::from_micros(i64::from(number) - 11);
            append.row.stamp.at = Timestamp::from_microsecond(-i64::from(number)).unwrap();
            append.row.sealed.bytes = (0..=255).cycle().take(usize::from(number) * 300).collect();
            append.row.mac = marked(&append.row);
            store.append(append.clone()).await.unwrap();
            let rows = store.find(class, Key::Ids(&[id(number)])).await.unwrap();
            assert_eq!(rows, [append.row]);
        }
    }
}

pub(super) async fn names_are_unique_in_their_class_ignoring_ascii_case(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/Shop/ÄDb")).await.unwrap();
    let (what, holder) = exists(store.append(first(2, "/shop/Ädb")).await);
    assert_eq!((what.as_str(), holder), ("credential /shop/Ädb", id(1)));
    store.append(first(3, "/shop/ädb")).await.unwrap(); // only ASCII is folded
    store.append(revision(Class::Service, 4, "/shop/Ädb", 0)).await.unwrap();
    assert_eq!(found(&*store, Key::Names(&["/SHOP/Ädb"])).await, [(id(1), 1)]);
    assert_eq!(found(&*store, Key::Names(&["/shop/%"])).await, []);
    let both = found(&*store, Key::Names(&["/shop/ädb", "/nobody's \"name\"", "/SHOP/Ädb", "/shop/Ädb"])).await;
    assert_eq!(both, [(id(1), 1), (id(3), 1)]);
    assert_eq!(found(&*store, Key::Names(&[])).await, []);
}

pub(super) async fn only_the_expected_revision_is_replaced(store: Arc<dyn Adapter>) {
    store.begin().await;
    assert_stale(store.append(revision(Class::Credential, 1, "/a", 1)).await);
    store.append(first(1, "/a")).await.unwrap();
    assert_stale(store.append(first(1, "/a")).await);
    assert_stale(store.append(revision(Class::Credential, 1, "/a", 2)).await);
    store.append(revision(Class::Credential, 1, "/a", 1)).await.unwrap();
    assert_stale(store.append(revision(Class::Credential, 1, "/a", 1)).await);
    assert_eq!(found(&*store, Key::Ids(&[id(1)])).await, [(id(1), 2)]);
}

pub(super) async fn a_renamed_record_leaves_its_name_to_others(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    store.append(first(2, "/b")).await.unwrap();
    let (_, holder) = exists(store.append(revision(Class::Credential, 1, "/B", 1)).await);
    assert_eq!(holder, id(2));
    store.append(revision(Class::Credential, 1, "/A", 1)).await.unwrap();
    store.append(revision(Class::Credential, 1, "/c", 2)).await.unwrap();
    store.append(first(3, "/a")).await.unwrap();
    assert_eq!(names(&*store, None, 9).await, ["/a", "/b", "/c"]);
}

pub(super) async fn an_alias_belongs_to_one_record_of_the_class(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(titled(first(1, "/a"), "Database")).await.unwrap();
    let (what, holder) = exists(store.append(titled(first(2, "/b"), "Database")).await);
    assert_eq!((what.as_str(), holder), ("a credential with this title", id(1)));
    store.append(titled(first(2, "/b"), "database")).await.unwrap(); // byte for byte
    store.append(titled(revision(Class::Service, 3, "/s", 0), "Database")).await.unwrap();
    let print = Alias { kind: AliasKind::Fingerprint, value: "Database".into() };
    let twice = vec![print.clone(), print];
    store.append(Append { aliases: twice, ..first(4, "/d") }).await.unwrap();
    assert_eq!(titled_so(&*store, "Database").await, [(id(1), 1)]);
    assert_eq!(found(&*store, Key::Alias(AliasKind::Fingerprint, "Database")).await, [(id(4), 1)]);
}

pub(super) async fn appending_replaces_aliases_and_links(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(linked(titled(first(1, "/a"), "one"), &[7, 8, 8])).await.unwrap();
    store.append(linked(first(2, "/b"), &[8])).await.unwrap();
    assert_eq!(found(&*store, Key::LinksTo(id(8))).await, [(id(1), 1), (id(2), 1)]);
    store.append(linked(titled(revision(Class::Credential, 1, "/a", 1), "two"), &[7, 9])).await.unwrap();
    assert_eq!(found(&*store, Key::LinksTo(id(7))).await, [(id(1), 2)]);
    assert_eq!(found(&*store, Key::LinksTo(id(8))).await, [(id(2), 1)]);
    assert_eq!(found(&*store, Key::LinksTo(id(9))).await, [(id(1), 2)]);
    assert!(store.find(Class::Service, Key::LinksTo(id(9))).await.unwrap().is_empty());
    assert_eq!((titled_so(&*store, "one").await, titled_so(&*store, "two").await), (vec![], vec![(id(1), 2)]));
    store.append(titled(first(3, "/c"), "one")).await.unwrap();
}

pub(super) async fn a_refused_append_changes_nothing(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(linked(titled(first(1, "/a"), "one"), &[7])).await.unwrap();
    store.append(titled(first(2, "/b"), "two")).await.unwrap();
    let before = store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap();
    exists(store.append(linked(titled(revision(Class::Credential, 1, "/c", 1), "two"), &[8])).await);
    exists(store.append(titled(first(3, "/d"), "one")).await);
    assert_eq!(store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap(), before);
    assert_eq!(found(&*store, Key::LinksTo(id(7))).await, [(id(1), 1)]);
    assert_eq!(names(&*store, None, 9).await, ["/a", "/b"]);
}

pub(super) async fn mistakes_of_ours_are_not_stored(store: Arc<dyn Adapter>) {
    store.begin().await;
    let gap = Append { expected: None, ..revision(Class::Credential, 1, "/a", 1) };
    assert!(matches!(store.append(gap).await, Err(Error::Internal { .. })));
    store.append(first(1, "/a")).await.unwrap();
    let other_class = revision(Class::Service, 1, "/a", 1);
    assert!(matches!(store.append(other_class).await, Err(Error::Internal { .. })));
    assert_eq!(found(&*store, Key::Ids(&[id(1)])).await, [(id(1), 1)]);
}
