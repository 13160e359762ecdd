//! Apple Push Notification service: HTTP/2, with tokens signed by the relying party's key.

use std::time::Duration;

use moka::sync::Cache;
use nodkey_kernel::{
    jose::{PrivateKey, jws},
    time::Timestamp,
};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{Configuration, Credentials, Push, Verdict, is_passing, reason, retry_after, unreachable};
use crate::{answer, config::PushConfig};

/// How long a token is used: Apple accepts a token for an hour, and no new one within twenty minutes.
const TOKEN_LIFETIME: Duration = Duration::from_mins(50);
/// Maximum number of cached tokens, one per relying party.
const MAX_TOKENS: u64 = 10_000;

/// Reasons that the device token is no longer valid for the app's topic.
const DEAD: [&str; 3] = ["BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered"];

#[derive(Debug)]
pub struct Apns {
    client: Client,
    url: String,
    sandbox_url: String,
    /// Tokens by version of the configuration.
    tokens: Cache<String, String>,
}

#[derive(Default, Deserialize)]
struct Answer {
    #[serde(default)]
    reason: String,
}

/// Checks a private key.
pub fn check_key(pem: &str) -> Result<(), &'static str> {
    PrivateKey::from_pkcs8_pem(pem).map(drop).map_err(|_| "must be the P-256 key of the .p8 file, in PEM")
}

impl Apns {
    pub fn new(client: Client, config: &PushConfig) -> Self {
        let tokens = Cache::builder().max_capacity(MAX_TOKENS).time_to_live(TOKEN_LIFETIME).build();
        Self { client, url: config.apns_url.clone(), sandbox_url: config.apns_sandbox_url.clone(), tokens }
    }

    pub async fn send(&self, device_token: &str, configuration: &Configuration, push: &Push, now: Timestamp) -> Verdict {
        let Credentials::Apns { team_id, key_id, private_key, topic, sandbox, alert } = &configuration.credentials else {
            return Verdict::Refused("the credentials are not for APNs".to_owned());
        };
        let Ok(key) = PrivateKey::from_pkcs8_pem(private_key) else { return Verdict::Refused("the key cannot be read".to_owned()) };
        let token = self.tokens.get_with_by_ref(&configuration.version, || {
            jws::sign("JWT", Some(key_id), None, &json!({"iss": team_id, "iat": now.as_seconds()}), &key)
        });
        let base = if *sandbox { &self.sandbox_url } else { &self.url };
        let request = self
            .client
            .post(format!("{base}/3/device/{device_token}"))
            .bearer_auth(token)
            .header("apns-topic", topic)
            .header("apns-push-type", "alert")
            .header("apns-priority", "10")
            .header("apns-expiration", push.expires_at.as_seconds())
            // A new push replaces an earlier one that was not seen yet.
            .header("apns-collapse-id", "nodkey")
            .json(&json!({"aps": {"alert": alert, "sound": "default", "content-available": 1}, "nodkey": "look"}));
        let response = match request.send().await {
            Ok(response) => response,
            Err(e) => return unreachable(e),
        };
        let (status, after) = (response.status(), retry_after(&response, now));
        if status.is_success() {
            return Verdict::Sent;
        }
        let why = answer::json::<Answer>(response).await.unwrap_or_default().reason;
        if status == StatusCode::GONE || DEAD.contains(&why.as_str()) {
            return Verdict::Dead;
        }
        if why == "ExpiredProviderToken" {
            self.tokens.invalidate(&configuration.version);
            return Verdict::Later(None, why);
        }
        let why = reason(&format!("{} {why}", status.as_u16()));
        if is_passing(status) { Verdict::Later(after, why) } else { Verdict::Refused(why) }
    }
}
