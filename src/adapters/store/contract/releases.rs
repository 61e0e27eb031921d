//! What every store must do with records whose resource is gone.

use super::*;

pub(super) async fn a_released_record_keeps_its_name_and_frees_its_aliases(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(linked(titled(first(1, "/a"), "one"), &[7])).await.unwrap();
    store.append(first(2, "/b")).await.unwrap();
    store.release(&[id(1), id(99)], release(0)).await.unwrap();
    assert_eq!(names(&*store, None, 9).await, ["/b"]);
    assert_eq!(titled_so(&*store, "one").await, []);
    let rows = store.find(Class::Credential, Key::Names(&["/A"])).await.unwrap();
    assert_eq!(rows[0].head.released, Some(release(0)));
    assert_eq!(found(&*store, Key::LinksTo(id(7))).await, [(id(1), 1)]);
    let (_, holder) = exists(store.append(first(3, "/a")).await);
    assert_eq!(holder, id(1));
    store.append(titled(first(3, "/c"), "one")).await.unwrap();
}

pub(super) async fn the_first_release_counts(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    store.release(&[id(1)], release(0)).await.unwrap();
    store.release(&[id(1)], release(50)).await.unwrap();
    let rows = store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap();
    assert_eq!(rows[0].head.released, Some(release(0)));
}

pub(super) async fn appending_ends_a_release(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(titled(first(1, "/a"), "one")).await.unwrap();
    store.append(titled(first(2, "/b"), "two")).await.unwrap();
    store.release(&[id(1), id(2)], release(0)).await.unwrap();
    let mut again = titled(revision(Class::Credential, 1, "/a", 1), "one");
    again.row.head.released = Some(release(0)); // as it was read
    store.append(again).await.unwrap();
    store.append(titled(first(3, "/c"), "two")).await.unwrap();
    exists(store.append(titled(revision(Class::Credential, 2, "/b", 1), "two")).await);
    assert_eq!(names(&*store, None, 9).await, ["/a", "/c"]);
    assert_eq!(titled_so(&*store, "one").await, [(id(1), 2)]);
    assert_eq!(store.purge(at(1000)).await.unwrap(), 1);
    let rows = store.find(Class::Credential, Key::Ids(&[id(1), id(2)])).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.head.released).collect::<Vec<_>>(), [None]);
}

pub(super) async fn purging_forgets_what_is_due(store: Arc<dyn Adapter>) {
    store.begin().await;
    for number in 1..=4 {
        store.append(linked(first(number, &format!("/{number}")), &[7])).await.unwrap();
    }
    store.append(revision(Class::Credential, 1, "/1", 1)).await.unwrap();
    store.release(&[id(1), id(2)], release(0)).await.unwrap();
    store.release(&[id(3)], release(1)).await.unwrap();
    assert_eq!(store.purge(at(99)).await.unwrap(), 0);
    assert_eq!(store.purge(at(100)).await.unwrap(), 2);
    assert_eq!(found(&*store, Key::Ids(&[id(1), id(2), id(3), id(4)])).await, [(id(3), 1), (id(4), 1)]);
    assert_eq!(found(&*store, Key::LinksTo(id(7))).await, [(id(3), 1), (id(4), 1)]);
    assert_stale(store.append(revision(Class::Credential, 1, "/1", 2)).await);
    store.append(first(9, "/1")).await.unwrap();
    store.append(first(2, "/2")).await.unwrap();
}
