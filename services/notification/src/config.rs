//! The notification service's own settings.

use ipnet::IpNet;
use nodkey_kernel::egress::Egress;
use serde::Deserialize;

/// Settings under `service.` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Timeout of a receiver's answer, in seconds.
    pub attempt_timeout_seconds: u32,
    /// Maximum number of concurrent deliveries; a relying party gets at most a quarter of it.
    pub concurrency: u32,
    /// Days of continuous failures after which an endpoint is disabled.
    pub disable_after_days: u32,
    /// Days that finished deliveries are kept.
    pub retention_days: u32,
    /// Days that dead letters are kept. 0: forever. Unset: 180, except for dead letters that predate retention.
    pub dead_letter_retention_days: Option<u32>,
    /// Push settings.
    pub push: PushConfig,
}

impl Config {
    /// Refuses values that have the right type and are still invalid.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!((1..=300).contains(&self.attempt_timeout_seconds), "attempt_timeout_seconds must be 1 to 300");
        anyhow::ensure!((1..=1_024).contains(&self.concurrency), "concurrency must be 1 to 1024");
        anyhow::ensure!(self.disable_after_days >= 1, "disable_after_days must be at least 1");
        anyhow::ensure!(self.retention_days >= 4, "retention_days must be at least 4: retries take three");
        anyhow::ensure!((1..=1_024).contains(&self.push.concurrency), "push.concurrency must be 1 to 1024");
        Ok(())
    }
}

/// Settings under `service.push.`: limits and provider URLs.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PushConfig {
    /// Maximum number of concurrent pushes; a relying party gets at most a quarter of it.
    pub concurrency: u32,
    /// URL of APNs.
    pub apns_url: String,
    /// URL of APNs for development builds.
    pub apns_sandbox_url: String,
    /// URL of FCM.
    pub fcm_url: String,
    /// URL that issues access tokens for FCM.
    pub google_token_url: String,
    /// Networks besides public ones that push endpoints named by phones may be in, such as that of your own `UnifiedPush` distributor:
    /// `10.1.0.0/16`.
    pub allowed_networks: Vec<IpNet>,
    /// Allows push endpoints named by phones on this machine, over http and on any port. For tests only.
    pub allow_this_machine: bool,
}

impl PushConfig {
    /// Egress rules for push endpoints named by phones. The operator's permission for webhooks to reach an internal network is meant for
    /// holders of a credential, and anyone can have a phone.
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
