//! The binding service's own settings.

use serde::Deserialize;

/// Settings under `service.` in the configuration.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Days that dead letters are kept. 0: forever. Unset: 180, except for dead letters that predate retention.
    pub dead_letter_retention_days: Option<u32>,
}
