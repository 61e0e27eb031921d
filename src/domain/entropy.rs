//! Where random bytes come from, as an argument: the operating system in the product, a counter in tests.

use jiff::Timestamp;

use crate::domain::name::{RecordId, VersionId};

/// Fills buffers with unpredictable bytes.
pub trait Entropy: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Entropy + '_ {
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    pub fn record_id(&self, now: Timestamp) -> RecordId {
        RecordId::at(now, self.bytes())
    }

    pub fn version_id(&self, now: Timestamp) -> VersionId {
        VersionId::at(now, self.bytes())
    }

    /// A number below `limit` (1..=256) without modulo bias: bytes past the last whole multiple are drawn again.
    pub fn below(&self, limit: usize) -> usize {
        debug_assert!((1..=256).contains(&limit));
        let ceiling = 256 - 256 % limit;
        loop {
            let [byte] = self.bytes::<1>();
            if usize::from(byte) < ceiling {
                return usize::from(byte) % limit;
            }
        }
    }
}
