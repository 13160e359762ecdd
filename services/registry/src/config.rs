//! Settings of the registry's own.

use serde::Deserialize;

/// Under `service.` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How the first signing key signs: `EdDSA` or `ES256`. Later ones are made by `RotateSigningKey`, which names its own.
    pub signing_algorithm: String,
    /// How many days a retired signing key stays in the JWKS. At least 1: device-identifier JWTs live that long.
    pub retired_key_days: u32,
    /// How many seconds a signing key of any service is published before it signs, unless it is the first of its kind: at least 120, as
    /// long as caches and replicas may keep the JWKS. Longer where phones ship a pinned JWKS: until they were updated.
    pub signing_key_lead_seconds: u32,
    /// How many hours an operator stays signed in to the console: 1 to 168.
    pub session_hours: u32,
    /// How many minutes an operator may do nothing before the session is over: 5 to 10080.
    pub session_idle_minutes: u32,
    /// How many days what operators did is kept; at least 1.
    pub audit_retention_days: u32,
    /// How many days a device that is bound to nobody is kept after it was last seen; 0: for ever. Unset: 90, sparing those of before.
    pub unbound_device_days: Option<u32>,
    /// How many devices of one relying party may be registered that no binding was ever made for, where it has no limit of its own.
    pub max_unbound_devices: u32,
    /// How many days dead letters are kept; 0: for ever. Unset: 180, sparing those of before.
    pub dead_letter_retention_days: Option<u32>,
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
