//! The loops: closed, where each connection asks again when it is answered, and open, where requests become due at a
//! rate of their own.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{self, Write};
use std::process;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::job::{Connection, Job, Order, Requests};
use crate::report::{Report, Times, processor_time};
use crate::wire::{Answer, Caller, Line, find};

struct Shared {
    job: Job,
    caller: Caller,
    requests: Requests,
    keys: Vec<String>,
    number: Cell<u64>,
    asked: Cell<u64>,
    resumed: Cell<u64>,
    dice: Cell<u64>,
    /// When counting begins and when asking ends.
    begin: Cell<Instant>,
    end: Cell<Instant>,
    times: RefCell<Times>,
    last: Cell<Instant>,
    captured: RefCell<Vec<u8>>,
}

pub async fn run(job: Job) -> anyhow::Result<Report> {
    let shared = Rc::new(Shared::new(job)?);
    if shared.job.until_answered {
        return shared.until_answered().await;
    }
    let mut lines = Vec::new();
    for _ in 0..shared.job.connections {
        let kept = shared.job.connection == Connection::Kept;
        lines.push(if kept { Some(shared.caller.connect().await?) } else { None });
    }
    let start = Instant::now();
    shared.begin.set(start + Duration::from_secs_f64(shared.job.warm_up));
    shared.end.set(shared.begin.get() + Duration::from_secs_f64(shared.job.seconds));
    let spent = |pid: Option<u32>| pid.map_or(Ok(0.0), processor_time);
    let tasks: Vec<_> = lines
        .into_iter()
        .enumerate()
        .map(|(position, line)| spawn_local(shared.clone().connection(position, line)))
        .collect();
    sleep(shared.begin.get().saturating_duration_since(Instant::now())).await;
    let (server, own) = (spent(shared.job.pid)?, processor_time(process::id())?);
    for task in tasks {
        task.await??;
    }
    let (server, own) = (spent(shared.job.pid)? - server, processor_time(process::id())? - own);
    shared.save_captured()?;
    Ok(shared.report(server, own))
}

impl Shared {
    fn new(job: Job) -> anyhow::Result<Self> {
        let keys = job.keys.as_ref().map_or(Ok(String::new()), fs::read_to_string).context("the keys")?;
        let now = Instant::now();
        Ok(Self {
            caller: Caller::new(&job)?,
            requests: Requests::of(&job),
            keys: keys.lines().map(str::to_owned).collect(),
            number: Cell::new(job.first_number),
            asked: Cell::new(0),
            resumed: Cell::new(0),
            dice: Cell::new(0x9E37_79B9_7F4A_7C15),
            begin: Cell::new(now),
            end: Cell::new(now),
            times: RefCell::default(),
            last: Cell::new(now),
            captured: RefCell::default(),
            job,
        })
    }

    async fn connection(self: Rc<Self>, position: usize, mut line: Option<Line>) -> anyhow::Result<()> {
        let mut request = String::new();
        let mut turn = position;
        while let Some(start) = self.next().await {
            self.requests.write(&mut request, self.key(turn), self.count());
            turn += self.job.connections;
            match &mut line {
                Some(line) => self.keep(&line.ask(&request).await?)?,
                None => {
                    let mut line = self.caller.connect().await?;
                    self.keep(&line.ask(&request).await?)?;
                    self.resumed.set(self.resumed.get() + u64::from(line.resumed()));
                    line.hang_up().await;
                }
            }
            let now = Instant::now();
            if start >= self.begin.get() {
                self.times.borrow_mut().add(u64::try_from((now - start).as_nanos())?);
                self.last.set(now);
            }
        }
        Ok(())
    }

    /// The moment from which the next request counts: when it is sent or, with a rate, when it was due if no
    /// connection was free then. A timer of ours that is late is not the server's fault.
    async fn next(&self) -> Option<Instant> {
        let asked = self.asked.get();
        self.asked.set(asked + 1);
        if self.job.count.is_some_and(|count| asked >= count) {
            return None;
        }
        let mut start = Instant::now();
        if let Some(rate) = self.job.rate {
            let before = Duration::from_secs_f64(self.job.warm_up);
            let due = self.begin.get() - before + Duration::from_secs_f64(asked as f64 / rate);
            if due > start {
                sleep(due - start).await;
                start = Instant::now();
            } else {
                start = due;
            }
        }
        (start < self.end.get()).then_some(start)
    }

    fn count(&self) -> u64 {
        self.number.replace(self.number.get() + 1)
    }

    fn key(&self, turn: usize) -> &str {
        if self.keys.is_empty() {
            return "";
        }
        let place = match self.job.order {
            Order::Apart => turn,
            Order::Random => self.throw(),
        };
        &self.keys[place % self.keys.len()]
    }

    /// The same sequence in every run (xorshift): both servers are asked for the same keys.
    fn throw(&self) -> usize {
        let mut dice = self.dice.get();
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        self.dice.set(dice);
        dice as usize
    }

    /// A server that refuses is fast: one refusal ends the job.
    fn keep(&self, answer: &Answer<'_>) -> anyhow::Result<()> {
        if !(200..300).contains(&answer.status) {
            bail!("answered {}: {}", answer.status, String::from_utf8_lossy(answer.body));
        }
        let Some(member) = &self.job.capture else { return Ok(()) };
        let mark = format!("\"{member}\":");
        let text = find(answer.body, mark.as_bytes()).map(|at| &answer.body[at + mark.len()..]);
        let value = text.and_then(|text| text.split(|byte| *byte == b'"').nth(1));
        let mut captured = self.captured.borrow_mut();
        captured.extend_from_slice(value.with_context(|| format!("no {member} in the answer"))?);
        captured.push(b'\n');
        Ok(())
    }

    fn save_captured(&self) -> anyhow::Result<()> {
        let Some(path) = &self.job.capture_into else { return Ok(()) };
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
        Ok(file.write_all(&self.captured.borrow())?)
    }

    /// Tries until the request is answered as it should be.
    async fn until_answered(&self) -> anyhow::Result<Report> {
        let end = Instant::now() + Duration::from_secs_f64(self.job.seconds);
        let mut request = String::new();
        self.requests.write(&mut request, self.key(0), 0);
        loop {
            // Often, but not so often that a server that starts has to spend its time on saying that it does.
            match self.try_once(&request).await {
                Ok(()) => return Ok(self.report(0.0, 0.0)),
                Err(error) if Instant::now() > end => return Err(error),
                Err(error) if error.is::<io::Error>() => sleep(Duration::from_millis(1)).await,
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        }
    }

    async fn try_once(&self, request: &str) -> anyhow::Result<()> {
        let mut line = self.caller.connect().await?;
        self.keep(&line.ask(request).await?)
    }

    fn report(&self, server_cpu: f64, own_cpu: f64) -> Report {
        let mut times = self.times.borrow_mut();
        times.sort();
        let seconds = (self.last.get().saturating_duration_since(self.begin.get())).as_secs_f64();
        Report {
            requests: times.len(),
            seconds,
            rate: if seconds > 0.0 { times.len() as f64 / seconds } else { 0.0 },
            p50: times.quantile(0.5),
            p90: times.quantile(0.9),
            p99: times.quantile(0.99),
            longest: times.quantile(1.0),
            resumed: self.resumed.get(),
            server_cpu,
            own_cpu,
        }
    }
}
