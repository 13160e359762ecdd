//! Settings of the notification service's own.

use ipnet::IpNet;
use serde::Deserialize;

/// Under `service.` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many seconds a receiver may take to answer.
    pub attempt_timeout_seconds: u32,
    /// How many deliveries are sent at once.
    pub concurrency: u32,
    /// Networks that may be posted to besides public addresses, such as `10.1.0.0/16`.
    pub allowed_networks: Vec<IpNet>,
    /// Ports that may be posted to.
    pub allowed_ports: Vec<u16>,
}

impl Default for Config {
    fn default() -> Self {
        Self { attempt_timeout_seconds: 30, concurrency: 32, allowed_networks: Vec::new(), allowed_ports: vec![443, 8443] }
    }
}
