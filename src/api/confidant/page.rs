//! Confidant's pages of a list: cut by age, the newest first, and shown in the list's own order.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::confidant::Call;
use crate::api::json::Json;
use crate::app::history;
use crate::app::ports::{Age, Which};
use crate::domain::name::{RecordId, Revision};
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

impl Token {
    /// A revision's id is its record's with its number, in lists of all as in those of the current ones.
    fn after<B>(entry: &Entry<B>) -> String {
        let text = |text: String| Text { text };
        let token = Self {
            id: text(format!("{}-{}", entry.head.id.hex(), entry.stamp.number)),
            data_type: text(entry.head.class.singular().to_owned()),
            modified_date: text(entry.stamp.at.strftime(DATE).to_string()),
        };
        // Three texts always become JSON.
        BASE64_STANDARD.encode(serde_json::to_vec(&token).unwrap_or_default())
    }

    fn read(text: &str) -> Option<Age> {
        let token: Self = serde_json::from_slice(&BASE64_STANDARD.decode(text).ok()?).ok()?;
        let (id, number) = token.id.text.split_once('-')?;
        Some(Age {
            at: Timestamp::strptime(DATE, &token.modified_date.text).ok()?,
            id: RecordId::parse_hex(id)?,
            number: Revision(number.parse().ok()?),
        })
    }
}

/// Which part of a list is asked for.
pub struct Page {
    after: Option<Age>,
    /// At least 1.
    limit: usize,
}

/// `None`: all of it. What is no number is ignored, and so is 0, as Confidant does.
pub fn asked(call: &Call) -> Result<Option<Page>> {
    let page = call.query("page").filter(|page| !page.is_empty());
    let after = page.map(|page| Token::read(&page).ok_or_else(|| Error::invalid("page", "cannot be read")));
    let after = after.transpose()?;
    match call.query("limit").and_then(|limit| limit.trim().parse::<i64>().ok()) {
        None | Some(0) => Ok(None),
        Some(limit) => {
            let limit = usize::try_from(limit).map_err(|_| Error::invalid("limit", "must not be negative"))?;
            Ok(Some(Page { after, limit }))
        }
    }
}

/// The same of an archive, whose pages have a length of their own where nobody asks for one.
pub fn asked_of_archive(call: &Call) -> Result<Page> {
    let page = asked(call)?;
    let limit = call.dialect.settings.history_page_limit.unwrap_or(usize::MAX - 1);
    Ok(page.unwrap_or(Page { after: None, limit }))
}

impl Page {
    /// Of current revisions or all; one more than the page has, to see whether there is another.
    pub fn request(&self, which: Which) -> history::Page {
        (which, self.after, self.limit.saturating_add(1))
    }

    /// The page, and the token of the next one.
    pub fn cut<B>(&self, mut found: Vec<Entry<B>>) -> (Vec<Entry<B>>, Json) {
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let next = found.last().filter(|_| more).map(Token::after);
        (found, Json::or_null(next, Json::text))
    }
}

/// As the answer to a list.
pub fn answer(name: &'static str, shown: Vec<Json>, next: Json) -> Json {
    Json::object([(name, Json::List(shown)), ("next_page", next)])
}
