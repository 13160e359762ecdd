//! The registry's own settings.

use nodkey_kernel::jose::Algorithm;
use serde::Deserialize;

use crate::domain::signing_key::algorithm;

/// Minimum lead, in seconds: caches keep the JWKS for a minute.
const LEAST_LEAD: u32 = 120;

/// Settings under `service.` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Signature algorithm of the first signing key: `EdDSA` or `ES256`. `RotateSigningKey` names the algorithm of each later key.
    pub signing_algorithm: String,
    /// Days that a retired signing key stays in the JWKS. At least 1, the lifetime of device-identifier JWTs.
    pub retired_key_days: u32,
    /// Seconds between the publication of a signing key of any service and its first signature, unless it is the first key of its kind. At
    /// least 120, which is how long caches and replicas may keep the JWKS. Set it longer where phones ship a pinned JWKS: until they are
    /// updated.
    pub signing_key_lead_seconds: u32,
    /// Hours an operator stays signed in to the console: 1 to 168.
    pub session_hours: u32,
    /// Minutes of inactivity after which an operator's session ends: 5 to 10080.
    pub session_idle_minutes: u32,
    /// Days that audit entries are kept; at least 1.
    pub audit_retention_days: u32,
    /// Days that an unbound device is kept after it was last seen. 0: forever. Unset: 90, except for devices that predate retention.
    pub unbound_device_days: Option<u32>,
    /// Number of registered devices without any past or present binding that a relying party may have, unless it has its own limit.
    pub max_unbound_devices: u32,
    /// Days that dead letters are kept. 0: forever. Unset: 180, except for dead letters that predate retention.
    pub dead_letter_retention_days: Option<u32>,
}

impl Config {
    /// Refuses values that have the right type and are still invalid.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!((1..=168).contains(&self.session_hours), "session_hours must be 1 to 168");
        anyhow::ensure!(self.audit_retention_days >= 1, "audit_retention_days must be at least 1");
        anyhow::ensure!((5..=10_080).contains(&self.session_idle_minutes), "session_idle_minutes must be 5 to 10080");
        anyhow::ensure!(self.retired_key_days >= 1, "retired_key_days must be at least 1");
        anyhow::ensure!(
            self.signing_key_lead_seconds >= LEAST_LEAD,
            "signing_key_lead_seconds must be at least {LEAST_LEAD}: as long as caches and replicas may keep the JWKS"
        );
        self.first_algorithm().map(drop)
    }

    /// The algorithm of the very first signing key.
    pub fn first_algorithm(&self) -> anyhow::Result<Algorithm> {
        algorithm(&self.signing_algorithm).map_err(|_| anyhow::anyhow!("signing_algorithm must be EdDSA or ES256"))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            signing_algorithm: "EdDSA".into(),
            retired_key_days: 30,
            signing_key_lead_seconds: 300,
            session_hours: 12,
            session_idle_minutes: 480,
            audit_retention_days: 400,
            unbound_device_days: None,
            max_unbound_devices: 20_000,
            dead_letter_retention_days: None,
        }
    }
}
