//! `strongroom kmsauth-token`: a token as Confidant's clients make theirs, with the keys that the settings name.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use jiff::{SignedDuration, Timestamp};

use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::app::kmsauth::make;
use crate::app::ports::Clock;
use crate::config::confidant::Kmsauth;
use crate::config::{Settings, TokenWish};
use crate::domain::Error;
use crate::domain::actor::PrincipalKind;
use crate::domain::kmsauth::{Claim, KeyUse, Window};
use crate::runtime::kmsauth::{Missing, tokens};
use crate::runtime::threads;

/// What Confidant's clients allow for clocks that differ.
const SLACK: SignedDuration = SignedDuration::from_mins(3);

pub fn run(settings: &Settings, wish: &TokenWish) -> anyhow::Result<ExitCode> {
    let Some(given) = &settings.confidant.kmsauth else {
        bail!("the settings have no part confidant.kmsauth; give the server's own file with --config");
    };
    let claim = claim(given, wish)?;
    let key = key(given, claim.kind, wish.key.as_deref())?;
    let window = window(given, wish.lifetime()?, SystemClock.now())?;
    let to = wish.to.as_deref().unwrap_or(&given.terms.to);
    let token = threads()?.block_on(async {
        let service = tokens(given, Arc::new(SystemEntropy::default()), Missing::Refuse).map_err(told)?;
        make(service.as_ref(), &key.key, &claim, to, window).await.map_err(told)
    })?;
    match wish.basic {
        true => println!("{}:{}", claim.username(), token.expose()),
        false => println!("{}", token.expose()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Of the newest version that the server takes.
fn claim(given: &Kmsauth, wish: &TokenWish) -> anyhow::Result<Claim> {
    let claim = Claim { version: *given.terms.versions.end(), kind: wish.user_type, from: wish.from.clone() };
    let claim = Claim::parse(&claim.username()).filter(|parsed| *parsed == claim);
    let Some(claim) = claim else {
        bail!("--from {:?} with --user-type {} is no name that a token can have", wish.from, wish.user_type.as_str());
    };
    if !given.terms.admit(&claim) {
        bail!("confidant.kmsauth.userTypes does not let in callers of the sort {}", claim.kind.as_str());
    }
    Ok(claim)
}

fn key<'a>(given: &'a Kmsauth, kind: PrincipalKind, wanted: Option<&str>) -> anyhow::Result<&'a KeyUse> {
    let mut fitting = given.terms.keys.iter().filter(|known| known.kind == kind);
    match wanted {
        None => fitting.next().ok_or_else(|| anyhow!("confidant.kmsauth names no key of callers of this sort")),
        Some(name) => fitting.find(|known| known.key == name).ok_or_else(|| {
            anyhow!("--key {name}: confidant.kmsauth names no such key for callers of the sort {}", kind.as_str())
        }),
    }
}

fn window(given: &Kmsauth, lifetime: SignedDuration, now: Timestamp) -> anyhow::Result<Window> {
    let most = given.terms.max_lifetime;
    if lifetime > most {
        bail!("--lifetime is more than confidant.kmsauth.maxLifetime, which is {most:#}");
    }
    Ok(Window { not_before: now - SLACK.min(most - lifetime), not_after: now + lifetime })
}

/// For standard error, which is as private as the log.
fn told(error: Error) -> anyhow::Error {
    match error.detail() {
        Some(detail) => anyhow!("{error}: {detail}"),
        None => anyhow!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::kmsauth::Terms;

    #[test]
    fn a_token_never_lasts_longer_than_the_server_takes() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let minutes = SignedDuration::from_mins;
        let terms = Terms {
            to: "vault".into(),
            versions: 1..=2,
            kinds: vec![PrincipalKind::Service],
            keys: vec![],
            max_lifetime: minutes(60),
        };
        let given = Kmsauth {
            terms: terms.clone(),
            keys: crate::config::confidant::TokenKeys::File("/k".into()),
            accounts: vec![],
            manages_grants: false,
        };
        for lifetime in [1, 10, 58, 60] {
            let window = window(&given, minutes(lifetime), now).unwrap();
            assert!(terms.accepts(&window, now), "{lifetime}");
            assert_eq!(window.not_after, now + minutes(lifetime));
        }
        assert!(window(&given, minutes(61), now).unwrap_err().to_string().contains("maxLifetime"));
    }
}
