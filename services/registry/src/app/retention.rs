//! Use cases of data retention.

use std::time::Duration;

use nodkey_db::{
    retention::{Window, since},
    used_proof,
};
use nodkey_kernel::{
    error::{Classify as _, Kind},
    id::{DeviceId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_proto::binding::v1::{GetDeviceBindingRequest, binding_service_client::BindingServiceClient};
use nodkey_runtime::{housekeeping::Pass, page::Page, status::PeerError};

use super::{App, start};
use crate::{
    domain::retention::RetentionPolicy,
    error::Error,
    store::retention::{self as store, Place},
};

/// Default retention of unbound devices, in days after they were last seen.
const UNBOUND_DEVICE_DAYS: u32 = 90;
/// Retention of unused invitations, in days after they expire.
const INVITATION_DAYS: u32 = 90;
/// How long a session is kept after it ends.
const SESSIONS: Duration = Duration::from_hours(24);

impl App {
    /// Returns the policy of a relying party.
    pub async fn retention_policy(&self, party: RelyingPartyId) -> Result<RetentionPolicy, Error> {
        self.relying_party(party).await?;
        Ok(store::get(&self.0.db, party).await?.unwrap_or(RetentionPolicy::default_of(party)))
    }

    /// Lists the policies of all relying parties, newest first, with the token of the next page.
    pub async fn retention_policies(&self, page: &Page) -> Result<(Vec<RetentionPolicy>, String), Error> {
        let start = start(page, |id| id.parse().ok())?;
        Ok(store::list(&self.0.db, &start, page.size).await?.into_parts())
    }

    /// Replaces the policy of a relying party.
    pub async fn put_retention_policy(&self, policy: RetentionPolicy) -> Result<RetentionPolicy, Error> {
        self.relying_party(policy.relying_party).await?;
        store::put(&self.0.db, &policy).await?;
        Ok(policy)
    }

    /// Deletes operator sessions that ended more than a day ago.
    pub async fn delete_operator_sessions(&self, pass: &Pass) -> Result<(), Error> {
        pass.repeat(|| store::delete_sessions(&self.0.db, pass.now() - SESSIONS)).await.map(drop)
    }

    /// Deletes confirmations that are older than the audit log's retention.
    pub async fn delete_confirmations(&self, pass: &Pass) -> Result<(), Error> {
        pass.repeat(|| store::delete_confirmations(&self.0.db, pass.now() - self.0.audit_retention)).await.map(drop)
    }

    /// Deletes used proofs that have expired and would be refused anyway.
    pub async fn delete_used_proofs(&self, pass: &Pass) -> Result<(), Error> {
        Ok(pass.repeat(|| used_proof::prune(&self.0.db, pass.now() - used_proof::KEPT)).await.map(drop)?)
    }

    /// Deletes operators who never accepted their invitation.
    pub async fn delete_invitations(&self, pass: &Pass) -> Result<(), Error> {
        let since = since(&self.0.db).await?;
        let Some(window) = Window::of(None, INVITATION_DAYS, since, pass.now()) else { return Ok(()) };
        pass.repeat(|| store::delete_invitations(&self.0.db, window)).await.map(drop)
    }

    /// Deletes unbound devices that were not seen for a long time.
    pub async fn delete_unbound_devices(&self, pass: &Pass) -> Result<(), Error> {
        let since = since(&self.0.db).await?;
        let mut token = String::new();
        loop {
            let (policies, next) = self.retention_policies(&Page::parse(100, &token)?).await?;
            for policy in policies {
                if !self.delete_unbound_devices_of(policy, since, pass).await? {
                    return Ok(());
                }
            }
            if next.is_empty() {
                break;
            }
            token = next;
        }
        self.delete_unbound_devices_of(RetentionPolicy::default_of(RelyingPartyId::CONSOLE), since, pass).await.map(drop)
    }

    /// Returns false when the pass must stop.
    async fn delete_unbound_devices_of(&self, policy: RetentionPolicy, since: Timestamp, pass: &Pass) -> Result<bool, Error> {
        let set = policy.unbound_device.or(self.0.unbound_device_days);
        let Some(window) = Window::of(set, UNBOUND_DEVICE_DAYS, since, pass.now()) else { return Ok(true) };
        let mut after = Place { at: window.from, id: String::new() };
        loop {
            let unseen = store::unseen(&self.0.db, policy.relying_party, window, &after).await?;
            let Some((last, _)) = unseen.last() else { return Ok(true) };
            after = last.clone();
            let mut unbound = Vec::new();
            for (_, device) in unseen {
                if !self.is_bound(policy.relying_party, &device).await? {
                    unbound.push(device);
                }
            }
            // A service that binds one in the meantime has fetched it first, which marked it as seen.
            let deleted = store::delete_unseen(&self.0.db, policy.relying_party, window.before, &unbound).await?;
            if !pass.note(deleted).await {
                return Ok(false);
            }
        }
    }

    async fn is_bound(&self, party: RelyingPartyId, device: &DeviceId) -> Result<bool, Error> {
        let mut bindings = BindingServiceClient::new(self.0.peers.binding().acting_for(party));
        let request = GetDeviceBindingRequest { device_identifier: device.to_string(), with_user_devices: false };
        match bindings.get_device_binding(request).await.map_err(PeerError::from) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == Kind::NotFound => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
