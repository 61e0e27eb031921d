//! What every store must do with its ledger, its keys and its snapshots.

use super::*;

pub(super) async fn the_ledger_counts_marks_and_chains_what_is_written(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    store.append(first(2, "/b")).await.unwrap();
    store.append(revision(Class::Credential, 1, "/a", 1)).await.unwrap();
    store.release(&[id(2)], release(0)).await.unwrap();
    assert_stale(store.append(first(1, "/a")).await);
    let ledger = store.ledger().await;
    let mut sum = [0; 32];
    let mut snapshot = store.snapshot().await.unwrap();
    let heads = snapshot.heads(None, 10).await.unwrap();
    heads.iter().for_each(|head| toggle(&mut sum, &head.mac));
    assert_eq!((ledger.count, ledger.sum, ledger.position.number), (2, sum, 5));
    assert!(keyring().verify_ledger(&ledger).is_ok());
    let audit = snapshot.audit(0, 10).await.unwrap();
    let mut position = Position::start(store.store_id().await.unwrap().bytes());
    for (found, note) in &audit {
        position = position.after(note);
        assert_eq!(*found, position);
    }
    assert_eq!(position, ledger.position);
    assert_eq!(snapshot.audit(3, 1).await.unwrap(), audit[3..4]);
    assert_eq!(store.purge(at(1000)).await.unwrap(), 1);
    assert_eq!(store.ledger().await.count, 1);
}

pub(super) async fn a_write_is_whole_or_absent(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    let before = store.ledger().await;
    let append = |append: Append| (Change::Append(Box::new(append)), note());
    let changes = vec![append(first(2, "/b")), append(revision(Class::Credential, 1, "/a", 1)), append(first(3, "/A"))];
    exists(store.write(Write { changes: changes.clone(), keyring: keyring(), fence: None }).await);
    assert_eq!(store.ledger().await, before);
    assert_eq!(names(&*store, None, 9).await, ["/a"]);
    store.write(Write { changes: changes[..2].to_vec(), keyring: keyring(), fence: None }).await.unwrap();
    assert_eq!(names(&*store, None, 9).await, ["/a", "/b"]);
    assert_eq!(store.ledger().await.position.number, before.position.number + 2);
}

pub(super) async fn what_is_sealed_under_a_replaced_key_is_refused(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    let both = Arc::new(keyring_of(StoreId::from_bytes([1; 16]), &[1, 2]));
    assert!(store.carry_out(both.clone(), Change::AddKey(wrapped(3, "root", 3))).await.is_err());
    store.carry_out(both.clone(), Change::AddKey(wrapped(2, "root", 2))).await.unwrap();
    let replaced = |result: Result<()>| assert!(matches!(result, Err(Error::KeyReplaced)), "{result:?}");
    replaced(store.append(first(2, "/b")).await); // a process that has not heard of it
    replaced(store.carry_out(both.clone(), Change::Append(Box::new(first(2, "/b")))).await);
    let row = store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap().remove(0);
    let (head, was) = (Box::new(row.head.clone()), row.mac);
    replaced(store.carry_out(both.clone(), Change::Rehead { head: head.clone(), was, mac: was }).await);
    let mac = both.mark_under(2, &row.head, &row.stamp).unwrap();
    store.carry_out(both.clone(), Change::Rehead { head: head.clone(), was, mac }).await.unwrap();
    assert_stale(store.carry_out(both.clone(), Change::Rehead { head, was, mac }).await);
    let resealed = Sealed { epoch: 2, bytes: vec![2] };
    let reseal = Change::Reseal { id: id(1), number: Revision(1), was: 1, sealed: resealed.clone() };
    store.carry_out(both.clone(), reseal.clone()).await.unwrap();
    assert_stale(store.carry_out(both, reseal).await);
    let row = store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap().remove(0);
    assert_eq!((row.sealed, row.mac), (resealed, mac));
}

pub(super) async fn a_key_is_retired_when_nothing_needs_it(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    let both = Arc::new(keyring_of(StoreId::from_bytes([1; 16]), &[1, 2]));
    assert_stale(store.carry_out(both.clone(), Change::RetireKey { epoch: 1 }).await);
    store.carry_out(both.clone(), Change::AddKey(wrapped(2, "root", 2))).await.unwrap();
    assert_stale(store.carry_out(both.clone(), Change::RetireKey { epoch: 1 }).await);
    let sealed = Sealed { epoch: 2, bytes: vec![2] };
    let reseal = Change::Reseal { id: id(1), number: Revision(1), was: 1, sealed };
    store.carry_out(both.clone(), reseal).await.unwrap();
    assert_stale(store.carry_out(both.clone(), Change::RetireKey { epoch: 1 }).await); // its head is marked under it
    let row = store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap().remove(0);
    let mac = both.mark_under(2, &row.head, &row.stamp).unwrap();
    let rehead = Change::Rehead { head: Box::new(row.head), was: row.mac, mac };
    store.carry_out(both.clone(), rehead).await.unwrap();
    store.carry_out(both.clone(), Change::RetireKey { epoch: 1 }).await.unwrap();
    assert_stale(store.carry_out(both, Change::RetireKey { epoch: 2 }).await);
    assert_eq!(store.data_keys().await.unwrap(), [wrapped(2, "root", 2)]);
}

pub(super) async fn a_root_is_retired_when_another_opens_the_same_keys(store: Arc<dyn Adapter>) {
    store.begin().await;
    let retire = |root: &str| store.carry_out(keyring(), Change::RetireRoot { root: root.into() });
    assert_stale(retire("root").await);
    store.carry_out(keyring(), Change::AddKey(wrapped(1, "new", 9))).await.unwrap();
    assert_eq!(store.ledger().await.epoch, 1);
    retire("root").await.unwrap();
    assert_eq!(store.data_keys().await.unwrap(), [wrapped(1, "new", 9)]);
    assert_stale(retire("new").await);
}

pub(super) async fn only_the_holder_of_the_fence_writes(store: Arc<dyn Adapter>) {
    store.begin().await;
    let append = |number: u8, fence: Option<u64>| {
        let change = Change::Append(Box::new(first(number, &format!("/{number}"))));
        store.write(Write { changes: vec![(change, note())], keyring: keyring(), fence: fence.map(Fence) })
    };
    let fenced = |result: Result<()>| assert!(matches!(result, Err(Error::Fenced)), "{result:?}");
    store.carry_out(keyring(), Change::Raise(Fence(3))).await.unwrap();
    append(1, Some(3)).await.unwrap();
    append(2, None).await.unwrap();
    store.carry_out(keyring(), Change::Raise(Fence(4))).await.unwrap();
    fenced(append(3, Some(3)).await);
    fenced(store.carry_out(keyring(), Change::Raise(Fence(4))).await);
    append(4, Some(4)).await.unwrap();
    assert_eq!(names(&*store, None, 9).await, ["/1", "/2", "/4"]);
}

pub(super) async fn a_changed_ledger_is_not_continued(store: Arc<dyn Adapter>) {
    store.begin().await;
    let stranger = Arc::new(keyring_of(StoreId::from_bytes([2; 16]), &[1]));
    let change = Change::Append(Box::new(first(1, "/a")));
    let refused = store.carry_out(stranger, change).await;
    assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
}

pub(super) async fn a_snapshot_stays_as_it_was(store: Arc<dyn Adapter>) {
    store.begin().await;
    for number in 1..=5 {
        store.append(linked(titled(first(number, &format!("/{number}")), &format!("t{number}")), &[7])).await.unwrap();
    }
    store.append(titled(revision(Class::Credential, 3, "/3", 1), "t3")).await.unwrap();
    let mut snapshot = store.snapshot().await.unwrap();
    let ledger = snapshot.ledger().await.unwrap();
    store.append(first(6, "/6")).await.unwrap();
    store.release(&[id(1)], release(0)).await.unwrap();
    assert_eq!(snapshot.ledger().await.unwrap(), ledger);
    let (mut heads, mut after) = (Vec::new(), None);
    loop {
        let page = snapshot.heads(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.head.id);
        heads.extend(page);
    }
    let mut expected: Vec<RecordId> = (1..=5).map(id).collect();
    expected.sort_unstable();
    assert_eq!(heads.iter().map(|head| head.head.id).collect::<Vec<_>>(), expected);
    assert!(heads.iter().all(|head| head.head.released.is_none() && head.aliases.len() == 1));
    let links: usize = heads.iter().map(|head| head.links.len()).sum();
    assert_eq!(links, 4, "the second revision of one of five replaced its link by none");
    let (mut revisions, mut after) = (Vec::new(), None);
    loop {
        let page = snapshot.revisions(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.id, last.stamp.number));
        revisions.extend(page.into_iter().map(|row| (row.id, row.stamp.number.0, row.sealed.bytes)));
    }
    let mut expected: Vec<_> = (1..=5).map(|number| (id(number), 1, format!("/{number} 0").into_bytes())).collect();
    expected.push((id(3), 2, b"/3 1".to_vec()));
    expected.sort_unstable();
    assert_eq!(revisions, expected);
}

pub(super) async fn the_position_moves_with_every_note_and_with_nothing_else(store: Arc<dyn Adapter>) {
    let position = async || store.position().await.unwrap().map(|position| position.number);
    assert_eq!(position().await, None);
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    assert_eq!(position().await, Some(2));
    exists(store.append(first(2, "/A")).await);
    let resealed = Change::Reseal { id: id(1), number: Revision::FIRST, was: 1, sealed: sealed("another") };
    store.write(Write { changes: vec![(resealed, None)], keyring: keyring(), fence: None }).await.unwrap();
    assert_eq!(position().await, Some(2));
    store.release(&[id(1)], release(0)).await.unwrap();
    assert_eq!(position().await, Some(3));
    assert_eq!(store.position().await.unwrap(), Some(store.ledger().await.position));
}
