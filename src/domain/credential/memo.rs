//! A text that somebody made of a credential, kept with it: made once for as long as the credential is held in memory,
//! wiped with it, and never copied to another.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::domain::secret::SecretText;

#[derive(Default)]
pub struct Memo(OnceLock<Arc<SecretText>>);

impl Memo {
    /// The first one's text is everybody's: `make` must not depend on who asks.
    pub fn text(&self, make: impl FnOnce() -> SecretText) -> Arc<SecretText> {
        self.0.get_or_init(|| Arc::new(make())).clone()
    }
}

/// What is copied is usually changed next.
impl Clone for Memo {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memo")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_made_once_and_not_for_copies() {
        let memo = Memo::default();
        let first = memo.text(|| "one".into());
        assert!(Arc::ptr_eq(&first, &memo.text(|| unreachable!("it is there"))));
        assert_eq!(memo.clone().text(|| "two".into()).expose(), "two");
        assert_eq!(format!("{memo:?}"), "Memo");
    }
}
