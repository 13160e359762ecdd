//! Expiry of bindings that were never activated.

use std::time::Duration;

use nodkey_kernel::{id::RelyingPartyId, time::Timestamp};
use nodkey_proto::registry::v1::{ListRelyingPartiesRequest, relying_party_service_client::RelyingPartyServiceClient};
use nodkey_runtime::{Failure, housekeeping::Pass, status::PeerError};

use super::App;
use crate::{convert::deactivated, domain::Change, error::Error, store};

/// Maximum number of bindings that end in one transaction.
const BATCH: i64 = 50;

impl App {
    /// Ends the bindings that have been inactive for longer than their relying party allows. The console's own are excluded: it is not a
    /// relying party, and its invitations expire by themselves.
    pub async fn expire_inactive(&self, pass: &Pass) -> Result<(), Error> {
        let mut parties = RelyingPartyServiceClient::new(self.registry.unscoped());
        let mut request = ListRelyingPartiesRequest { page_size: 500, page_token: String::new() };
        loop {
            let page = parties.list_relying_parties(request).await.map_err(PeerError::from)?.into_inner();
            for party in page.relying_parties {
                let hours = party.bindings.map_or(0, |bindings| u32::try_from(bindings.inactive_hours).unwrap_or(0));
                let id = party.id.parse().map_err(|_| Failure::Internal("a relying party has an id"))?;
                if hours > 0 && !self.expire_of(id, hours, pass).await? {
                    return Ok(());
                }
            }
            if page.next_page_token.is_empty() {
                return Ok(());
            }
            request = ListRelyingPartiesRequest { page_size: 500, page_token: page.next_page_token };
        }
    }

    /// Returns false when the pass must stop.
    pub async fn expire_of(&self, party: RelyingPartyId, hours: u32, pass: &Pass) -> Result<bool, Error> {
        let oldest = pass.now() - Duration::from_hours(1) * hours;
        pass.repeat(|| self.expire_some(party, oldest, pass.now())).await
    }

    /// Returns how many bindings ended.
    async fn expire_some(&self, party: RelyingPartyId, oldest: Timestamp, now: Timestamp) -> Result<u64, Error> {
        let waiting = store::inactive_before(&self.db, party, oldest, BATCH).await?;
        if waiting.is_empty() {
            return Ok(0);
        }
        let mut ended = 0;
        let mut tx = self.db.begin_patient().await?;
        for binding in waiting {
            if let Change::Changed(expired) = binding.expire(oldest, now)
                // If a concurrent activation or end won, the binding stays as it is.
                && store::update(&mut tx, &expired).await?
            {
                self.publish(&mut tx, party, expired.version, &deactivated(&expired, false), now).await?;
                ended += 1;
            }
        }
        tx.commit().await?;
        Ok(ended)
    }
}

#[cfg(test)]
pub(super) mod tests;
