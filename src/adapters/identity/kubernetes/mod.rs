//! ServiceAccount tokens by TokenReview, and what their owners may by SubjectAccessReview. Answers are
//! remembered for a short while, so that a busy caller costs the API server little and a withdrawn right
//! or token counts soon.

mod access;
mod memory;
pub mod roles;
mod token;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use k8s_openapi::api::authentication::v1::TokenReview;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::Semaphore;

use crate::adapters::identity::kubernetes::access::Question;
use crate::adapters::identity::kubernetes::memory::Memory;
use crate::app::ports::{Clock, Identify, Review};
use crate::domain::actor::{Actor, Standing};
use crate::domain::permission::{Action, Target};
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

const REMEMBERED: usize = 4096;
/// A valid token, and one that is not.
const TOKEN_VALID: SignedDuration = SignedDuration::from_secs(60);
const TOKEN_INVALID: SignedDuration = SignedDuration::from_secs(5);
/// Yes, and no: who was just granted a right should not wait long for it.
const ACCESS_GRANTED: SignedDuration = SignedDuration::from_secs(10);
const ACCESS_DENIED: SignedDuration = SignedDuration::from_secs(3);
/// Questions to the API server at the same time: a flood of unknown tokens must not become one of reviews.
const QUESTIONS: usize = 32;

pub struct KubernetesIdentity {
    client: Client,
    audience: String,
    clock: Arc<dyn Clock>,
    tokens: Memory<[u8; 32], Option<Actor>>,
    answers: Memory<Question, bool>,
    questions: Semaphore,
}

impl KubernetesIdentity {
    /// Tokens must carry `audience`.
    pub fn new(client: Client, audience: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            audience: audience.to_owned(),
            clock,
            tokens: Memory::new(REMEMBERED),
            answers: Memory::new(REMEMBERED),
            questions: Semaphore::new(QUESTIONS),
        }
    }

    async fn ask<T, F>(&self, question: F) -> Result<T>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let overloaded = |_| Error::Overloaded { retry_after: Duration::from_secs(1) };
        let _turn = self.questions.try_acquire().map_err(overloaded)?;
        question.await.map_err(|error| Error::Unavailable { part: "the API server", detail: described(&error) })
    }
}

/// Without what the API server quotes: that may be the token.
fn described(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("it answered {} {}", status.code, status.reason),
        other => other.to_string(),
    }
}

#[async_trait]
impl Identify for KubernetesIdentity {
    async fn identify(&self, token: &SecretText) -> Result<Option<Actor>> {
        if !token::looks_like_one(token) {
            return Ok(None);
        }
        let (key, now) = (token::key(token), self.clock.now());
        if let Some(known) = self.tokens.get(&key, now) {
            return Ok(known);
        }
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let review = token::review(token, &self.audience);
        let answer = self.ask(reviews.create(&PostParams::default(), &review)).await?;
        let actor = token::actor(answer.status.unwrap_or_default(), &self.audience);
        let lasts = if actor.is_some() { TOKEN_VALID } else { TOKEN_INVALID };
        let until = token::expiry(token).map_or(now + lasts, |expiry| expiry.min(now + lasts));
        self.tokens.put(key, actor.clone(), until);
        Ok(actor)
    }
}

#[async_trait]
impl Review for KubernetesIdentity {
    async fn allows(&self, actor: &Actor, action: Action, target: &Target<'_>) -> Result<bool> {
        let Standing::Delegated { groups, uid } = &actor.standing else { return Ok(false) };
        let Some(question) = Question::new(&actor.id, groups, uid.as_deref(), action, target) else { return Ok(false) };
        let now = self.clock.now();
        if let Some(known) = self.answers.get(&question, now) {
            return Ok(known);
        }
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let review = question.review();
        let answer = self.ask(reviews.create(&PostParams::default(), &review)).await?;
        let allowed = answer.status.is_some_and(|status| status.allowed && !status.denied.unwrap_or(false));
        let lasts = if allowed { ACCESS_GRANTED } else { ACCESS_DENIED };
        self.answers.put(question, allowed, now + lasts);
        Ok(allowed)
    }
}
