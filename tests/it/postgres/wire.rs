//! A wire between the store and its server that can be cut at the worst moment: when a commit is on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What happens to the next commit. Afterwards the wire is whole again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    None,
    /// It never arrives, and the server hears of the cut.
    Before,
    /// It arrives; its answer does not.
    Behind,
    /// The wire is cut, and yet it arrives, a second later: a packet that was under way.
    Late,
    /// As `Behind`, and no wire can be had any more.
    ForGood,
}

#[derive(Clone)]
pub struct Wire {
    pub port: u16,
    next: Arc<AtomicU8>,
    cuts: Arc<AtomicUsize>,
    silent: Arc<AtomicBool>,
}

const ALL: [Cut; 5] = [Cut::None, Cut::Before, Cut::Behind, Cut::Late, Cut::ForGood];
const COMMIT: &[u8] = b"COMMIT\0";
const UNDER_WAY: Duration = Duration::from_secs(1);

impl Wire {
    pub async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let wire = Self { port, next: Arc::new(AtomicU8::new(0)), cuts: Arc::default(), silent: Arc::default() };
        let accepting = wire.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if accepting.next() != Cut::ForGood || accepting.cuts() == 0 {
                    tokio::spawn(accepting.clone().carry(client, server));
                }
            }
        });
        wire
    }

    pub fn cut(&self, how: Cut) {
        self.next.store(how as u8, Ordering::SeqCst);
    }

    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }

    /// A partition: nothing comes through in either direction, and nobody is told. What was sent arrives when it is over.
    pub fn silence(&self, silent: bool) {
        self.silent.store(silent, Ordering::SeqCst);
    }

    async fn heard(&self) {
        while self.silent.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn carry_answers(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            self.heard().await;
            if to.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    }

    fn next(&self) -> Cut {
        ALL[usize::from(self.next.load(Ordering::SeqCst))]
    }

    async fn carry(self, client: TcpStream, server: u16) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
        let (mut from_client, to_client) = client.into_split();
        let (from_server, mut to_server) = server.into_split();
        let answers = tokio::spawn(self.clone().carry_answers(from_server, to_client));
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            self.heard().await;
            let message = &buffer[..length];
            let is_commit = message.windows(COMMIT.len()).any(|part| part == COMMIT);
            let how = if is_commit { self.next() } else { Cut::None };
            if how == Cut::None {
                if to_server.write_all(message).await.is_err() {
                    break;
                }
                continue;
            }
            answers.abort();
            self.cuts.fetch_add(1, Ordering::SeqCst);
            if how != Cut::ForGood {
                self.cut(Cut::None);
            }
            drop(from_client);
            if how == Cut::Before {
                return;
            }
            if how == Cut::Late {
                tokio::time::sleep(UNDER_WAY).await;
            }
            let _ = to_server.write_all(message).await;
            tokio::time::sleep(UNDER_WAY).await; // the server must have read it before it hears of the cut
            return;
        }
        answers.abort();
    }
}
