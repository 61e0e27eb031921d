//! What every store must do with those who write at the same time.

use super::*;

/// Reads, appends what says who wrote it, and tries again until it is acknowledged.
pub(in crate::adapters::store) async fn append_until_acknowledged(
    store: Arc<dyn Adapter>,
    writer: u8,
) -> (u64, Vec<u8>) {
    loop {
        let current = store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap();
        let mut append = revision(Class::Credential, 1, "/a", current[0].stamp.number.0);
        append.row.sealed.bytes = vec![writer];
        match store.append(append.clone()).await {
            Ok(()) => return (append.row.stamp.number.0, append.row.sealed.bytes),
            Err(Error::Conflict(Conflict::Stale { .. })) => tokio::task::yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    }
}

pub(super) async fn of_concurrent_appends_exactly_the_acknowledged_are_there(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    let writers = (0..64).map(|writer| tokio::spawn(append_until_acknowledged(store.clone(), writer)));
    let mut acknowledged = futures::future::try_join_all(writers).await.unwrap();
    acknowledged.sort_unstable();
    assert!(acknowledged.iter().map(|(number, _)| *number).eq(2..=65), "{acknowledged:?}");
    let current = store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap();
    assert_eq!((current[0].stamp.number.0, current[0].sealed.bytes.clone()), acknowledged[63]);
}

pub(super) async fn of_two_first_starts_one_wins(store: Arc<dyn Adapter>) {
    assert_eq!(store.store_id().await.unwrap(), store.store_id().await.unwrap());
    assert_eq!(store.data_keys().await.unwrap(), []);
    assert!(store.append(first(1, "/a")).await.is_err(), "without a key nothing is written");
    let add = |byte| store.carry_out(keyring(), Change::AddKey(wrapped(1, "root", byte)));
    let (left, right) = tokio::join!(add(1), add(2));
    let winner = if left.is_ok() { 1 } else { 2 };
    let (what, _) = exists(if winner == 1 { right } else { left });
    assert_eq!(what, "the data key of epoch 1");
    assert_eq!(store.data_keys().await.unwrap(), [wrapped(1, "root", winner)]);
}
