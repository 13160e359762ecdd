//! What other services said a moment ago, for what may rely on it: creating a trusonafication, and showing it. Whether an answer counts is
//! decided without any of it (`respond`).

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use moka::{future::Cache, sync};
use nodkey_bus::{Bus, Listener};
use nodkey_kernel::id::{DeviceId, RelyingPartyId};
use nodkey_proto::registry::v1::{GetRelyingPartyRequest, RelyingParty, relying_party_service_client::RelyingPartyServiceClient};
use nodkey_runtime::{Peers, status::PeerError, topics::RELYING_PARTIES};

/// How long an answer of another service is relied on.
const RECENT: Duration = Duration::from_secs(5);
/// Maximum number of relying parties.
const PARTIES: u64 = 10_000;
/// Maximum number of devices.
const DEVICES: u64 = 200_000;

/// The settings of relying parties. Changes count immediately where the wake arrives, and after [`RECENT`] otherwise.
#[derive(Debug)]
pub(super) struct RelyingParties {
    peers: Peers,
    known: Cache<RelyingPartyId, RelyingParty>,
    changed: Mutex<Listener>,
}

impl RelyingParties {
    pub(super) fn new(peers: Peers, bus: &Bus) -> Self {
        let known = Cache::builder().max_capacity(PARTIES).time_to_live(RECENT).build();
        Self { peers, known, changed: Mutex::new(bus.listen(RELYING_PARTIES)) }
    }

    /// Returns a relying party with its settings.
    pub(super) async fn get(&self, party: RelyingPartyId) -> Result<RelyingParty, PeerError> {
        if self.changed.lock().unwrap_or_else(PoisonError::into_inner).notified().now_or_never().is_some() {
            self.known.invalidate_all();
        }
        let read = async {
            let mut parties = RelyingPartyServiceClient::new(self.peers.registry().acting_for(party));
            Ok(parties.get_relying_party(GetRelyingPartyRequest::default()).await?.into_inner())
        };
        self.known.try_get_with(party, read).await.map_err(|error: std::sync::Arc<PeerError>| (*error).clone())
    }
}

/// The users that devices were actively bound to.
#[derive(Debug)]
pub(super) struct Bound(sync::Cache<(RelyingPartyId, DeviceId), String>);

impl Bound {
    pub(super) fn new() -> Self {
        Self(sync::Cache::builder().max_capacity(DEVICES).time_to_live(RECENT).build())
    }

    pub(super) fn user(&self, party: RelyingPartyId, device: &DeviceId) -> Option<String> {
        self.0.get(&(party, device.clone()))
    }

    /// Remembers the user of an active binding that was read just now, and forgets it after any other outcome.
    pub(super) fn note<E>(&self, party: RelyingPartyId, device: &DeviceId, read: &Result<String, E>) {
        match read {
            Ok(user) => self.0.insert((party, device.clone()), user.clone()),
            Err(_) => self.forget(party, device),
        }
    }

    /// The binding may have changed.
    pub(super) fn forget(&self, party: RelyingPartyId, device: &DeviceId) {
        self.0.invalidate(&(party, device.clone()));
    }
}
