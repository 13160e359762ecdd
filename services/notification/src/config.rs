//! Settings of the notification service's own.

use ipnet::IpNet;
use nodkey_kernel::egress::Egress;
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
    /// Networks that the addresses phones name may be in besides public ones, such as that of a distributor of our own: `10.1.0.0/16`.
    pub allowed_networks: Vec<IpNet>,
    /// Whether the addresses phones name may be on this machine, over http and on any port: for tests alone.
    pub allow_this_machine: bool,
}

impl PushConfig {
    /// Where phones may have us connect to. That webhooks may lead into a network is an operator's word for those who have a credential; anybody
    /// has a phone.
    #[must_use]
    pub fn egress(&self, deployment: &Egress) -> Egress {
        Egress { networks: self.allowed_networks.clone(), ports: deployment.ports.clone(), development: self.allow_this_machine }
    }
}

impl Default for PushConfig {
    fn default() -> Self {
        Self {
            concurrency: 64,
            apns_url: "https://api.push.apple.com".into(),
            apns_sandbox_url: "https://api.sandbox.push.apple.com".into(),
            fcm_url: "https://fcm.googleapis.com".into(),
            google_token_url: "https://oauth2.googleapis.com/token".into(),
            allowed_networks: Vec::new(),
            allow_this_machine: false,
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
