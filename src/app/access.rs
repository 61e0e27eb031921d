//! The gate: asks the domain, and Kubernetes or the stored permissions where the domain says so, and records every
//! denial.

use std::borrow::Borrow;
use std::sync::Arc;

use crate::app::audit::Audit;
use crate::app::permissions::Grantees;
use crate::app::ports::Review;
use crate::domain::actor::{Actor, Standing};
use crate::domain::permission::{self, Acl, Action, Decision, Granted, Target};
use crate::domain::record::{Entry, Origin};
use crate::domain::{Error, Result};

#[derive(Clone)]
pub struct Access {
    review: Option<Arc<dyn Review>>,
    acl: Arc<Acl>,
    grantees: Arc<Grantees>,
    audit: Audit,
}

impl Access {
    /// Without a reviewer, delegated actors may do nothing.
    pub fn new(review: Option<Arc<dyn Review>>, acl: Acl, grantees: Arc<Grantees>, audit: Audit) -> Self {
        Self { review, acl: Arc::new(acl), grantees, audit }
    }

    /// Leaves no record: for permissions that only shape an answer.
    pub async fn allows(&self, actor: &Actor, action: Action, target: &Target<'_>) -> Result<bool> {
        match (permission::decide(&self.acl, actor, action, target), &self.review) {
            (Decision::Allow, _) => Ok(true),
            (Decision::Forbid, _) | (Decision::Ask, None) => Ok(false),
            (Decision::Ask, Some(review)) => review.allows(actor, action, target).await,
            (Decision::IfGranted(operation), _) => {
                Ok(self.grantees.of(&actor.id).await?.allows(operation, target.name))
            }
        }
    }

    /// What the caller may at which paths, where stored permissions decide that; `None`: others decide.
    pub async fn granted(&self, actor: &Actor) -> Result<Option<Arc<Granted>>> {
        match actor.standing {
            Standing::Grantee => self.grantees.of(&actor.id).await.map(Some),
            _ => Ok(None),
        }
    }

    /// A denial is recorded here; what is allowed is recorded by whoever does it, once it is done.
    pub async fn require(&self, actor: &Actor, action: Action, target: &Target<'_>) -> Result<()> {
        if self.allows(actor, action, target).await? {
            return Ok(());
        }
        self.audit.denied(actor, action, target).await?;
        Err(permission::refusal(actor, action, target))
    }

    /// What was found, for whoever may do this to it. Asked by the name that is stored: who may see a record has not more
    /// than one spelling of it. And asked all the same where nothing is, about the place where it is `missing`, so that
    /// nobody learns by the answer what there is.
    pub async fn require_found<B, E: Borrow<Entry<B>>>(
        &self,
        actor: &Actor,
        action: Action,
        found: Option<E>,
        missing: &Target<'_>,
    ) -> Result<Option<E>> {
        let found = found.filter(|entry| entry.borrow().head.origin != Origin::Own);
        match &found {
            Some(entry) => {
                let head = &entry.borrow().head;
                self.require(actor, action, &Target::new(head.class, &head.tenant, &head.name)).await?;
            }
            None => self.require(actor, action, missing).await?,
        }
        Ok(found)
    }

    /// What is kept for one account is for its principals alone, whatever else they may.
    pub async fn require_account(
        &self,
        actor: &Actor,
        action: Action,
        target: &Target<'_>,
        account: Option<&str>,
    ) -> Result<()> {
        if permission::shares_account(actor, account) {
            return Ok(());
        }
        self.audit.denied(actor, action, target).await?;
        Err(Error::OtherAccount)
    }
}
