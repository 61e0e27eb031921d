//! `ClientCredential`: an identity outside the cluster. Of a Basic one only its Secret holds the password, so
//! the Secret comes first and the store learns the hash of what it holds; the mark on it ties the two.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::app::clients::{is_dead, renew_at};
use crate::app::step::step;
use crate::domain::authority::CertificateRequest;
use crate::domain::client::{Client, Proof, State, resource_username};
use crate::domain::credential::Kind;
use crate::domain::name::Revision;
use crate::domain::record::{Class, Entry};
use crate::domain::secret::{SecretBytes, SecretText};
use crate::k8s::controller::{Reconciled, Resolved, Visit};
use crate::k8s::crd::{ClientCredential, ClientCredentialStatus, Managed};
use crate::k8s::failure::{Failure, Next};
use crate::k8s::projection::apply::Outcome;
use crate::k8s::projection::held::Held;
use crate::k8s::projection::{Content, Item, Projection, Shelf, Sort, items};
use crate::k8s::translate::{CLIENT_FIELDS, ClientWish};

impl Reconciled for ClientCredential {
    const CLASS: Class = Class::Client;

    fn needs(&self) -> Vec<String> {
        self.spec.authority_ref.iter().map(|authority| authority.name.to_string()).collect()
    }

    fn shown(status: &ClientCredentialStatus) -> Option<&str> {
        status.secret_name.as_deref()
    }

    /// Its status has no revision.
    fn revision(_: &ClientCredentialStatus) -> Option<i64> {
        None
    }

    async fn resolve(&self, visit: &Visit<'_>) -> Result<Resolved<ClientCredentialStatus>, Failure> {
        let wish = ClientWish::try_from(self)?;
        let secret = self.secret_name().ok_or_else(|| {
            Failure::edit(
                "Invalid",
                "spec.target.creationPolicy None is not possible: only the Secret has the password",
            )
        })?;
        let state = State::from(self.spec.state());
        let (entry, projection, done) = match wish {
            ClientWish::Basic => basic(visit, &secret, state).await?,
            ClientWish::X509(request) => x509(visit, &secret, *request, state).await?,
        };
        let (not_after, wake_at) = match &entry.body.proof {
            Proof::Basic { .. } => (None, None),
            Proof::X509(issued) => (Some(Time(issued.not_after)), Some(renew_at(issued))),
        };
        let status = ClientCredentialStatus {
            username: Some(entry.head.name.clone()),
            secret_name: Some(secret),
            state: Some(entry.body.state.into()),
            not_after,
            ..ClientCredentialStatus::default()
        };
        let message = format!("{} is for client {} ({})", projection.what(), entry.head.name, entry.body.state.name());
        Ok(Resolved { status, projections: vec![projection], message, life: None, due: None, wake_at, done })
    }
}

type Proven = (Entry<Client>, Projection, Vec<Outcome>);

async fn x509(visit: &Visit<'_>, secret: &str, request: CertificateRequest, state: State) -> Result<Proven, Failure> {
    let converged = visit.app().clients.converge_x509(visit.owner(), request, state, visit.retain_for).await;
    let entry = converged.map_err(CLIENT_FIELDS)?;
    let Proof::X509(issued) = &entry.body.proof else {
        return Err(Failure::new(Next::Retry, "InternalError", "the client has no certificate"));
    };
    let kind = Kind::Certificate;
    let items = items(&issued.material, kind, &entry.stamp.version_id.hex());
    let projection = Projection::secret(secret.to_owned(), kind.secret_type(), entry.stamp.number, items)?;
    Ok((entry, projection, Vec::new()))
}

/// What has to happen to a password.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The Secret holds the enrolled password.
    Keep,
    /// Somebody touched the Secret. If it still holds the enrolled password, that one stays.
    Compare,
    /// The Secret holds a password that the store has not seen: we were stopped between the two.
    Enroll,
    Draw,
}

/// What is known of the enrolled password.
struct Enrolled<'a> {
    mark: &'a str,
    /// Its client is not released.
    live: bool,
    /// It was revoked and must not come back.
    dead: bool,
}

fn decide(enrolled: Option<&Enrolled<'_>>, held: Option<&Held>) -> Step {
    let Some((held, mark)) = held.and_then(|held| Some((held, held.mark.as_deref()?))) else { return Step::Draw };
    let content = Content::kept(SORT, &unread(mark));
    let untouched = held.is_untouched(&content.keys) && held.content.as_deref() == Some(&content.word);
    match enrolled.filter(|enrolled| enrolled.mark == mark) {
        Some(Enrolled { dead: true, .. }) => Step::Draw,
        Some(Enrolled { live: true, .. }) if untouched => Step::Keep,
        Some(Enrolled { live: true, .. }) => Step::Compare,
        _ if untouched => Step::Enroll,
        _ => Step::Draw,
    }
}

/// A Basic client at work on its Secret.
struct Basic<'a> {
    visit: &'a Visit<'a>,
    secret: &'a str,
    state: State,
}

async fn basic(visit: &Visit<'_>, secret: &str, state: State) -> Result<Proven, Failure> {
    let known = visit.app().clients.remembered(visit.owner()).await?;
    let live = known.as_ref().filter(|entry| entry.head.released.is_none());
    // Refused before a password is drawn for it.
    live.map(|entry| entry.body.state.change_to(state)).transpose()?;
    let held = visit.desk.applier.own(&visit.author, Shelf::Secrets, secret);
    let step = decide(known.as_ref().and_then(enrolled).as_ref(), held.as_ref());
    let mark = held.and_then(|held| held.mark).unwrap_or_default();
    let basic = Basic { visit, secret, state };
    match (step, live) {
        (Step::Keep, Some(entry)) => basic.keep(entry.clone(), Vec::new()).await,
        (Step::Compare, Some(entry)) => basic.compare(entry.clone(), &mark).await,
        (Step::Enroll, _) => basic.enroll(known.as_ref(), &mark).await,
        _ => basic.draw(known.as_ref()).await,
    }
}

impl Basic<'_> {
    async fn keep(&self, entry: Entry<Client>, done: Vec<Outcome>) -> Result<Proven, Failure> {
        let clients = &self.visit.app().clients;
        let entry = clients.converge_basic(self.visit.owner(), entry, self.state, self.visit.retain_for).await?;
        let mark = enrolled(&entry).map(|enrolled| enrolled.mark.to_owned()).unwrap_or_default();
        let projection = self.projection(&mark, entry.stamp.number, None);
        Ok((entry, projection, done))
    }

    async fn compare(&self, entry: Entry<Client>, mark: &str) -> Result<Proven, Failure> {
        match self.password().await? {
            Some(password) if self.visit.app().clients.holds(&entry, &password)? => {
                // Written once more as it is, so that every key is ours again.
                let done = self.write(mark, entry.stamp.number, &password).await?;
                self.keep(entry, vec![done]).await
            }
            _ => self.draw(Some(&entry)).await,
        }
    }

    async fn enroll(&self, known: Option<&Entry<Client>>, mark: &str) -> Result<Proven, Failure> {
        match self.password().await? {
            Some(password) => self.remember(&password, mark, Vec::new()).await,
            None => self.draw(known).await,
        }
    }

    async fn draw(&self, known: Option<&Entry<Client>>) -> Result<Proven, Failure> {
        let (password, mark) = self.visit.app().clients.draw_password()?;
        // The revision that enrolling makes.
        let revision = known.map_or(Revision::FIRST, |entry| entry.stamp.number.next());
        let written = self.write(&mark, revision, &password).await?;
        let lost = known.is_some_and(|entry| entry.head.released.is_none());
        let done = if lost { Outcome::Replaced } else { written };
        self.remember(&password, &mark, vec![done]).await
    }

    async fn remember(&self, password: &SecretText, mark: &str, done: Vec<Outcome>) -> Result<Proven, Failure> {
        let Visit { author, retain_for, .. } = self.visit;
        step("client.enroll");
        let entry = self.visit.app().clients.enroll(&author.owner, password, mark, self.state, *retain_for).await?;
        step("client.enrolled");
        let projection = self.projection(mark, entry.stamp.number, None);
        Ok((entry, projection, done))
    }

    async fn write(&self, mark: &str, revision: Revision, password: &SecretText) -> Result<Outcome, Failure> {
        let Visit { author, desk, .. } = self.visit;
        let username = SecretText::new(resource_username(&author.owner.namespace, &author.owner.name));
        let [mut first, mut second] = unread(mark);
        (first.value, second.value) = (username, password.clone());
        desk.applier.project(author, &self.projection(mark, revision, Some(vec![first, second]))).await
    }

    fn projection(&self, mark: &str, revision: Revision, items: Option<Vec<Item>>) -> Projection {
        let content = Content { items, ..Content::kept(SORT, &unread(mark)) };
        Projection { sort: SORT, name: self.secret.to_owned(), revision, mark: Some(mark.to_owned()), content }
    }

    /// The Secret's password, if it is there.
    async fn password(&self) -> Result<Option<SecretText>, Failure> {
        let Visit { author, desk, .. } = self.visit;
        let found = desk.applier.read_secret(&author.owner.namespace, self.secret).await?;
        let mut data = found.and_then(|found| found.data).unwrap_or_default();
        Ok(data.remove(PASSWORD).and_then(|value| SecretBytes::new(value.0).into_text()))
    }
}

fn enrolled(entry: &Entry<Client>) -> Option<Enrolled<'_>> {
    match &entry.body.proof {
        Proof::Basic { mark, .. } => Some(Enrolled { mark, live: entry.head.released.is_none(), dead: is_dead(entry) }),
        Proof::X509(_) => None,
    }
}

const SORT: Sort = Sort::Secret("kubernetes.io/basic-auth");
const USERNAME: &str = "username";
const PASSWORD: &str = "password";

/// What its Secret has, without the values.
fn unread(mark: &str) -> [Item; 2] {
    [USERNAME, PASSWORD].map(|key| Item { key: key.to_owned(), value: SecretText::default(), source: mark.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(mark: &str) -> Held {
        let content = Content::kept(SORT, &unread(mark));
        Held { mark: Some(mark.into()), content: Some(content.word), our_keys: content.keys, ..Held::default() }
    }

    fn edited(held: Held) -> Held {
        Held { our_keys: [USERNAME.to_owned()].into(), other_keys: [PASSWORD.to_owned()].into(), ..held }
    }

    const LIVE: Enrolled<'_> = Enrolled { mark: "m", live: true, dead: false };

    #[test]
    fn a_password_that_is_enrolled_stays() {
        assert_eq!(decide(Some(&LIVE), Some(&held("m"))), Step::Keep);
        assert_eq!(decide(Some(&LIVE), Some(&edited(held("m")))), Step::Compare);
        let relabelled = Held { content: Some("another".into()), ..held("m") };
        assert_eq!(decide(Some(&LIVE), Some(&relabelled)), Step::Compare);
    }

    #[test]
    fn a_password_that_only_the_secret_knows_is_enrolled() {
        assert_eq!(decide(None, Some(&held("new"))), Step::Enroll);
        assert_eq!(decide(Some(&LIVE), Some(&held("new"))), Step::Enroll);
        let released = Enrolled { live: false, ..LIVE };
        assert_eq!(decide(Some(&released), Some(&held("m"))), Step::Enroll);
    }

    #[test]
    fn a_password_is_drawn_when_it_is_lost_changed_or_revoked() {
        assert_eq!(decide(Some(&LIVE), None), Step::Draw);
        assert_eq!(decide(None, Some(&edited(held("new")))), Step::Draw);
        assert_eq!(decide(Some(&LIVE), Some(&Held { mark: None, ..held("m") })), Step::Draw);
        let dead = Enrolled { live: false, dead: true, ..LIVE };
        assert_eq!(decide(Some(&dead), Some(&held("m"))), Step::Draw);
    }
}
