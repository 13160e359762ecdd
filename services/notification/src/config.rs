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
    /// How many days dead letters are kept; 0: for ever. Unset: 180, sparing those of before.
    pub dead_letter_retention_days: Option<u32>,
    /// How phones are woken.
    pub push: PushConfig,
}

/// Under `service.push.`: providers, and where they are.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PushConfig {
    /// How many pushes are sent at once; no relying party has more than a quarter of it.
    pub concurrency: u32,
    /// APNs.
    pub apns_url: String,
    /// APNs of development builds.
    pub apns_sandbox_url: String,
    /// FCM.
    pub fcm_url: String,
    /// Where access tokens of FCM come from.
    pub google_token_url: String,
}

impl Default for PushConfig {
    fn default() -> Self {
        Self {
            concurrency: 64,
            apns_url: "https://api.push.apple.com".into(),
            apns_sandbox_url: "https://api.sandbox.push.apple.com".into(),
            fcm_url: "https://fcm.googleapis.com".into(),
            google_token_url: "https://oauth2.googleapis.com/token".into(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            attempt_timeout_seconds: 30,
            concurrency: 128,
            disable_after_days: 5,
            retention_days: 30,
            dead_letter_retention_days: None,
            push: PushConfig::default(),
        }
    }
}
