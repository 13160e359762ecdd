//! What is kept, and for how long.

use std::time::Duration;

use nodkey_db::retention::{Window, since};
use nodkey_kernel::{id::RelyingPartyId, time::Timestamp};
use nodkey_proto::registry::v1::{ListRetentionPoliciesRequest, RetentionPolicy, retention_service_client::RetentionServiceClient};
use nodkey_runtime::{Failure, housekeeping::Pass};

use super::App;
use crate::{
    error::Error,
    store::retention::{self as store, ANSWERED, UNANSWERED},
};

/// How long who paired a code can be asked for after it is over.
const TRUCODES: Duration = Duration::from_hours(1);
/// How long what nobody answered is kept, in days, when nobody says otherwise. What was answered is kept for ever then.
const UNANSWERED_DAYS: u32 = 90;

impl App {
    /// Deletes codes that were over long ago.
    pub async fn delete_trucodes(&self, pass: &Pass) -> Result<(), Error> {
        Ok(pass.repeat(|| store::delete_trucodes(&self.db, pass.now() - TRUCODES)).await.map(drop)?)
    }

    /// Deletes trusonafications that are older than their relying party's policy, or the default, keeps them.
    pub async fn delete_trusonafications(&self, pass: &Pass) -> Result<(), Error> {
        let since = since(&self.db).await?;
        let mut policies = RetentionServiceClient::new(self.peers.registry().unscoped());
        let mut request = ListRetentionPoliciesRequest { page_size: 500, page_token: String::new() };
        loop {
            let page = policies.list_retention_policies(request).await?.into_inner();
            for policy in page.retention_policies {
                let party = policy.relying_party_id.parse().map_err(|_| Failure::Internal("a policy names its relying party"))?;
                if !self.delete_of(party, &policy, since, pass).await? {
                    return Ok(());
                }
            }
            if page.next_page_token.is_empty() {
                break;
            }
            request = ListRetentionPoliciesRequest { page_size: 500, page_token: page.next_page_token };
        }
        // It is no tenant, so the list does not name it.
        self.delete_of(RelyingPartyId::CONSOLE, &RetentionPolicy::default(), since, pass).await.map(drop)
    }

    /// False when the pass is to stop.
    async fn delete_of(&self, party: RelyingPartyId, policy: &RetentionPolicy, since: Timestamp, pass: &Pass) -> Result<bool, Error> {
        let days = |days: Option<i32>| days.and_then(|days| u32::try_from(days).ok());
        let unanswered = days(policy.unanswered_days).or(self.config.unanswered_retention_days);
        let answered = Window::of(days(policy.answered_days), 0, since, pass.now());
        let unanswered = Window::of(unanswered, UNANSWERED_DAYS, since, pass.now());
        for (statuses, window) in [(&ANSWERED[..], answered), (&UNANSWERED[..], unanswered)] {
            let Some(window) = window else { continue };
            for status in statuses {
                if !pass.repeat(|| store::delete(&self.db, party, status, window)).await? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
