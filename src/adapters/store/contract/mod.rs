//! What every store must do, run on each of them. The doc comments of the ports are the text to it.

mod acts;
mod appends;
pub(super) mod history;
mod ledger;
mod lookups;
mod races;
mod releases;
mod sample;
pub(super) mod searches;
mod vacant;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

pub(super) use acts::Acts;
use appends::*;
use ledger::*;
use lookups::*;
pub(super) use races::append_until_acknowledged;
use races::*;
use releases::*;
pub(super) use sample::*;
use searches::*;

use super::postgres::server;
use super::{MemoryStore, PostgresStore, SqliteStore};
use crate::app::alarm::Alarm;
use crate::app::audit::{Note, Position};
use crate::app::keyring::Keyring;
use crate::app::keyring::tests::keyring_of;
use crate::app::ledger::{Ledger, toggle};
use crate::app::ports::{
    Age, Alias, AliasKind, Append, Change, Fence, Key, KeyTable, Mac, Names, RevisionRow, Row, Sealed, Store, Which,
    WrappedKey, Write,
};
use crate::domain::name::{RecordId, Revision, StoreId, Tenant, VersionId};
use crate::domain::record::{Class, Head, Origin, Owner, Release, Stamp};
use crate::domain::secret::SecretText;
use crate::domain::{Conflict, Error, Result};

pub(super) trait Adapter: Store + KeyTable {}
impl<T: Store + KeyTable> Adapter for T {}

/// The same for every store, so that their answers can be compared.
pub(super) fn keyring() -> Arc<Keyring> {
    Arc::new(keyring_of(StoreId::from_bytes([1; 16]), &[1]))
}

pub(super) fn note() -> Option<Note> {
    Some(Note::stored("{}".into()))
}

macro_rules! contract {
    ($($rule:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $rule() {
                super::$rule(std::sync::Arc::new(super::MemoryStore::default())).await;
            })*
        }
        mod in_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $rule() {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("strongroom.db");
                let store = super::SqliteStore::open(&path, super::Alarm::default()).unwrap();
                super::$rule(std::sync::Arc::new(store)).await;
            })*
        }
        mod in_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $rule() {
                super::$rule(std::sync::Arc::new(super::in_a_new_database().await)).await;
            })*
        }
    };
}

/// On the real server that the tests of that adapter start.
pub(super) async fn in_a_new_database() -> PostgresStore {
    let url = tokio::task::spawn_blocking(|| server::shared().database()).await.unwrap();
    PostgresStore::open(&SecretText::new(url)).await.unwrap()
}

contract![
    what_was_written_is_read_back_whole,
    names_are_unique_in_their_class_ignoring_ascii_case,
    only_the_expected_revision_is_replaced,
    a_renamed_record_leaves_its_name_to_others,
    an_alias_belongs_to_one_record_of_the_class,
    appending_replaces_aliases_and_links,
    a_refused_append_changes_nothing,
    mistakes_of_ours_are_not_stored,
    a_released_record_keeps_its_name_and_frees_its_aliases,
    the_first_release_counts,
    appending_ends_a_release,
    purging_forgets_what_is_due,
    lists_are_ordered_and_paged_by_lower_cased_name,
    lists_are_narrowed_by_how_names_begin_and_what_is_in_them,
    any_part_of_any_name_is_found_whatever_was_written,
    many_records_are_found_at_once,
    aliases_in_an_order_are_found_up_to_a_place,
    a_revision_is_found_by_its_own_id,
    revisions_are_counted_by_what_they_are_sealed_under,
    revisions_of_a_record_come_in_their_order,
    the_newest_revisions_of_many_records_come_at_once,
    revisions_of_a_class_come_by_age,
    of_concurrent_appends_exactly_the_acknowledged_are_there,
    of_two_first_starts_one_wins,
    the_ledger_counts_marks_and_chains_what_is_written,
    the_position_moves_with_every_note_and_with_nothing_else,
    a_write_is_whole_or_absent,
    what_is_sealed_under_a_replaced_key_is_refused,
    a_key_is_retired_when_nothing_needs_it,
    a_root_is_retired_when_another_opens_the_same_keys,
    only_the_holder_of_the_fence_writes,
    a_changed_ledger_is_not_continued,
    a_snapshot_stays_as_it_was,
];
