//! Settings of the notification service's own.

use serde::Deserialize;

/// Under `service.` in the configuration.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many seconds a receiver may take to answer.
    pub attempt_timeout_seconds: u32,
    /// How many deliveries are sent at once.
    pub concurrency: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { attempt_timeout_seconds: 30, concurrency: 32 }
    }
}
