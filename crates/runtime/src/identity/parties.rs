//! Existing relying parties. An operator's action for one that does not exist must not look as if it had been done, or as if there were
//! nothing to find.

use std::time::Duration;

use moka::future::Cache;
use nodkey_kernel::{
    error::{Classify as _, Kind},
    id::RelyingPartyId,
};
use nodkey_proto::registry::v1::{GetRelyingPartyRequest, relying_party_service_client::RelyingPartyServiceClient};
use tonic::Status;

use super::peers::Peer;
use crate::call::status::{self, PeerError};

/// How many existing relying parties are remembered, and for how long: none is ever deleted.
const CAPACITY: u64 = 10_000;
const TTL: Duration = Duration::from_hours(1);

/// Asks the registry and caches the answers.
#[derive(Clone, Debug)]
pub(crate) struct Parties {
    registry: Peer,
    known: Cache<RelyingPartyId, ()>,
}

impl Parties {
    pub(crate) fn new(registry: Peer) -> Self {
        Self { registry, known: Cache::builder().max_capacity(CAPACITY).time_to_live(TTL).build() }
    }

    /// Refuses a relying party that does not exist. If the registry cannot be reached, the check is left to the method.
    pub(crate) async fn ensure_known(&self, party: RelyingPartyId) -> Result<(), Status> {
        if self.known.contains_key(&party) {
            return Ok(());
        }
        let mut parties = RelyingPartyServiceClient::new(self.registry.acting_for(party));
        match parties.get_relying_party(GetRelyingPartyRequest::default()).await.map_err(PeerError::from) {
            Err(error) if error.kind() == Kind::NotFound => {
                return Err(status::new(Kind::NotFound, "NOT_FOUND", "there is no such relying party", &[]));
            }
            Err(_) => {}
            Ok(_) => self.known.insert(party, ()).await,
        }
        Ok(())
    }
}
