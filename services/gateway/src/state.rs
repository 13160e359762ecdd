//! The state that handlers share.

use std::sync::Arc;

use moka::sync::Cache;
use nodkey_bus::Bus;
use nodkey_kernel::{
    id::RelyingPartyId,
    random::Random,
    time::{Clock, Timestamp},
};
use nodkey_proto::trusonafication::v1::trusonafication_service_client::TrusonaficationServiceClient;
use nodkey_runtime::{Actor, CredentialResolver, Deployment, PeerChannel, Peers, admission::Admission};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    body::{Bodies, MAX_MESSAGE},
    devices::Devices,
    given::Given,
    limits::{network::UnnamedProxy, permits::Permits, rate::Rates, registrations::Registrations, shares::Shares, strangers::Strangers},
    operators::Operators,
    replay::Replays,
    tail::Tail,
};

/// The state that handlers share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState(pub Arc<Inner>);

/// The contents of [`AppState`].
#[derive(Debug)]
pub struct Inner {
    /// The other services.
    pub peers: Peers,
    /// Wakes.
    pub bus: Bus,
    /// The clock.
    pub clock: Clock,
    /// Facts about the deployment.
    pub deployment: Arc<Deployment>,
    /// Resolves credentials and sessions.
    pub resolver: CredentialResolver,
    /// Used DPoP proofs.
    pub replays: Replays,
    /// Used request signatures, of relying parties that refuse repeated requests.
    pub repeated: Replays,
    /// Hashes of tokens of server credentials and of secrets of operators' sessions that were proven recently, with their relying party. A
    /// caller that shows one is likely to be genuine. This only ever affects limits and precedence, never access.
    pub proven_tokens: Cache<[u8; 32], RelyingPartyId>,
    /// Rate limits per credential or session.
    pub credential_rates: Arc<Rates>,
    /// Rate limits per device.
    pub device_rates: Arc<Rates>,
    /// Rate limits per address.
    pub address_rates: Arc<Rates>,
    /// Rate limits of device challenges per address.
    pub challenge_rates: Arc<Rates>,
    /// The header that reports the client's address.
    pub address_header: Option<String>,
    /// The number of trusted proxies that add to it.
    pub trusted_hops: usize,
    /// The header that reports the client's approximate location.
    pub place_header: Option<String>,
    /// Where to report a vulnerability: a URI.
    pub security_contact: Option<String>,
    /// The keys of cookies. The first signs, all verify.
    pub cookie_keys: Vec<[u8; 32]>,
    /// Which operators are served over gRPC.
    pub operators: Operators,
    /// The streams from services that relying parties hold over gRPC.
    pub streams: Shares,
    /// Limits the first reads for waits on streams of many results.
    pub first_looks: Arc<Semaphore>,
    /// The limiter of requests being worked on.
    pub admission: Admission,
    /// The memory of bodies while they arrive.
    pub bodies: Bodies,
    /// The limiter of waits.
    pub waits: Permits,
    /// The trusonafications recently delivered to devices.
    pub given: Given,
    /// What the registry said about devices that called lately.
    pub devices: Devices,
    /// The limits of unknown devices and credentials.
    pub strangers: Strangers,
    /// The limits of new registrations.
    pub registrations: Registrations,
    /// Detects a proxy that reports its clients in a header that is not configured.
    pub unnamed_proxy: UnnamedProxy,
    /// Randomness.
    pub random: Random,
    /// When this process started.
    pub started_at: Timestamp,
    /// Who listens to requests.
    pub tail: Tail,
    /// Cancelled when the process begins to stop.
    pub stopping: CancellationToken,
}

impl AppState {
    /// A client of the trusonafication service that accepts responses up to [`MAX_MESSAGE`].
    #[must_use]
    pub fn trusonafications(&self, by: impl Into<Actor>) -> TrusonaficationServiceClient<PeerChannel> {
        TrusonaficationServiceClient::new(self.peers.trusonafication().on_behalf_of(by)).max_decoding_message_size(MAX_MESSAGE)
    }
}

impl std::ops::Deref for AppState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
