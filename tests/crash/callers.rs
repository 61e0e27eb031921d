//! Callers of the real server over REST, and what they know afterwards: which revision of which credential was
//! acknowledged with which value, and which writes were never answered. Every later answer is held against that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::Dice;
use crate::process::{Strongroom, binary};

/// Longer than any answer takes on a slow machine; a server that hangs must still be seen.
const PATIENCE: Duration = Duration::from_secs(20);

pub const PLAIN: &str = "STRONGROOM_PLAIN_HTTP";

/// A server without a cluster on plain HTTP: TLS says nothing about crashes and takes most of the time.
pub fn server() -> Strongroom {
    let mut strongroom = Strongroom::new(None);
    strongroom.set(PLAIN, Some("true"));
    // The preloaded library compares paths, so there must be no link on the way.
    let folder = strongroom.data.parent().and_then(|folder| folder.canonicalize().ok()).expect("a folder");
    strongroom.data = folder.join("data");
    strongroom
}

/// `strongroom client create ops --admin` with this environment; the password.
pub fn create_admin(strongroom: &Strongroom, environment: &[(String, String)]) -> String {
    let mut command = binary();
    command.args(["client", "create", "ops", "--admin", "--data-dir", &strongroom.data.display().to_string()]);
    let output = command.envs(environment.iter().cloned()).output().expect("the binary");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// Whether this build has an audit log that can be verified.
pub fn keeps_audit() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    let known = || binary().args(["audit", "verify", "--help"]).output().expect("the binary").status.success();
    *KNOWN.get_or_init(known)
}

/// `strongroom audit verify` on a folder that nobody serves; what it complains of.
pub fn verify_audit(data: &Path) -> Option<String> {
    if !keeps_audit() {
        return None;
    }
    let output = binary().args(["audit", "verify", "--data-dir"]).arg(data).output().expect("the binary");
    let said = [output.stdout, output.stderr].concat();
    (!output.status.success()).then(|| format!("audit verify: {}", String::from_utf8_lossy(&said)))
}

#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Revision → value, answered or read: neither may ever be undone.
    pub certain: BTreeMap<u64, String>,
    /// Values of writes that are under way or were never answered.
    open: BTreeSet<String>,
    /// How many writes never got an answer that says what they did.
    unanswered: usize,
}

impl Known {
    pub fn current(&self) -> u64 {
        self.certain.last_key_value().map_or(0, |(revision, _)| *revision)
    }

    /// What was acknowledged, or a write without an answer, whole.
    fn may_be(&self, revision: u64, value: &str) -> bool {
        self.certain.get(&revision).map_or_else(|| self.open.contains(value), |certain| certain == value)
    }
}

/// What can be in a store after all this, and nothing else can.
pub struct Memory {
    pub credentials: BTreeMap<String, Known>,
    /// Values of creations without an answer.
    creations: BTreeSet<String>,
}

impl Memory {
    pub fn allows(&self, id: &str, revision: u64, value: &str) -> bool {
        match self.credentials.get(id) {
            Some(known) => known.may_be(revision, value),
            None => revision == 1 && self.creations.contains(value),
        }
    }
}

#[derive(Default)]
struct Notes {
    credentials: BTreeMap<String, Known>,
    /// In the order in which they became known.
    ids: Vec<String>,
    /// Title → value of creations without an answer.
    open_creations: BTreeMap<String, String>,
    /// Ids that something happened to since the last look.
    touched: BTreeSet<String>,
    violations: Vec<String>,
    acknowledged: usize,
    titles: usize,
}

impl Notes {
    fn of(&mut self, id: &str) -> &mut Known {
        if !self.credentials.contains_key(id) {
            self.ids.push(id.to_owned());
        }
        self.credentials.entry(id.to_owned()).or_default()
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// A status that says that it was not done.
    Refused(u16),
    /// A conflict with the credential with this id: it has the name, or was changed by another at the same time.
    Taken(String),
    /// The connection broke.
    Unanswered,
}

/// Shared by all callers.
#[derive(Clone)]
pub struct Callers {
    http: Client,
    base: String,
    password: String,
    notes: Arc<Mutex<Notes>>,
}

impl Callers {
    pub fn new(strongroom: &Strongroom, password: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        let base = format!("http://127.0.0.1:{}/v1/credentials", strongroom.rest);
        Self { http, base, password: password.to_owned(), notes: Arc::default() }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn acknowledged(&self) -> usize {
        self.notes().acknowledged
    }

    pub fn violations(&self) -> Vec<String> {
        std::mem::take(&mut self.notes().violations)
    }

    /// What all callers know together.
    pub fn memory(&self) -> Memory {
        let notes = self.notes();
        Memory { credentials: notes.credentials.clone(), creations: notes.open_creations.values().cloned().collect() }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Outcome> {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let mut request = request.basic_auth("ops", Some(&self.password));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(|_| Outcome::Unanswered)?;
        let status = answer.status().as_u16();
        // An answer counts when all of it has arrived.
        let body: Value = match answer.bytes().await {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            Err(_) => return Err(Outcome::Unanswered),
        };
        match (status, body["reference"].as_str()) {
            (200, _) => Ok(body),
            (409, Some(id)) => Err(Outcome::Taken(id.to_owned())),
            _ => Err(Outcome::Refused(status)),
        }
    }

    pub async fn is_answered(&self) -> bool {
        self.ask(Method::GET, "/nothing", None).await != Err(Outcome::Unanswered)
    }

    /// The first request of a caller makes the server verify the password, slowly: once, and not for all at once.
    pub async fn arrive(&self) {
        let nobody = format!("/{}", "0".repeat(32));
        assert_eq!(self.ask(Method::GET, &nobody, None).await, Err(Outcome::Refused(404)), "the server answers");
    }

    pub async fn create(&self, value: String) -> Outcome {
        let title = {
            let mut notes = self.notes();
            notes.titles += 1;
            format!("credential {}", notes.titles)
        };
        self.create_titled(title, value).await
    }

    async fn create_titled(&self, title: String, value: String) -> Outcome {
        self.notes().open_creations.insert(title.clone(), value.clone());
        let body = json!({"name": title, "credential_pairs": {"value": value}, "enabled": true});
        match self.ask(Method::POST, "", Some(body)).await {
            Ok(answer) => {
                self.notes().open_creations.remove(&title);
                self.acknowledge(&answer, &value);
                Outcome::Done
            }
            Err(outcome) => {
                if is_certain(&outcome) {
                    self.notes().open_creations.remove(&title);
                }
                outcome
            }
        }
    }

    pub async fn update(&self, id: &str, value: String) -> Outcome {
        self.with(id, |known| _ = known.open.insert(value.clone()));
        let body = json!({"credential_pairs": {"value": value}});
        match self.ask(Method::PUT, &format!("/{id}"), Some(body)).await {
            Ok(answer) => {
                self.acknowledge(&answer, &value);
                Outcome::Done
            }
            Err(outcome) => {
                self.with(id, |known| match is_certain(&outcome) {
                    true => _ = known.open.remove(&value),
                    false => known.unanswered += 1,
                });
                outcome
            }
        }
    }

    fn with(&self, id: &str, change: impl FnOnce(&mut Known)) {
        let mut notes = self.notes();
        notes.touched.insert(id.to_owned());
        change(notes.of(id));
    }

    fn acknowledge(&self, answer: &Value, value: &str) {
        let Some((id, revision, shown)) = read(answer) else {
            return self.notes().violations.push(format!("an answer that is none: {answer}"));
        };
        let mut notes = self.notes();
        notes.acknowledged += 1;
        notes.touched.insert(id.clone());
        let known = notes.of(&id);
        known.open.remove(value);
        let before = known.certain.insert(revision, value.to_owned()).filter(|before| before != value);
        if shown != value {
            notes.violations.push(format!("{id} revision {revision}: another value was acknowledged than was sent"));
        }
        if before.is_some() {
            notes.violations.push(format!("{id} revision {revision} was given to two writes"));
        }
    }

    /// Reads and holds what comes against what was known when it was asked for.
    pub async fn look(&self, id: &str) -> Outcome {
        let floor = self.notes().credentials.get(id).map_or(0, Known::current);
        let answer = match self.ask(Method::GET, &format!("/{id}"), None).await {
            Ok(answer) => answer,
            Err(Outcome::Refused(404)) => {
                self.notes().violations.push(format!("{id} is lost"));
                return Outcome::Refused(404);
            }
            Err(outcome) => return outcome,
        };
        let Some((_, revision, value)) = read(&answer) else {
            self.notes().violations.push(format!("an answer that is none: {answer}"));
            return Outcome::Done;
        };
        let mut notes = self.notes();
        let known = notes.of(id);
        let wrong = match (revision < floor, known.may_be(revision, &value)) {
            (true, _) => Some(format!("{id}: revision {revision} after {floor} was acknowledged")),
            (_, false) => Some(format!("{id}: revision {revision} has a value that it was not given")),
            _ => None,
        };
        known.certain.insert(revision, value);
        notes.violations.extend(wrong);
        Outcome::Done
    }

    /// After a crash: everything that something happened to since the last look, or everything there is. A write that
    /// was not answered is now there or never will be.
    pub async fn look_at(&self, everything: bool) -> usize {
        let creations = self.notes().open_creations.clone();
        for (title, value) in creations {
            self.settle_creation(title, value).await;
        }
        let touched = std::mem::take(&mut self.notes().touched);
        let ids: Vec<String> = match everything {
            true => self.notes().credentials.keys().cloned().collect(),
            false => touched.into_iter().collect(),
        };
        for part in ids.chunks(16) {
            for outcome in futures::future::join_all(part.iter().map(|id| self.look(id))).await {
                if outcome != Outcome::Done {
                    self.notes().violations.push(format!("a read after the crash: {outcome:?}"));
                }
            }
            part.iter().for_each(|id| self.settle(id));
        }
        ids.len()
    }

    /// Asks again for what was never answered: made now, or taken by the first attempt, whose value is then looked at.
    async fn settle_creation(&self, title: String, value: String) {
        match self.create_titled(title.clone(), value.clone()).await {
            Outcome::Done => {}
            Outcome::Taken(id) => self.with(&id, |known| {
                known.open.insert(value);
                known.unanswered += 1;
            }),
            other => self.notes().violations.push(format!("{title}: {other:?} after the crash")),
        }
    }

    /// Revisions are dense: each is known or stands for a write that was not answered.
    fn settle(&self, id: &str) {
        let mut notes = self.notes();
        let known = notes.of(id);
        let gaps = usize::try_from(known.current()).expect("a revision").saturating_sub(known.certain.len());
        let wrong = (gaps > known.unanswered).then(|| format!("{id}: {gaps} revisions that nobody wrote"));
        known.open.clear();
        notes.violations.extend(wrong);
    }

    /// One of the first so many credentials; with few of them writers meet.
    pub fn pick(&self, among: usize, dice: &mut Dice) -> Option<String> {
        let notes = self.notes();
        let count = notes.ids.len().min(among);
        (count > 0).then(|| notes.ids[dice.below(count)].clone())
    }
}

/// A conflict and a bad request say for certain that nothing was written; trouble inside does not.
fn is_certain(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Refused(status) => *status < 500,
        Outcome::Taken(_) => true,
        Outcome::Done | Outcome::Unanswered => false,
    }
}

/// Id, revision and value of an answer.
pub fn read(answer: &Value) -> Option<(String, u64, String)> {
    let value = answer["credential_pairs"]["value"].as_str()?;
    Some((answer["id"].as_str()?.to_owned(), answer["revision"].as_u64()?, value.to_owned()))
}

/// A value like no other, between a few bytes and several pages.
pub fn value(dice: &mut Dice) -> String {
    let length = [8, 60, 300, 2000, 9000][dice.below(5)];
    value_of(length, dice)
}

pub fn value_of(length: usize, dice: &mut Dice) -> String {
    let mut value = format!("{:016x}", dice.roll());
    while value.len() < length {
        value.push_str(&format!("{:016x}", dice.roll()));
    }
    value
}
