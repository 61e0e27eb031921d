//! Services as Confidant's clients write and see them.

use super::credential::{Show, credential};
use super::reader::Reader;
use super::{Dates, blind, empty};
use crate::api::json::Json;
use crate::app::services::{Draft, View};
use crate::domain::Result;
use crate::domain::credential::Credential;
use crate::domain::credential::rotation::Rotation;
use crate::domain::record::Entry;
use crate::domain::service::Service;

/// Ids that are none are left out like those that do not exist. An account is one of `accounts`, or none.
pub fn draft(body: &Json, accounts: &[String]) -> Result<Draft> {
    let mut reader = Reader::new(body);
    let (credentials, blind_credentials) = (reader.ids("credentials"), reader.ids("blind_credentials"));
    let account = reader.account(accounts);
    let enabled = reader.enabled();
    reader.finish(Draft { enabled, account, credentials, blind_credentials })
}

pub fn service(view: &View, show: Show, permissions: Json, rotation: &Rotation) -> Json {
    let whole = |member: &Entry<Credential>| credential(member, show, empty(), rotation);
    // With twenty of them, writing them anew would take half of the time of a read.
    let held = |member: &Entry<Credential>| Json::Shared(member.body.memo.text(|| whole(member).to_text()));
    let credentials = view.members.credentials.iter();
    let credentials = credentials.map(|member| if show == Show::Pairs { held(member) } else { whole(member) });
    let blind = view.members.blind_credentials.iter().map(|member| blind::member(member, show == Show::Pairs));
    service_with(&view.entry, credentials.collect(), blind.collect(), permissions)
}

/// A service of a list: without its credentials, even when it has some.
pub fn listed(entry: &Entry<Service>) -> Json {
    service_with(entry, Vec::new(), Vec::new(), empty())
}

fn service_with(entry: &Entry<Service>, credentials: Vec<Json>, blind: Vec<Json>, permissions: Json) -> Json {
    let own = [
        ("id", Json::text(&entry.head.name)),
        ("enabled", Json::Bool(entry.body.enabled)),
        ("account", Json::or_null(entry.body.account.as_ref(), Json::text)),
        ("credentials", Json::List(credentials)),
        ("blind_credentials", Json::List(blind)),
        ("permissions", permissions),
    ];
    Json::object(own.into_iter().chain(Dates::Iso.stamp(&entry.stamp)))
}

/// One that stands in an archive under an id of its own.
pub fn archived(entry: &Entry<Service>) -> Json {
    super::archived(listed(entry), entry.stamp.number)
}
