//! What every store must find, and in which order.

use super::*;

pub(super) async fn lists_are_ordered_and_paged_by_lower_cased_name(store: Arc<dyn Adapter>) {
    store.begin().await;
    let ordered = ["/a", "/a-b", "/a/b", "/A0", "/b", "/Ba", "/z", "/Ä", "/ä"];
    for (number, name) in ordered.iter().enumerate().rev() {
        store.append(first(number as u8, name)).await.unwrap();
    }
    store.append(revision(Class::Service, 50, "/aa", 0)).await.unwrap();
    assert_eq!(names(&*store, None, 99).await, ordered);
    assert_eq!(names(&*store, None, usize::MAX).await, ordered);
    assert_eq!(names(&*store, None, 0).await, [""; 0]);
    let (mut paged, mut after) = (vec![], None);
    loop {
        let page = names(&*store, after.as_deref(), 2).await;
        after = page.last().cloned();
        paged.extend(page);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, ordered);
    assert_eq!(names(&*store, Some("/AA"), 2).await, ["/b", "/Ba"]); // need not exist, any case
}

pub(super) async fn lists_are_narrowed_by_how_names_begin_and_what_is_in_them(store: Arc<dyn Adapter>) {
    store.begin().await;
    let all = ["/Team/a_b", "/team/b%c", "/team/sub/x", "/team2/y", "/team", "/zeta/team/é"];
    for (number, name) in all.iter().enumerate() {
        store.append(first(number as u8, name)).await.unwrap();
    }
    store.append(first(99, "/team/gone")).await.unwrap();
    store.release(&[id(99)], release(0)).await.unwrap();
    let listed = async |prefix, part| named(&*store, Names { prefix, part }, None, 99).await;
    assert_eq!(listed("/team/", "").await, ["/Team/a_b", "/team/b%c", "/team/sub/x"]);
    assert_eq!(listed("/TEAM/", "").await.len(), 3);
    assert_eq!(listed("", "EAM").await.len(), 6);
    assert_eq!(listed("/team", "").await.len(), 4); // and something after it
    assert_eq!(listed("/team/", "sub").await, ["/team/sub/x"]);
    // What means something to a database means nothing here.
    assert_eq!(listed("", "_").await, ["/Team/a_b"]);
    assert_eq!(listed("", "%").await, ["/team/b%c"]);
    assert_eq!(listed("", "é").await, ["/zeta/team/é"]);
    for nothing in ["\\", "*", "?", "' OR 1"] {
        assert_eq!(listed("", nothing).await, [""; 0], "{nothing}");
        assert_eq!(listed(nothing, "").await, [""; 0], "{nothing}");
    }
    let page = named(&*store, Names { prefix: "/team/", part: "" }, Some("/Team/B%c"), 99).await;
    assert_eq!(page, ["/team/sub/x"]);
    assert_eq!(named(&*store, Names { prefix: "/team/", part: "" }, Some("/a"), 1).await, ["/Team/a_b"]);
}

pub(super) async fn aliases_in_an_order_are_found_up_to_a_place(store: Arc<dyn Adapter>) {
    store.begin().await;
    for (number, value) in [(1, "100a"), (2, "200b"), (3, "300c")] {
        let aliases = vec![Alias { kind: AliasKind::Expiry, value: value.into() }];
        store.append(Append { aliases, ..first(number, &format!("/{number}")) }).await.unwrap();
    }
    store.append(titled(first(4, "/4"), "100")).await.unwrap();
    let up_to = async |last| found(&*store, Key::AliasesUpTo(AliasKind::Expiry, last)).await;
    assert_eq!(up_to("250").await, [(id(1), 1), (id(2), 1)]);
    assert_eq!(up_to("300c").await.len(), 3);
    assert_eq!(up_to("0").await, []);
    assert!(store.find(Class::Service, Key::AliasesUpTo(AliasKind::Expiry, "9")).await.unwrap().is_empty());
}

pub(super) async fn a_revision_is_found_by_its_own_id(store: Arc<dyn Adapter>) {
    store.begin().await;
    let all = [first(1, "/a"), revision(Class::Credential, 1, "/a", 1), first(2, "/b")];
    for (number, append) in all.into_iter().enumerate() {
        let version = VersionId::from_bytes([100 + number as u8; 16]);
        let (mut append, kept) = (append, append_stamp(number));
        append.row.stamp = Stamp { version_id: version, ..append.row.stamp };
        store.append(append).await.unwrap();
        let row = store.version(version).await.unwrap().expect("the revision");
        assert_eq!((row.id, row.stamp.number.0), kept);
    }
    let first = store.version(VersionId::from_bytes([100; 16])).await.unwrap().expect("an earlier revision");
    assert_eq!(first.sealed, sealed("/a 0"));
    assert_eq!(store.version(VersionId::from_bytes([9; 16])).await.unwrap(), None);
}

pub(super) async fn revisions_are_counted_by_what_they_are_sealed_under(store: Arc<dyn Adapter>) {
    store.begin().await;
    assert_eq!(store.sealed_under(Class::Credential).await.unwrap(), []);
    for number in 0..3 {
        store.append(revision(Class::Credential, 1, "/a", number)).await.unwrap();
    }
    store.append(first(2, "/b")).await.unwrap();
    store.append(revision(Class::Service, 3, "/s", 0)).await.unwrap();
    store.append(first(4, "/gone")).await.unwrap();
    store.release(&[id(4)], release(0)).await.unwrap();
    let [(_, credentials)] = store.sealed_under(Class::Credential).await.unwrap()[..] else { panic!("one epoch") };
    let [(_, services)] = store.sealed_under(Class::Service).await.unwrap()[..] else { panic!("one epoch") };
    assert_eq!((credentials, services), (4, 1));
}

fn append_stamp(number: usize) -> (RecordId, u64) {
    [(id(1), 1), (id(1), 2), (id(2), 1)][number]
}

pub(super) async fn many_records_are_found_at_once(store: Arc<dyn Adapter>) {
    store.begin().await;
    let all: Vec<RecordId> = (0..=255).map(id).collect();
    let appends = (0..200).map(|number| store.append(first(number, &format!("/{number}"))));
    for result in futures::future::join_all(appends).await {
        result.unwrap();
    }
    let mut expected: Vec<_> = (0..200).map(|number| (id(number), 1)).collect();
    expected.sort_unstable();
    assert_eq!(found(&*store, Key::Ids(&all)).await, expected);
    assert_eq!(found(&*store, Key::Ids(&[id(5), id(5), id(255)])).await, [(id(5), 1)]);
    assert_eq!(found(&*store, Key::Ids(&[])).await, []);
    assert!(store.find(Class::Client, Key::Ids(&all)).await.unwrap().is_empty());
}

fn numbers(rows: &[RevisionRow]) -> Vec<(RecordId, u64)> {
    rows.iter().map(|row| (row.id, row.stamp.number.0)).collect()
}

pub(super) async fn revisions_of_a_record_come_in_their_order(store: Arc<dyn Adapter>) {
    store.begin().await;
    for number in 0..4 {
        store.append(revision(Class::Credential, 1, "/a", number)).await.unwrap();
        store.append(revision(Class::Credential, 2, "/b", number)).await.unwrap();
    }
    let of = async |from: u64, limit: usize| store.revisions(id(1), Revision(from), limit).await.unwrap();
    let all = of(1, 99).await;
    assert_eq!(numbers(&all), [1, 2, 3, 4].map(|number| (id(1), number)));
    assert_eq!(all[1].sealed, sealed("/a 1"));
    assert_eq!(all[1].stamp, revision(Class::Credential, 1, "/a", 1).row.stamp);
    assert_eq!(numbers(&of(2, 2).await), [(id(1), 2), (id(1), 3)]);
    assert_eq!(numbers(&of(0, 1).await), [(id(1), 1)]);
    assert_eq!(of(5, 9).await, []);
    assert_eq!(of(u64::MAX, usize::MAX).await, []);
    assert_eq!(store.revisions(id(9), Revision(1), 9).await.unwrap(), []);
}

pub(super) async fn the_newest_revisions_of_many_records_come_at_once(store: Arc<dyn Adapter>) {
    store.begin().await;
    for (record, name, revisions) in [(1, "/a", 3), (2, "/b", 1), (3, "/c", 5)] {
        for expected in 0..revisions {
            store.append(revision(Class::Credential, record, name, expected)).await.unwrap();
        }
    }
    store.append(revision(Class::Service, 4, "/a", 0)).await.unwrap();
    let of = async |ids: &[u8], limit: usize| {
        let ids: Vec<RecordId> = ids.iter().copied().map(id).collect();
        store.newest_of(&ids, limit).await.unwrap()
    };
    let all = of(&[3, 9, 1, 3, 2], 99).await;
    let whole = [(1, 3), (1, 2), (1, 1), (2, 1), (3, 5), (3, 4), (3, 3), (3, 2), (3, 1)];
    assert_eq!(numbers(&all), whole.map(|(record, number)| (id(record), number)));
    assert_eq!((&all[0].sealed, &all[0].stamp), (&sealed("/a 2"), &revision(Class::Credential, 1, "/a", 2).row.stamp));
    let two = [(1, 3), (1, 2), (2, 1), (3, 5), (3, 4)].map(|(record, number)| (id(record), number));
    assert_eq!(numbers(&of(&[1, 2, 3], 2).await), two);
    assert_eq!(numbers(&of(&[1, 2, 3], 3).await)[..4], [(id(1), 3), (id(1), 2), (id(1), 1), (id(2), 1)]);
    assert_eq!(numbers(&of(&[4, 2], usize::MAX).await), [(id(2), 1), (id(4), 1)]);
    for (ids, limit) in [(&[][..], 9), (&[9], 9), (&[1], 0)] {
        assert_eq!(of(ids, limit).await, []);
    }
}

pub(super) async fn revisions_of_a_class_come_by_age(store: Arc<dyn Adapter>) {
    store.begin().await;
    // The time of a revision is its number here, so those of one number are of one moment.
    for (number, name, revisions) in [(1, "/a", 3), (2, "/b", 1), (3, "/c", 2)] {
        for expected in 0..revisions {
            store.append(revision(Class::Credential, number, name, expected)).await.unwrap();
        }
    }
    store.append(revision(Class::Service, 4, "/a", 0)).await.unwrap();
    store.append(first(5, "/gone")).await.unwrap();
    store.release(&[id(5)], release(0)).await.unwrap();
    let of = async |which, after, limit| store.newest(Class::Credential, which, after, limit).await.unwrap();
    let by_age = [(1, 3), (3, 2), (1, 2), (3, 1), (2, 1), (1, 1)].map(|(record, number)| (id(record), number));
    let all = of(Which::All, None, 99).await;
    assert_eq!(numbers(&all), by_age);
    assert_eq!(all[0].sealed, sealed("/a 2"));
    assert_eq!(numbers(&of(Which::Current, None, usize::MAX).await), [(id(1), 3), (id(3), 2), (id(2), 1)]);
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = of(Which::All, after, 2).await;
        let Some(last) = page.last() else { break };
        after = Some(Age { at: last.stamp.at, id: last.id, number: last.stamp.number });
        paged.extend(numbers(&page));
    }
    assert_eq!(paged, by_age);
    assert_eq!(of(Which::All, None, 0).await, []);
}
