//! Settings of the gateway's own.

use serde::Deserialize;

/// Under `service.` in the configuration. Every limit is one of this instance.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many requests are served at once; more are refused with 503.
    pub max_in_flight: u32,
    /// How many phones and backends may wait at once; more are refused with 503.
    pub max_waiting: u32,
    /// How many DPoP proofs are remembered, to notice one that comes again.
    pub remembered_proofs: u64,
    /// Requests a second of one server or mobile credential; more are refused with 429.
    pub credential_rate: u32,
    /// Requests a second of one device; more are refused with 429.
    pub device_rate: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_in_flight: 4_096, max_waiting: 120_000, remembered_proofs: 1_000_000, credential_rate: 2_000, device_rate: 20 }
    }
}
