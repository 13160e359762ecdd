//! The address of the bus, and the identity to publish with.

use std::sync::Arc;

use nodkey_kernel::{
    service_key::{ServiceKey, ServiceKeys},
    time::Clock,
};
use secrecy::SecretString;
use serde::Deserialize;

/// The address of the bus.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct BusConfig {
    /// `nats://host:port` or `memory:`.
    pub url: String,
    /// User name at the server; empty for none.
    pub user: String,
    /// Password of the user.
    pub password: SecretString,
    /// Prefix of every subject, stream and consumer, so that deployments can share a server. Letters, digits and `_`.
    pub prefix: String,
    /// Number of seconds after a consumer disappears before its events are given to another.
    pub ack_wait_seconds: u64,
    /// Number of replicas of a stream. Use 3 on a cluster.
    pub replicas: usize,
    /// Whether to refuse unsigned events where services have keys, except those published before the services had keys.
    pub require_signatures: bool,
}

/// This service's key, the keys of the others, and the clock that signatures are dated by.
#[derive(Debug)]
pub struct Identity {
    /// The key that this service signs with.
    pub key: ServiceKey,
    /// The public keys of all services.
    pub keys: Arc<ServiceKeys>,
    /// The current time.
    pub clock: Clock,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            url: "memory:".into(),
            user: String::new(),
            password: SecretString::default(),
            prefix: String::new(),
            ack_wait_seconds: 10,
            replicas: 1,
            require_signatures: true,
        }
    }
}
