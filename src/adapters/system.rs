//! The operating system's clock and random numbers: the only place that reads either.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::Timestamp;

use crate::app::ports::Clock;
use crate::domain::entropy::Entropy;

#[derive(Debug, Default)]
pub struct SystemEntropy(SystemRandom);

impl Entropy for SystemEntropy {
    /// Ends the process when there is no randomness to be had. A panic would not do: it is caught at
    /// the edge, and the process would go on without randomness.
    fn fill(&self, bytes: &mut [u8]) {
        if self.0.fill(bytes).is_err() {
            eprintln!("the operating system gives no random bytes; stopping rather than making weak keys");
            std::process::abort();
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    /// In whole microseconds: what every store can keep, so that a time read back equals the one written.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_microseconds_and_do_not_stand_still() {
        let first = SystemClock.now();
        assert_eq!(first.as_nanosecond() % 1_000, 0);
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(SystemClock.now() > first);
    }

    #[test]
    fn random_bytes_fill_the_whole_buffer_and_do_not_repeat() {
        let entropy = SystemEntropy::default();
        let entropy: &dyn Entropy = &entropy;
        let (first, second) = (entropy.bytes::<64>(), entropy.bytes::<64>());
        assert_ne!(first, second);
        assert!(first.chunks(8).all(|chunk| chunk != [0; 8]));
    }
}
