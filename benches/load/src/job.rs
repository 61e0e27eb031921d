//! What is to be asked, how often and of whom, and how a request comes of a template.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Where the server listens, such as 127.0.0.1:8443.
    pub address: String,
    /// The name that its certificate must have.
    pub server_name: String,
    /// PEM file of the root that its certificate must come from.
    pub ca: PathBuf,
    pub connections: usize,
    /// Ends after this time, or after `count` requests, whichever is first.
    pub seconds: f64,
    #[serde(default)]
    pub count: Option<u64>,
    /// Time before anything is counted. Connections are made before it.
    #[serde(default)]
    pub warm_up: f64,
    /// Requests a second that become due, whatever the server does. Without it each connection asks again as soon
    /// as it is answered.
    #[serde(default)]
    pub rate: Option<f64>,
    /// How long a connection lives.
    #[serde(default)]
    pub connection: Connection,
    /// Try until somebody answers, then once more nothing: how long a start takes.
    #[serde(default)]
    pub until_answered: bool,
    pub method: String,
    /// `{key}` is one of `keys`, `{n}` a number that no other request of this job has.
    pub path: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<String>,
    /// File with a key a line.
    #[serde(default)]
    pub keys: Option<PathBuf>,
    #[serde(default)]
    pub order: Order,
    #[serde(default)]
    pub first_number: u64,
    /// The text of this JSON member is taken from each answer and written, a line each, to `capture_into`.
    #[serde(default)]
    pub capture: Option<String>,
    #[serde(default)]
    pub capture_into: Option<PathBuf>,
    /// The process whose processor time is reported.
    #[serde(default)]
    pub pid: Option<u32>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connection {
    /// As long as the job.
    #[default]
    Kept,
    /// One request; each begins with a full handshake.
    Fresh,
    /// One request; each resumes the session of one before.
    Resumed,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    #[default]
    Random,
    /// Each connection goes round among keys of its own: no two write one record at the same time.
    Apart,
}

enum Piece {
    Text(String),
    Key,
    Number,
}

struct Template(Vec<Piece>);

impl Template {
    fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((at, length, piece)) = [("{key}", Piece::Key), ("{n}", Piece::Number)]
            .into_iter()
            .filter_map(|(mark, piece)| rest.find(mark).map(|at| (at, mark.len(), piece)))
            .min_by_key(|(at, ..)| *at)
        {
            pieces.extend([Piece::Text(rest[..at].to_owned()), piece]);
            rest = &rest[at + length..];
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Self(pieces)
    }

    fn fill(&self, into: &mut String, key: &str, number: u64) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => into.push_str(text),
                Piece::Key => into.push_str(key),
                Piece::Number => into.push_str(&number.to_string()),
            }
        }
    }
}

/// Makes the requests of a job.
pub struct Requests {
    head: Template,
    body: Option<Template>,
}

impl Requests {
    pub fn of(job: &Job) -> Self {
        let headers: String = job.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n{headers}", job.method, job.path, job.server_name);
        Self { head: Template::new(&head), body: job.body.as_deref().map(Template::new) }
    }

    pub fn write(&self, into: &mut String, key: &str, number: u64) {
        into.clear();
        self.head.fill(into, key, number);
        let Some(template) = &self.body else {
            return into.push_str("\r\n");
        };
        let mut body = String::new();
        template.fill(&mut body, key, number);
        into.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }
}
