//! What tokens are worth, on a key service that counts.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::app::ports::{OpenedToken, TokenContext};
use crate::domain::actor::PrincipalKind::{Service, User};
use crate::domain::kmsauth::KeyUse;

/// Where a text is what it would be under a cipher: key, context and plaintext, one after the other.
#[derive(Default)]
struct Glass {
    asked: AtomicUsize,
    is_away: Mutex<bool>,
}

fn bound(key: &str, context: &TokenContext<'_>) -> String {
    let context: Vec<String> = context.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{key}|{}|", context.join(","))
}

#[async_trait]
impl TokenService for Glass {
    async fn open(&self, token: &[u8], context: &TokenContext<'_>) -> Result<Option<OpenedToken>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        if *self.is_away.lock().unwrap() {
            return Err(Error::Unavailable { part: "the key service", detail: String::new() });
        }
        let text = std::str::from_utf8(token).unwrap_or_default();
        Ok(["auth", "east", "people", "foreign"].into_iter().find_map(|key| {
            let plain = text.strip_prefix(&bound(key, context))?;
            let keys = if key == "foreign" { Vec::new() } else { vec![key.to_owned()] };
            Some(OpenedToken { plain: SecretBytes::new(plain.as_bytes().to_vec()), keys })
        }))
    }

    async fn make(&self, key: &str, plain: &SecretBytes, context: &TokenContext<'_>) -> Result<Vec<u8>> {
        Ok([bound(key, context).as_bytes(), plain.expose()].concat())
    }
}

struct Hand(Mutex<Timestamp>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Place {
    glass: Arc<Glass>,
    clock: Arc<Hand>,
    kmsauth: Kmsauth,
}

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
}

fn place() -> Place {
    let key =
        |key: &str, kind, account: Option<&str>| KeyUse { key: key.into(), kind, account: account.map(str::to_owned) };
    let terms = Terms {
        to: "vault".into(),
        versions: 1..=2,
        kinds: vec![Service, User],
        keys: vec![key("auth", Service, None), key("east", Service, Some("east")), key("people", User, None)],
        max_lifetime: SignedDuration::from_mins(60),
    };
    let (glass, clock) = (Arc::new(Glass::default()), Arc::new(Hand(Mutex::new(at(0)))));
    let kmsauth = Kmsauth::new(glass.clone(), terms, clock.clone());
    Place { glass, clock, kmsauth }
}

impl Place {
    async fn token(&self, key: &str, username: &str, to: &str, ends: [i64; 2]) -> SecretText {
        let window = Window { not_before: at(ends[0]), not_after: at(ends[1]) };
        make(self.glass.as_ref(), key, &Claim::parse(username).unwrap(), to, window).await.unwrap()
    }

    async fn who(&self, username: &str, token: &SecretText) -> Option<Standing> {
        let actor = self.kmsauth.authenticate(username, token).await.unwrap()?;
        assert_eq!((actor.scheme, actor.tenant), (Scheme::Kmsauth, Tenant::outside()));
        Some(actor.standing)
    }

    fn asked(&self) -> usize {
        self.glass.asked.load(Ordering::Relaxed)
    }
}

fn principal(kind: crate::domain::actor::PrincipalKind, account: Option<&str>) -> Option<Standing> {
    Some(Standing::Principal { kind, account: account.map(str::to_owned) })
}

#[tokio::test]
async fn a_key_says_who_its_tokens_are_of() {
    let place = place();
    for (key, username, expected) in [
        ("auth", "till", principal(Service, None)),
        ("auth", "2/service/till", principal(Service, None)),
        ("east", "2/service/till", principal(Service, Some("east"))),
        ("people", "2/user/ann", principal(User, None)),
        ("people", "2/service/till", None),
        ("auth", "2/user/ann", None),
        ("foreign", "2/service/till", None),
    ] {
        let token = place.token(key, username, "vault", [-3, 7]).await;
        assert_eq!(place.who(username, &token).await, expected, "{key} {username}");
    }
}

#[tokio::test]
async fn a_token_is_of_one_caller_one_server_and_one_time() {
    let place = place();
    let good = place.token("auth", "2/service/till", "vault", [-3, 7]).await;
    for other in ["2/service/mail", "till", "1/service/till", "2/user/till", "3/service/till", "2/service/till/x"] {
        assert_eq!(place.who(other, &good).await, None, "{other}");
    }
    for (what, to, ends) in [
        ("of another server", "other", [-3, 7]),
        ("not yet", "vault", [1, 7]),
        ("over", "vault", [-9, -1]),
        ("too long", "vault", [-3, 58]),
        ("for days", "vault", [-3, 24 * 60 + 2]),
        ("turned round", "vault", [7, -3]),
    ] {
        let token = place.token("auth", "2/service/till", to, ends).await;
        assert_eq!(place.who("2/service/till", &token).await, None, "{what}");
    }
    for (what, token) in
        [("nothing", ""), ("no base64", "%%%"), ("garbage", "Z2FyYmFnZQ=="), ("long", &"A".repeat(9000))]
    {
        assert_eq!(place.who("2/service/till", &token.into()).await, None, "{what}");
    }
    for plain in ["", "{}", "[]", r#"{"not_before":1,"not_after":2}"#, r#"{"not_before":"soon","not_after":"late"}"#] {
        let context = [("from", "till"), ("to", "vault"), ("user_type", "service")];
        let sealed = place.glass.make("auth", &SecretBytes::new(plain.into()), &context).await.unwrap();
        assert_eq!(
            place.who("2/service/till", &SecretText::new(BASE64_STANDARD.encode(sealed))).await,
            None,
            "{plain}"
        );
    }
    assert_eq!(place.who("2/service/till", &good).await, principal(Service, None));
}

#[tokio::test]
async fn a_token_costs_one_question_and_its_time_is_looked_at_each_time() {
    let place = place();
    let token = place.token("auth", "2/service/till", "vault", [-3, 7]).await;
    let all = (0..20).map(|_| place.who("2/service/till", &token));
    for who in futures::future::join_all(all).await {
        assert_eq!(who, principal(Service, None));
    }
    assert_eq!(place.asked(), 1);
    *place.clock.0.lock().unwrap() = at(8);
    assert_eq!(place.who("2/service/till", &token).await, None);
    assert_eq!(place.asked(), 1, "what is over is not asked for again");
}

#[tokio::test]
async fn what_was_refused_and_what_could_not_be_asked_is_asked_again() {
    let place = place();
    let early = place.token("auth", "2/service/till", "vault", [1, 7]).await;
    assert_eq!(place.who("2/service/till", &early).await, None);
    *place.clock.0.lock().unwrap() = at(2);
    assert_eq!(place.who("2/service/till", &early).await, principal(Service, None));
    assert_eq!(place.asked(), 2);
    let next = place.token("auth", "2/service/till", "vault", [0, 9]).await;
    *place.glass.is_away.lock().unwrap() = true;
    let away = place.kmsauth.authenticate("2/service/till", &next).await;
    assert!(matches!(away, Err(Error::Unavailable { .. })));
    assert_eq!(place.who("2/service/till", &early).await, principal(Service, None), "what is known needs nobody");
    *place.glass.is_away.lock().unwrap() = false;
    assert_eq!(place.who("2/service/till", &next).await, principal(Service, None));
}
