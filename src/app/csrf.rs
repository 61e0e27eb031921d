//! Tokens against forged requests: signed for one caller with a key of the store's, so that every process on it knows those
//! of the others, and nothing has to be kept.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::app::keyring::Keyring;
use crate::app::ports::{Clock, Mac};
use crate::domain::Result;
use crate::domain::actor::Actor;

/// As long as Confidant lets a session last at most. Every answer brings a new token.
const LASTS: SignedDuration = SignedDuration::from_hours(24);

pub struct Csrf {
    pub(super) keyring: Arc<Keyring>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Csrf {
    /// `<epoch of the key>.<second>.<signature>`. Nothing secret: it proves only what was sent to whom.
    pub fn token(&self, actor: &Actor) -> Result<String> {
        let at = self.clock.now().as_second();
        let mac = self.keyring.sign_caller(&actor.id, at)?;
        Ok(format!("{:x}.{at:x}.{}", mac.epoch, hex::encode(mac.bytes)))
    }

    pub fn accepts(&self, actor: &Actor, token: &str) -> bool {
        let Some((at, mac)) = parse(token) else { return false };
        let Ok(begun) = Timestamp::from_second(at) else { return false };
        let is_fresh = self.clock.now().duration_since(begun) <= LASTS;
        is_fresh && self.keyring.verify_caller(&actor.id, at, &mac).is_ok()
    }
}

fn parse(token: &str) -> Option<(i64, Mac)> {
    let mut parts = token.split('.');
    let (epoch, at, bytes) = (parts.next()?, parts.next()?, parts.next()?);
    let mac = Mac { epoch: u32::from_str_radix(epoch, 16).ok()?, bytes: hex::FromHex::from_hex(bytes).ok()? };
    parts.next().is_none().then_some((i64::from_str_radix(at, 16).ok()?, mac))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::app::keyring::tests::{keyring, keyring_of};
    use crate::domain::name::StoreId;

    struct Hand(Mutex<Timestamp>);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    fn csrf_of(keyring: Keyring, second: i64) -> Csrf {
        let clock = Arc::new(Hand(Mutex::new(Timestamp::from_second(second).unwrap())));
        Csrf { keyring: Arc::new(keyring), clock }
    }

    fn csrf(second: i64) -> Csrf {
        csrf_of(keyring(), second)
    }

    fn caller(id: &str) -> Actor {
        Actor { id: id.into(), ..Actor::operator() }
    }

    #[test]
    fn a_token_is_one_callers_for_a_day_in_every_process_on_the_store() {
        let token = csrf(1_000).token(&caller("ann")).unwrap();
        assert_eq!(token, csrf(1_000).token(&caller("ann")).unwrap());
        for (id, second, expected) in [
            ("ann", 1_000, true),
            ("ann", 1_000 + 24 * 3600, true),
            ("ann", 1_001 + 24 * 3600, false),
            ("bob", 1_000, false),
            ("", 1_000, false),
        ] {
            assert_eq!(csrf(second).accepts(&caller(id), &token), expected, "{id} at {second}");
        }
        let elsewhere = csrf_of(keyring_of(StoreId::from_bytes([9; 16]), &[1]), 1_000);
        assert!(!elsewhere.accepts(&caller("ann"), &token));
    }

    #[test]
    fn what_was_changed_is_no_token() {
        let here = csrf(1_000);
        let token = here.token(&caller("ann")).unwrap();
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert!(!here.accepts(&caller("ann"), &changed), "{changed}");
            assert!(!here.accepts(&caller("ann"), &token[..at]), "cut at {at}");
        }
        for wrong in ["", "..", "1.1.", "1.1.zz", &format!("{token}.0"), &format!(" {token}")] {
            assert!(!here.accepts(&caller("ann"), wrong), "{wrong}");
        }
    }
}
