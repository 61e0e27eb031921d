//! Reading a request's body into memory that is wiped, and making answers from such memory.

use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt};
use http_body_util::LengthLimitError;
use std::error::Error as _;
use std::pin::pin;
use zeroize::Zeroizing;

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Longer than the listener bears.
    TooLarge,
    /// The caller went away or broke the protocol.
    Broken,
}

/// The whole body, wiped when dropped. The listener's limit bounds it.
pub async fn read(
    stream: impl Stream<Item = Result<impl Buf, warp::Error>>,
    declared: usize,
) -> Result<Zeroizing<Vec<u8>>, Unread> {
    let mut stream = pin!(stream);
    let mut body = Zeroizing::new(Vec::with_capacity(declared));
    while let Some(chunk) = stream.next().await {
        let mut chunk = chunk.map_err(|error| cause(&error))?;
        if chunk.remaining() > body.capacity() - body.len() {
            grow(&mut body, chunk.remaining());
        }
        while chunk.has_remaining() {
            let part = chunk.chunk();
            body.extend_from_slice(part);
            let read = part.len();
            chunk.advance(read);
        }
    }
    Ok(body)
}

/// A vector that grows by itself leaves its old content in freed memory.
fn grow(body: &mut Zeroizing<Vec<u8>>, more: usize) {
    let mut larger = Zeroizing::new(Vec::with_capacity((body.len() + more).max(body.capacity() * 2)));
    larger.extend_from_slice(body);
    *body = larger;
}

fn cause(error: &warp::Error) -> Unread {
    let mut next = error.source();
    while let Some(error) = next {
        if error.is::<LengthLimitError>() {
            return Unread::TooLarge;
        }
        next = error.source();
    }
    Unread::Broken
}

struct Wiped(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The body of an answer, wiped once it was sent.
pub fn wiped(bytes: Zeroizing<Vec<u8>>) -> Bytes {
    Bytes::from_owner(Wiped(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn chunks_are_put_together() {
        let chunks = ["a", "bc", "", "defgh"].map(|text| Ok(Bytes::from_static(text.as_bytes())));
        let body = read(futures::stream::iter(chunks), 1).await.unwrap();
        assert_eq!(body.as_slice(), b"abcdefgh");
    }
}
