//! What handlers share.

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
    given::Given,
    limits::{network::UnnamedProxy, permits::Permits, rate::Rates, registrations::Registrations, shares::Shares, strangers::Strangers},
    operators::Operators,
    replay::Replays,
};

/// What handlers share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState(pub Arc<Inner>);

/// See [`AppState`].
#[derive(Debug)]
pub struct Inner {
    /// The other services.
    pub peers: Peers,
    /// Wakes.
    pub bus: Bus,
    /// Time.
    pub clock: Clock,
    /// Facts about the deployment.
    pub deployment: Arc<Deployment>,
    /// Credentials and sessions.
    pub resolver: CredentialResolver,
    /// Proofs that were seen.
    pub replays: Replays,
    /// Signatures of requests that were seen, of relying parties that want no request twice.
    pub repeated: Replays,
    /// Hashes of tokens of server credentials, and of secrets of operators' sessions, that were proven of late, and whose they are: whoever
    /// shows one is likely to be it, and that is all it is good for.
    pub proven_tokens: Cache<[u8; 32], RelyingPartyId>,
    /// Of credentials and sessions.
    pub credential_rates: Arc<Rates>,
    /// Of devices.
    pub device_rates: Arc<Rates>,
    /// Of addresses.
    pub address_rates: Arc<Rates>,
    /// How often an address asks for device challenges.
    pub challenge_rates: Arc<Rates>,
    /// Names the client's address.
    pub address_header: Option<String>,
    /// How many proxies add to it.
    pub trusted_hops: usize,
    /// Says where the client is.
    pub place_header: Option<String>,
    /// Where to report a vulnerability: a URI.
    pub security_contact: Option<String>,
    /// The first signs, all verify.
    pub cookie_keys: Vec<[u8; 32]>,
    /// Which operators are served over gRPC, too.
    pub operators: Operators,
    /// Streams from services that relying parties hold over gRPC.
    pub streams: Shares,
    /// First looks of those who wait on a stream for many results.
    pub first_looks: Arc<Semaphore>,
    /// Room for those who work.
    pub admission: Admission,
    /// Room for what they send.
    pub bodies: Bodies,
    /// Who waits.
    pub waits: Permits,
    /// What devices were given of late.
    pub given: Given,
    /// Proofs of devices that nobody knows.
    pub strangers: Strangers,
    /// Registrations of devices.
    pub registrations: Registrations,
    /// A proxy that names its clients where we do not look.
    pub unnamed_proxy: UnnamedProxy,
    /// Randomness.
    pub random: Random,
    /// When this process began.
    pub started_at: Timestamp,
    /// Cancelled when the process begins to stop.
    pub stopping: CancellationToken,
}

impl AppState {
    /// A client of the service that may answer as much as it does.
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
