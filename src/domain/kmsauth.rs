//! Confidant's kmsauth: who a caller claims to be, which ciphertext proves it, and when. Knows no key service: what a
//! ciphertext was bound to, and which key made it, is told to it.

use std::ops::RangeInclusive;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::domain::actor::PrincipalKind;

/// What Kubernetes and services of Confidant call things has no more bytes.
const NAME_LIMIT: usize = 253;
const TIME_FORMAT: &str = "%Y%m%dT%H%M%SZ";
/// How long a time is in that form; jiff would take `2026111T…` too.
const TIME_LENGTH: usize = 16;

/// Who a caller says it is, by its user name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// 1: the ciphertext is bound to two names. 2: and to the sort of caller.
    pub version: u8,
    pub kind: PrincipalKind,
    pub from: String,
}

impl Claim {
    /// `<from>`, or `<version>/<sort of caller>/<from>`.
    pub fn parse(username: &str) -> Option<Self> {
        let parts: Vec<&str> = username.split('/').collect();
        let (version, kind, from) = match parts[..] {
            [from] => (1, PrincipalKind::Service, from),
            [version, kind, from] => (version.parse().ok()?, PrincipalKind::parse(kind)?, from),
            _ => return None,
        };
        // Nothing in a ciphertext of version 1 says of which sort its maker is.
        let proven = version > 1 || kind == PrincipalKind::Service;
        let named = !from.is_empty() && from.len() <= NAME_LIMIT && !from.chars().any(char::is_control);
        (proven && named).then(|| Self { version, kind, from: from.to_owned() })
    }

    /// Whether this user name is a token's and cannot be a client credential's.
    pub fn is_versioned(username: &str) -> bool {
        let mut parts = username.split('/');
        let number = parts.next().is_some_and(|part| part.parse::<u8>().is_ok());
        number && parts.count() == 2
    }

    /// What the ciphertext must be bound to, in the order of the names.
    pub fn context<'a>(&'a self, to: &'a str) -> Vec<(&'static str, &'a str)> {
        let mut context = vec![("from", self.from.as_str()), ("to", to)];
        if self.version > 1 {
            context.push(("user_type", self.kind.as_str()));
        }
        context
    }

    /// What a client puts before the colon.
    pub fn username(&self) -> String {
        match self.version {
            1 => self.from.clone(),
            version => format!("{version}/{}/{}", self.kind.as_str(), self.from),
        }
    }
}

/// When a token counts, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

impl Window {
    pub fn parse(not_before: &str, not_after: &str) -> Option<Self> {
        Some(Self { not_before: time(not_before)?, not_after: time(not_after)? })
    }

    pub fn contains(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Its whole length, days included: Confidant overlooks those, and so takes a token of a week for one of minutes.
    pub fn lasts(&self) -> SignedDuration {
        self.not_after.duration_since(self.not_before)
    }

    /// Both ends as they stand in a token.
    pub fn texts(&self) -> [String; 2] {
        [self.not_before, self.not_after].map(|time| time.strftime(TIME_FORMAT).to_string())
    }
}

fn time(text: &str) -> Option<Timestamp> {
    let civil = DateTime::strptime(TIME_FORMAT, text).ok().filter(|_| text.len() == TIME_LENGTH)?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

/// A key that makes tokens, by the name that the settings give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    pub key: String,
    pub kind: PrincipalKind,
    /// Which account it was given to.
    pub account: Option<String>,
}

/// Which tokens an installation accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Its own name: tokens that were made for another server are not for this one.
    pub to: String,
    pub versions: RangeInclusive<u8>,
    pub kinds: Vec<PrincipalKind>,
    pub keys: Vec<KeyUse>,
    pub max_lifetime: SignedDuration,
}

impl Terms {
    /// Before anything is opened for it.
    pub fn admit(&self, claim: &Claim) -> bool {
        self.versions.contains(&claim.version) && self.kinds.contains(&claim.kind)
    }

    /// Which use of its key makes this token the caller's. `None`: that key speaks for nobody of its sort. Of two uses the
    /// one with an account counts: it is what the other says, and more.
    pub fn vouching(&self, claim: &Claim, keys: &[String]) -> Option<&KeyUse> {
        let fitting = self.keys.iter().filter(|known| known.kind == claim.kind && keys.contains(&known.key));
        fitting.max_by_key(|known| known.account.is_some())
    }

    pub fn accepts(&self, window: &Window, now: Timestamp) -> bool {
        let lasts = window.lasts();
        !lasts.is_negative() && lasts <= self.max_lifetime && window.contains(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PrincipalKind::{Service, User};

    fn claim(version: u8, kind: PrincipalKind, from: &str) -> Option<Claim> {
        Some(Claim { version, kind, from: from.into() })
    }

    #[test]
    fn a_user_name_says_version_sort_and_name() {
        for (username, expected) in [
            ("till", claim(1, Service, "till")),
            ("2/service/till", claim(2, Service, "till")),
            ("2/user/ann@example.com", claim(2, User, "ann@example.com")),
            ("1/service/till", claim(1, Service, "till")),
            ("1/user/ann", None),
            ("2/robot/till", None),
            ("2/Service/till", None),
            ("two/service/till", None),
            ("-2/service/till", None),
            ("256/service/till", None),
            ("2/service/", None),
            ("2/service", None),
            ("2/service/a/b", None),
            ("", None),
            ("a\nb", None),
        ] {
            assert_eq!(Claim::parse(username), expected, "{username:?}");
        }
        assert_eq!(Claim::parse(&"n".repeat(254)), None);
        for username in ["2/user/ann", "till"] {
            assert_eq!(Claim::parse(username).unwrap().username(), username);
        }
    }

    #[test]
    fn only_three_parts_that_begin_with_a_number_are_no_client_credentials_name() {
        for (username, is) in
            [("2/service/till", true), ("9/x/y", true), ("shop/till", false), ("till", false), ("a/b/c", false)]
        {
            assert_eq!(Claim::is_versioned(username), is, "{username}");
        }
    }

    #[test]
    fn the_sort_of_caller_is_bound_from_version_two_on() {
        let context = |username: &str| Claim::parse(username).unwrap().context("vault").len();
        assert_eq!((context("till"), context("2/service/till")), (2, 3));
    }

    fn window(from: &str, to: &str) -> Window {
        Window::parse(from, to).unwrap()
    }

    #[test]
    fn times_are_read_in_the_one_form_that_they_have() {
        let known = window("20260102T030405Z", "20260102T031405Z");
        assert_eq!(known.texts(), ["20260102T030405Z", "20260102T031405Z"]);
        for wrong in
            ["", "2026-01-02T03:04:05Z", "20260102T030405", "20261302T030405Z", "2026012T030405Z", "20260102T250405Z"]
        {
            assert_eq!(Window::parse(wrong, "20260102T031405Z"), None, "{wrong}");
        }
    }

    fn terms() -> Terms {
        let key = |key: &str, kind, account: Option<&str>| KeyUse {
            key: key.into(),
            kind,
            account: account.map(str::to_owned),
        };
        Terms {
            to: "vault".into(),
            versions: 1..=2,
            kinds: vec![Service],
            keys: vec![key("auth", Service, None), key("east", Service, Some("east")), key("people", User, None)],
            max_lifetime: SignedDuration::from_mins(60),
        }
    }

    #[test]
    fn a_token_counts_between_its_ends_and_not_for_longer_than_it_may_last() {
        let at = |text: &str| time(text).unwrap();
        let hour = window("20260102T030000Z", "20260102T040000Z");
        let days = window("20260102T030000Z", "20260103T030500Z");
        let turned = window("20260102T040000Z", "20260102T030000Z");
        for (window, now, expected) in [
            (hour, "20260102T025959Z", false),
            (hour, "20260102T030000Z", true),
            (hour, "20260102T040000Z", true),
            (hour, "20260102T040001Z", false),
            (window("20260102T030000Z", "20260102T040001Z"), "20260102T033000Z", false),
            // A day and five minutes is not five minutes.
            (days, "20260102T033000Z", false),
            (turned, "20260102T033000Z", false),
        ] {
            assert_eq!(terms().accepts(&window, at(now)), expected, "{window:?} at {now}");
        }
    }

    #[test]
    fn a_key_speaks_for_its_own_sort_of_callers() {
        let terms = terms();
        let service = Claim::parse("2/service/till").unwrap();
        let user = Claim::parse("2/user/ann").unwrap();
        let vouching = |claim, keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            terms.vouching(claim, &keys).map(|known| (known.key.clone(), known.account.clone()))
        };
        assert_eq!(vouching(&service, &["auth"]), Some(("auth".into(), None)));
        assert_eq!(vouching(&service, &["auth", "east"]), Some(("east".into(), Some("east".into()))));
        assert_eq!(vouching(&user, &["auth", "east"]), None);
        assert_eq!(vouching(&service, &["people", "unknown"]), None);
        assert!(terms.admit(&service) && !terms.admit(&user));
        assert!(!terms.admit(&Claim { version: 3, ..service }));
    }
}
