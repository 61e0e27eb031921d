//! Confidant's pages of a list: cut newest first, each shown in the list's own order.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::json::Json;
use crate::api::route::Call;
use crate::domain::name::RecordId;
use crate::domain::record::Entry;
use crate::domain::{Error, Result};

/// Where a page ended. Opaque to clients, in the form that they know.
#[derive(Serialize, Deserialize)]
struct Token {
    id: Text,
    data_type: Text,
    modified_date: Text,
}

#[derive(Serialize, Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

const DATE: &str = "%Y-%m-%dT%H:%M:%S%.6f%z";

/// Newest first, and one order for records of one moment.
type Position = (std::cmp::Reverse<i64>, RecordId);

fn position<B>(entry: &Entry<B>) -> Position {
    (std::cmp::Reverse(entry.stamp.at.as_microsecond()), entry.head.id)
}

impl Token {
    fn after<B>(entry: &Entry<B>) -> String {
        let text = |text: String| Text { text };
        let token = Self {
            id: text(entry.head.id.hex()),
            data_type: text(entry.head.class.singular().to_owned()),
            modified_date: text(entry.stamp.at.strftime(DATE).to_string()),
        };
        // Three texts always become JSON.
        BASE64_STANDARD.encode(serde_json::to_vec(&token).unwrap_or_default())
    }

    fn read(text: &str) -> Option<Position> {
        let token: Self = serde_json::from_slice(&BASE64_STANDARD.decode(text).ok()?).ok()?;
        let at = Timestamp::strptime(DATE, &token.modified_date.text).ok()?;
        Some((std::cmp::Reverse(at.as_microsecond()), RecordId::parse_hex(&token.id.text)?))
    }
}

/// The entries that `limit` and `page` ask for, and the token of the next page.
pub fn cut<B>(call: &Call, entries: Vec<Entry<B>>) -> Result<(Vec<Entry<B>>, Json)> {
    let page = call.query("page").filter(|page| !page.is_empty());
    let after = page.map(|page| Token::read(&page).ok_or_else(|| Error::invalid("page", "cannot be read")));
    let after = after.transpose()?;
    // What is no number is ignored, and so is 0, as Confidant does.
    let limit = match call.query("limit").and_then(|limit| limit.trim().parse::<i64>().ok()) {
        None | Some(0) => return Ok((entries, Json::Null)),
        Some(limit) => usize::try_from(limit).map_err(|_| Error::invalid("limit", "must not be negative"))?,
    };
    let mut rest: Vec<(usize, Entry<B>)> = entries.into_iter().enumerate().collect();
    rest.retain(|(_, entry)| after.is_none_or(|after| position(entry) > after));
    rest.sort_by_key(|(_, entry)| position(entry));
    let more = rest.len() > limit;
    rest.truncate(limit);
    let next = rest.last().filter(|_| more).map(|(_, entry)| Token::after(entry));
    rest.sort_by_key(|(rank, _)| *rank);
    Ok((rest.into_iter().map(|(_, entry)| entry).collect(), Json::or_null(next, Json::text)))
}
