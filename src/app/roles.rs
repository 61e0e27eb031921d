//! The roles that services are offered to be called after. Knows when to ask anew; where roles are kept is the port's.

use std::sync::{Arc, PoisonError, RwLock};

use crate::app::access::Access;
use crate::app::audit::Audit;
use crate::app::ports::RoleBook;
use crate::domain::Result;
use crate::domain::actor::Actor;
use crate::domain::name::Tenant;
use crate::domain::permission::{Action, Target};
use crate::domain::record::Class;

/// Where the names come from.
#[derive(Clone)]
pub enum Source {
    /// As the settings say.
    Fixed(Vec<String>),
    Book(Arc<dyn RoleBook>),
}

impl Default for Source {
    fn default() -> Self {
        Self::Fixed(Vec::new())
    }
}

pub struct Roles {
    pub(super) source: Source,
    pub(super) access: Access,
    pub(super) audit: Audit,
    /// As the book last said.
    known: RwLock<Option<Arc<Vec<String>>>>,
    /// Of those who miss it at the same time one asks.
    asking: tokio::sync::Mutex<()>,
}

impl Roles {
    pub(super) fn new(source: Source, access: Access, audit: Audit) -> Self {
        Self { source, access, audit, known: RwLock::default(), asking: tokio::sync::Mutex::default() }
    }

    /// For whoever may list services.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<String>> {
        let tenant = Tenant::outside();
        self.access.require(actor, Action::List, &Target::new(Class::Service, &tenant, "")).await?;
        let names = self.names().await?;
        self.audit.session(actor, "roles").await?;
        Ok(names.to_vec())
    }

    async fn names(&self) -> Result<Arc<Vec<String>>> {
        match (&self.source, self.known()) {
            (Source::Fixed(names), _) => Ok(Arc::new(names.clone())),
            (_, Some(known)) => Ok(known),
            (Source::Book(_), None) => self.ask_once().await,
        }
    }

    async fn ask_once(&self) -> Result<Arc<Vec<String>>> {
        let _one = self.asking.lock().await;
        match self.known() {
            Some(known) => Ok(known),
            None => self.refresh().await,
        }
    }

    /// Asks the book. What was known stays until it answers.
    pub async fn refresh(&self) -> Result<Arc<Vec<String>>> {
        let names = match &self.source {
            Source::Fixed(names) => names.clone(),
            Source::Book(book) => book.names().await?,
        };
        let names = Arc::new(names);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(names.clone());
        Ok(names)
    }

    /// Whether there is a book that may say something else later.
    pub fn changes(&self) -> bool {
        matches!(self.source, Source::Book(_))
    }

    fn known(&self) -> Option<Arc<Vec<String>>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
