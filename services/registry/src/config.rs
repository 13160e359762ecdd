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
}

impl Default for Config {
    fn default() -> Self {
        Self { signing_algorithm: "EdDSA".into(), retired_key_days: 30 }
    }
}
