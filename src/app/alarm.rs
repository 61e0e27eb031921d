//! The end of trust in the disk. A failed sync says that nobody knows what is on it any more: nothing is
//! acknowledged from then on, and the process ends, so that the next one starts from what is there.

use tokio::sync::watch;

/// Shared by those who may raise it and the one who ends the process.
#[derive(Clone)]
pub struct Alarm(watch::Sender<Option<String>>);

impl Default for Alarm {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Alarm {
    /// The first reason is kept.
    pub fn raise(&self, why: impl Into<String>) {
        self.0.send_if_modified(|raised| {
            let first = raised.is_none();
            raised.get_or_insert_with(|| why.into());
            first
        });
    }

    pub fn is_raised(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until it is raised, and says why.
    pub async fn raised(&self) -> String {
        let mut seen = self.0.subscribe();
        let raised = seen.wait_for(Option::is_some).await;
        raised.ok().and_then(|why| why.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_is_told_to_everybody_who_waits() {
        let alarm = Alarm::default();
        let other = alarm.clone();
        let waiting = tokio::spawn(async move { other.raised().await });
        alarm.raise("one");
        alarm.raise("two");
        assert_eq!(waiting.await.unwrap(), "one");
        assert_eq!(alarm.raised().await, "one");
        assert!(alarm.is_raised());
    }
}
