//! Stand-in until the real one lands.

use std::sync::{Arc, OnceLock};

use crate::domain::{Error, Result};

#[derive(Clone, Debug, Default)]
pub struct Alarm(Arc<OnceLock<String>>);

impl Alarm {
    pub fn raise(&self, why: impl Into<String>) {
        let _ = self.0.set(why.into());
    }

    pub fn check(&self) -> Result<()> {
        match self.0.get() {
            Some(why) => Err(Error::Unavailable { part: "the store", detail: why.clone() }),
            None => Ok(()),
        }
    }
}
