//! The gate: asks the domain, and Kubernetes where the domain says so, and records every answer.

use std::sync::Arc;

use crate::app::ports::Review;
use crate::domain::Result;
use crate::domain::actor::Actor;
use crate::domain::permission::{self, Action, Decision, Target};

#[derive(Clone, Default)]
pub struct Access {
    review: Option<Arc<dyn Review>>,
}

impl Access {
    /// Without a reviewer, delegated actors may do nothing.
    pub fn new(review: Option<Arc<dyn Review>>) -> Self {
        Self { review }
    }

    /// Leaves no record: for permissions that only shape an answer.
    pub async fn allows(&self, actor: &Actor, action: Action, target: &Target<'_>) -> Result<bool> {
        match (permission::decide(actor, action, target), &self.review) {
            (Decision::Allow, _) => Ok(true),
            (Decision::Forbid, _) | (Decision::Ask, None) => Ok(false),
            (Decision::Ask, Some(review)) => review.allows(actor, action, target).await,
        }
    }

    pub async fn require(&self, actor: &Actor, action: Action, target: &Target<'_>) -> Result<()> {
        let allowed = self.allows(actor, action, target).await?;
        audit(actor, action, target, if allowed { "allowed" } else { "denied" });
        if allowed { Ok(()) } else { Err(permission::refusal(actor, action, target)) }
    }
}

/// One line for every access and every denial, in a target of its own so that it can be kept apart.
pub fn audit(actor: &Actor, action: Action, target: &Target<'_>, outcome: &'static str) {
    tracing::info!(
        target: "audit",
        actor = %actor.id,
        scheme = ?actor.scheme,
        action = action.verb(),
        class = target.class.singular(),
        name = target.name,
        outcome,
        "access"
    );
}
