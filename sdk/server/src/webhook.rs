//! Webhooks, received.

use std::time::SystemTime;

use nodkey_kernel::{
    time::Timestamp,
    webhook::{VerifyingKey, WebhookError},
};
use serde::Deserialize;
use serde_json::Value;

/// The three headers that come with a webhook, as they arrived.
#[derive(Clone, Copy, Debug)]
pub struct WebhookHeaders<'a> {
    /// `webhook-id`
    pub id: &'a str,
    /// `webhook-timestamp`
    pub timestamp: &'a str,
    /// `webhook-signature`
    pub signature: &'a str,
}

/// What an endpoint is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// The same whenever the same is told again: remember it, and act once.
    pub id: String,
    /// `trusonafication.accepted`, `.rejected`, `.expired` or `.canceled`.
    pub event_type: String,
    /// When that happened, RFC 3339.
    pub timestamp: String,
    /// The trusonafication, as `GET /api/v2/trusonafications/{id}` shows it.
    pub data: Value,
}

/// A request that is no webhook of this key's holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWebhook {
    /// The signature does not hold. Answer 400 or 401.
    #[error(transparent)]
    Signature(#[from] WebhookError),
    /// It is signed, but not what an endpoint is told.
    #[error("the body is not what an endpoint is told")]
    Body,
}

#[derive(Deserialize)]
struct Envelope {
    r#type: String,
    timestamp: String,
    data: Value,
}

/// Verifies what came to a webhook endpoint. `key` is its secret (`whsec_`) or its public key (`whpk_`); `body` is the body to the
/// byte, before anything has parsed it.
///
/// ```
/// # use nodkey_server_sdk::{WebhookHeaders, verify_webhook};
/// # let (key, body) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b"{}");
/// let headers = WebhookHeaders { id: "01890a5d", timestamp: "1614265330", signature: "v1,AAAA" };
/// assert!(verify_webhook(key, headers, body, std::time::SystemTime::now()).is_err());
/// ```
pub fn verify_webhook(key: &str, headers: WebhookHeaders<'_>, body: &[u8], now: SystemTime) -> Result<Webhook, InvalidWebhook> {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
    VerifyingKey::parse(key)?.verify(headers.id, headers.timestamp, headers.signature, body, now)?;
    let envelope: Envelope = serde_json::from_slice(body).map_err(|_| InvalidWebhook::Body)?;
    Ok(Webhook { id: headers.id.to_owned(), event_type: envelope.r#type, timestamp: envelope.timestamp, data: envelope.data })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nodkey_kernel::{random::Random, webhook::SigningKeys};

    use super::*;

    #[test]
    fn what_is_signed_is_told_and_what_is_not_is_refused() {
        let keys = SigningKeys::generate(&Random::seeded(1));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let body = r#"{"type":"trusonafication.accepted","timestamp":"1970-01-01T00:16:40.000Z","data":{"id":"t"}}"#;
        let verify = |body: &str, signed: &str| {
            let signature = keys.sign("id", 1_000, signed);
            let headers = WebhookHeaders { id: "id", timestamp: "1000", signature: &signature };
            verify_webhook(&keys.public_key(), headers, body.as_bytes(), now)
        };
        let told = verify(body, body).unwrap();
        assert_eq!((told.id.as_str(), told.event_type.as_str(), &told.data["id"]), ("id", "trusonafication.accepted", &"t".into()));
        assert_eq!(verify("{}", body), Err(InvalidWebhook::Signature(WebhookError::Signature)));
        assert_eq!(verify("{}", "{}"), Err(InvalidWebhook::Body));
    }
}
