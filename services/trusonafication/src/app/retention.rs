//! Use cases of data retention.

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

/// How long the pairing of a code can be queried after the code has expired.
const TRUCODES: Duration = Duration::from_hours(1);
/// Default retention of unanswered trusonafications, in days. Answered ones are kept forever by default.
const UNANSWERED_DAYS: u32 = 90;

impl App {
    /// Deletes codes that expired long ago.
    pub async fn delete_trucodes(&self, pass: &Pass) -> Result<(), Error> {
        Ok(pass.repeat(|| store::delete_trucodes(&self.db, pass.now() - TRUCODES)).await.map(drop)?)
    }

    /// Deletes trusonafications that are older than their relying party's policy, or the default, allows.
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
        // The console is not in the list, since it is not a relying party.
        self.delete_of(RelyingPartyId::CONSOLE, &RetentionPolicy::default(), since, pass).await.map(drop)
    }

    /// Returns false when the pass must stop.
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
