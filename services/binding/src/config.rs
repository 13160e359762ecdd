//! Settings of the binding service's own.

use serde::Deserialize;

/// Under `service.` in the configuration.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many days dead letters are kept; 0: for ever. Unset: 180, sparing those of before.
    pub dead_letter_retention_days: Option<u32>,
}
