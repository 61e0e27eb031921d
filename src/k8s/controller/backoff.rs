//! When a failed resource is looked at again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(300);

/// From 1 s to 5 min, doubling, less up to a quarter: resources that failed together do not come back
/// together. The spread comes from who it is and how often, so it needs no randomness.
pub fn backoff(who: &str, failures: u32) -> Duration {
    let full = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LAST);
    let mut hasher = DefaultHasher::new();
    (who, failures).hash(&mut hasher);
    full - full.mul_f64((hasher.finish() % 1000) as f64 / 4000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_a_second_to_five_minutes() {
        for (failures, full) in [(0, 1), (1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (u32::MAX, 300)] {
            let wait = backoff("uid", failures).as_secs_f64();
            assert!((f64::from(full) * 0.75..=f64::from(full)).contains(&wait), "{failures}: {wait}");
        }
    }

    #[test]
    fn two_resources_come_back_at_different_times() {
        assert_ne!(backoff("a", 8), backoff("b", 8));
    }
}
