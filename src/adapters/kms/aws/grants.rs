//! Grants of the key that makes callers' tokens, for IAM roles: a role makes tokens as itself, and reads those that were
//! made for it. Never retires or revokes one.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_kms::types::{GrantConstraints, GrantListEntry, GrantOperation};

use super::failure::Failure;
use super::iam::IamRoles;
use super::tokens::AwsTokens;
use super::{later, tokens};
use crate::app::ports::{GrantKeeper, Grants};
use crate::domain::Result;

/// KMS allows 50,000 grants of a key, and gives 100 a page.
const PAGES: usize = 500;

pub struct AwsGrants {
    /// Of the one key.
    tokens: AwsTokens,
    roles: IamRoles,
    /// Tokens of version 1 are bound to no sort of caller, so that no grant can ask for it where they are taken.
    binds_sort: bool,
}

impl AwsGrants {
    pub fn new(tokens: AwsTokens, roles: IamRoles, binds_sort: bool) -> Self {
        Self { tokens, roles, binds_sort }
    }

    /// What a grant is for, and what its ciphertexts must be bound to.
    fn wanted(&self, role: &str) -> [Wanted; 2] {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let sort = self.binds_sort.then(|| pair("user_type", "service"));
        [
            Wanted {
                operations: &[GrantOperation::Encrypt, GrantOperation::Decrypt],
                context: [pair("from", role)].into_iter().chain(sort).collect(),
            },
            Wanted { operations: &[GrantOperation::Decrypt], context: [pair("to", role)].into() },
        ]
    }

    async fn list(&self, key: &str, grantee: &str) -> Result<Vec<GrantListEntry>> {
        let client = self.tokens.client().await?;
        let (mut all, mut marker) = (Vec::new(), None);
        for _ in 0..PAGES {
            let ask = || client.list_grants().key_id(key).set_marker(marker.clone()).send();
            let page = self.tokens.turns.call(ask).await?.map_err(|failure| refused(key, failure))?;
            let of_role = |grant: &GrantListEntry| grant.grantee_principal() == Some(grantee);
            all.extend(page.grants.unwrap_or_default().into_iter().filter(of_role));
            marker = page.next_marker;
            if marker.is_none() {
                return Ok(all);
            }
        }
        Err(later(format!("KMS key {key} has too many grants to be looked through")))
    }

    async fn create(&self, key: &str, grantee: &str, wanted: &Wanted) -> Result<()> {
        let client = self.tokens.client().await?;
        let ask = || {
            let context = Some(wanted.context.clone());
            let constraints = GrantConstraints::builder().set_encryption_context_subset(context).build();
            let request = client.create_grant().key_id(key).grantee_principal(grantee).constraints(constraints);
            request.set_operations(Some(wanted.operations.to_vec())).send()
        };
        self.tokens.turns.call(ask).await?.map(drop).map_err(|failure| refused(key, failure))
    }
}

struct Wanted {
    operations: &'static [GrantOperation],
    context: HashMap<String, String>,
}

impl Wanted {
    fn is_in(&self, grants: &[GrantListEntry]) -> bool {
        let same = |grant: &GrantListEntry| {
            grant.constraints().and_then(GrantConstraints::encryption_context_subset) == Some(&self.context)
        };
        grants.iter().any(same)
    }
}

/// Our own rights or the key's state: whoever asks cannot mend it, and may ask again when somebody has.
fn refused(key: &str, failure: Failure) -> crate::domain::Error {
    tokens::trouble(key, failure)
}

#[async_trait]
impl GrantKeeper for AwsGrants {
    async fn find(&self, role: &str) -> Result<Option<Grants>> {
        let Some(arn) = self.roles.arn(role).await? else { return Ok(None) };
        let grants = self.list(self.tokens.only_key().await?, &arn).await?;
        let [encrypt, decrypt] = self.wanted(role).map(|wanted| wanted.is_in(&grants));
        Ok(Some(Grants { encrypt, decrypt }))
    }

    async fn ensure(&self, role: &str) -> Result<Option<Grants>> {
        let Some(arn) = self.roles.arn(role).await? else { return Ok(None) };
        let key = self.tokens.only_key().await?;
        let grants = self.list(key, &arn).await?;
        for wanted in self.wanted(role).iter().filter(|wanted| !wanted.is_in(&grants)) {
            self.create(key, &arn, wanted).await?;
        }
        Ok(Some(Grants { encrypt: true, decrypt: true }))
    }
}
