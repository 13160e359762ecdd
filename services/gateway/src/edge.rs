//! What handlers share.

use std::sync::Arc;

use nodkey_bus::Bus;
use nodkey_kernel::time::{Clock, Timestamp};
use nodkey_runtime::{CredentialResolver, Deployment, Peers};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{rate::Rates, replay::Replays};

/// What handlers share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Edge(pub Arc<Inner>);

/// See [`Edge`].
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
    /// Says where the client is.
    pub place_header: Option<String>,
    /// The first signs, all verify.
    pub cookie_keys: Vec<[u8; 32]>,
    /// Room for those who work.
    pub in_flight: Arc<Semaphore>,
    /// Room for those who wait.
    pub waiting: Arc<Semaphore>,
    /// When this process began.
    pub started_at: Timestamp,
    /// Cancelled when the process begins to stop.
    pub stopping: CancellationToken,
}

impl std::ops::Deref for Edge {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
