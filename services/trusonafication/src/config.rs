//! Settings of the trusonafication service's own.

use serde::Deserialize;

/// Under `service.` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How the first signing key signs: `EdDSA` or `ES256`. Later ones are made by `RotateSigningKey`, which names its own.
    pub signing_algorithm: String,
    /// How many seconds an answer may take, when the request does not say: 1 to 86400.
    pub lifetime_seconds: u32,
    /// How many may wait for one user or device at once, of a relying party without budgets: more would be a flood no person can judge.
    pub max_pending: u32,
    /// How many may be in progress at once of one relying party, where it has no limit of its own.
    pub max_open: u32,
    /// How many seconds a secure QR code lives: 20 to 55. Browsers hold a request as long.
    pub trucode_seconds: u32,
    /// How often, in milliseconds, to look for what has expired. What is read in between is seen as expired anyway.
    pub sweep_milliseconds: u32,
    /// How many days what expired or was canceled is kept; 0: for ever. Unset: 90, sparing what is of before. A relying party's policy
    /// goes first.
    pub unanswered_retention_days: Option<u32>,
    /// How many days dead letters are kept; 0: for ever. Unset: 180, sparing those of before.
    pub dead_letter_retention_days: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            signing_algorithm: "EdDSA".into(),
            lifetime_seconds: 120,
            max_pending: 20,
            max_open: 100_000,
            trucode_seconds: 50,
            sweep_milliseconds: 500,
            unanswered_retention_days: None,
            dead_letter_retention_days: None,
        }
    }
}
