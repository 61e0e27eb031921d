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
