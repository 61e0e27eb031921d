//! TLS and just enough of HTTP/1.1 for a caller that knows what it asked for. What it saves in processor time is left
//! for the server that shares the machine with it.

use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::job::{Connection, Job};

/// An answer longer than this is not what was asked for.
const LONGEST: usize = 1024 * 1024;

pub struct Caller {
    connector: TlsConnector,
    name: ServerName<'static>,
    address: String,
}

impl Caller {
    /// One version, one cipher suite and one key exchange, so that every server is asked for the same work.
    pub fn new(job: &Job) -> anyhow::Result<Self> {
        let mut provider = default_provider();
        provider.cipher_suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256];
        provider.kx_groups = vec![kx_group::X25519];
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&job.ca).context("the root certificate")? {
            roots.add(certificate?)?;
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if job.connection != Connection::Resumed {
            config.resumption = Resumption::disabled();
        }
        let name = ServerName::try_from(job.server_name.clone())?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name, address: job.address.clone() })
    }

    pub async fn connect(&self) -> anyhow::Result<Line> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.connector.connect(self.name.clone(), stream).await?;
        Ok(Line { stream, read: Vec::with_capacity(16 * 1024) })
    }
}

pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

/// One connection.
pub struct Line {
    stream: TlsStream<TcpStream>,
    read: Vec<u8>,
}

/// How the end of a body is found.
enum Length {
    Of(usize),
    Chunked,
}

impl Line {
    pub fn resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    pub async fn ask(&mut self, request: &str) -> anyhow::Result<Answer<'_>> {
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        self.read.clear();
        let (head, status, length) = loop {
            self.more().await?;
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                let (status, length) = head(&self.read[..end])?;
                break (end + 4, status, length);
            }
        };
        let complete = |read: &[u8]| match length {
            Length::Of(length) => read.len() >= head + length,
            Length::Chunked => read[head..].ends_with(b"0\r\n\r\n"),
        };
        while !complete(&self.read) {
            self.more().await?;
        }
        Ok(Answer { status, body: &self.read[head..] })
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.read).await? == 0 {
            bail!("the server hung up");
        }
        if self.read.len() > LONGEST {
            bail!("an answer without an end");
        }
        Ok(())
    }

    pub async fn hang_up(mut self) {
        // A server that has gone already is none of our business.
        let _ = self.stream.shutdown().await;
    }
}

fn head(bytes: &[u8]) -> anyhow::Result<(u16, Length)> {
    let text = std::str::from_utf8(bytes)?;
    let status: u16 = text.get(9..12).context("a status line")?.parse()?;
    let header = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    Ok(match (header("content-length"), header("transfer-encoding")) {
        (Some(length), _) => (status, Length::Of(length.parse()?)),
        (None, Some(_)) => (status, Length::Chunked),
        (None, None) => (status, Length::Of(0)),
    })
}

pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}
