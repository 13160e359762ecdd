//! Where the bus is, and who publishes on it.

use std::sync::Arc;

use nodkey_kernel::service_key::{ServiceKey, ServiceKeys};
use secrecy::SecretString;
use serde::Deserialize;

/// Where the bus is.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct BusConfig {
    /// `nats://host:port` or `memory:`.
    pub url: String,
    /// Who to be to the server; empty: nobody in particular.
    pub user: String,
    /// What proves it.
    pub password: SecretString,
    /// Put before every subject, stream and consumer, so that deployments can share a server. Letters, digits, `_`.
    pub prefix: String,
    /// How many seconds after a consumer has gone away its events are given to another.
    pub ack_wait_seconds: u64,
    /// How many replicas a stream has. 3 on a cluster.
    pub replicas: usize,
    /// Whether events without a signature are refused where services have keys, but for those of before they had.
    pub require_signatures: bool,
}

/// Who publishes, and who the others are.
#[derive(Debug)]
pub struct Identity {
    /// What this service signs with.
    pub key: ServiceKey,
    /// The public halves of all.
    pub keys: Arc<ServiceKeys>,
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
