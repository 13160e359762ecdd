//! Settings of the gateway's own.

use secrecy::SecretString;
use serde::Deserialize;

/// Under `service.` in the configuration. Every limit is one of this instance.
#[derive(Clone, Debug, Deserialize)]
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
    /// Secure QR codes a second made or paired from one address; more are refused with 429.
    pub address_rate: u32,
    /// Nonces for key statements a second made for one address; more are refused with 429.
    pub challenge_rate: u32,
    /// The header in which a trusted proxy names the client's address, such as `x-forwarded-for`; without one, who connects counts.
    pub address_header: Option<String>,
    /// Whether the operator console is served.
    pub console: bool,
    /// Signs what the console's pages keep of a sign-in under way: 32 characters or more, the same at every gateway.
    pub cookie_key: Option<SecretString>,
    /// Another that is taken, while one follows the other.
    pub previous_cookie_key: Option<SecretString>,
    /// The header in which a trusted proxy says roughly where the client is; shown on the phone that scans.
    pub place_header: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_in_flight: 4_096,
            max_waiting: 120_000,
            remembered_proofs: 1_000_000,
            credential_rate: 2_000,
            device_rate: 20,
            address_rate: 20,
            challenge_rate: 200,
            address_header: None,
            console: true,
            cookie_key: None,
            previous_cookie_key: None,
            place_header: None,
        }
    }
}
