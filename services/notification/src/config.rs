//! Settings of the notification service's own.

use serde::Deserialize;

/// Under `service.` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many seconds a receiver may take to answer.
    pub attempt_timeout_seconds: u32,
    /// How many deliveries are sent at once; no relying party has more than a quarter of it.
    pub concurrency: u32,
    /// After how many days of failures alone an endpoint is disabled.
    pub disable_after_days: u32,
    /// How many days finished deliveries are kept.
    pub retention_days: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { attempt_timeout_seconds: 30, concurrency: 128, disable_after_days: 5, retention_days: 30 }
    }
}
