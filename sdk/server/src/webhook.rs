//! Requests to webhook endpoints.

use std::{fmt, time::SystemTime};

use nodkey_client as client;
pub(crate) use nodkey_client::InvalidWebhook;

use crate::{DeliveryId, Jwks, Receipt, RelyingPartyId, VerificationError, verification};

/// The three headers of a webhook, as they arrived.
#[derive(Clone, Copy, Debug)]
pub struct WebhookHeaders<'a> {
    id: &'a str,
    timestamp: &'a str,
    signature: &'a str,
}

impl<'a> WebhookHeaders<'a> {
    /// `webhook-id`, `webhook-timestamp` and `webhook-signature`.
    #[must_use]
    pub const fn new(id: &'a str, timestamp: &'a str, signature: &'a str) -> Self {
        Self { id, timestamp, signature }
    }

    /// Finds them in the headers of a request, by their names. One that is not there is empty, and verifies nothing.
    #[must_use]
    pub fn find(header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let value = |name| header(name).unwrap_or_default();
        Self { id: value("webhook-id"), timestamp: value("webhook-timestamp"), signature: value("webhook-signature") }
    }
}

/// What a receiver verifies with, all of it from its own configuration. Its debug output does not show the key.
#[derive(Clone, Copy)]
pub struct WebhookTrust<'a> {
    key: &'a str,
    relying_party: &'a RelyingPartyId,
}

impl<'a> WebhookTrust<'a> {
    /// The secret of the endpoint (`whsec_…`), or its public key (`whpk_…`), and the id of your relying party.
    #[must_use]
    pub const fn new(key: &'a str, relying_party: &'a RelyingPartyId) -> Self {
        Self { key, relying_party }
    }
}

impl fmt::Debug for WebhookTrust<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookTrust").field("relying_party", self.relying_party).finish_non_exhaustive()
    }
}

/// A verified webhook. Its variant says what it proves: a notice is never taken for a result.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Webhook {
    /// How a trusonafication ended, signed by the deployment.
    Result(Box<WebhookResult>),
    /// Anything else. Whoever has the key of the endpoint says so, and the deployment did not sign it.
    Notice(WebhookNotice),
}

/// How a trusonafication ended, signed by the deployment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WebhookResult {
    /// The same on every delivery: remember it, and act once. Better still, act once for each `receipt.trusonafication`.
    pub id: DeliveryId,
    /// `trusonafication.accepted`, `.rejected`, `.expired`, `.canceled` or, besides `.rejected`, `.reported`.
    pub event_type: String,
    /// When that happened: RFC 3339. The same as `receipt.ended_at`.
    pub timestamp: String,
    /// The trusonafication as in `GET /api/v2/trusonafications/{id}`: JSON, with the characters that arrived and that the receipt proves.
    pub data_json: String,
    /// How it ended.
    pub receipt: Receipt,
}

/// Something that happened to a device, a binding, a document or a user. It has no receipt: a reason to look with a call of your own, and never
/// a reason to let anybody in.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WebhookNotice {
    /// The same on every delivery.
    pub id: DeliveryId,
    /// `device.registered`, `binding.activated` and so on. Later releases have others: ignore what you do not know.
    pub event_type: String,
    /// When that happened: RFC 3339.
    pub timestamp: String,
    /// What happened: JSON, with the characters that arrived. Of two about the same thing the one with the greater `version` is newer.
    pub data_json: String,
}

impl Webhook {
    /// The `webhook-id`.
    #[must_use]
    pub const fn id(&self) -> &DeliveryId {
        match self {
            Self::Result(result) => &result.id,
            Self::Notice(notice) => &notice.id,
        }
    }

    /// What happened.
    #[must_use]
    pub fn event_type(&self) -> &str {
        match self {
            Self::Result(result) => &result.event_type,
            Self::Notice(notice) => &notice.event_type,
        }
    }

    /// How a trusonafication ended; `None` for anything else.
    #[must_use]
    pub fn result(self) -> Option<WebhookResult> {
        match self {
            Self::Result(result) => Some(*result),
            Self::Notice(_) => None,
        }
    }
}

impl Webhook {
    pub(crate) fn of(webhook: client::Webhook) -> Self {
        match webhook {
            client::Webhook::Result(result) => {
                let client::WebhookResult { id, event_type, timestamp, data: _, data_json, receipt } = *result;
                Self::Result(Box::new(WebhookResult { id: id.into(), event_type, timestamp, data_json, receipt: Receipt::of(receipt) }))
            }
            client::Webhook::Notice(client::WebhookNotice { id, event_type, timestamp, data: _, data_json }) => {
                Self::Notice(WebhookNotice { id: id.into(), event_type, timestamp, data_json })
            }
        }
    }
}

/// Verifies a request to a webhook endpoint: that its sender has the key of the endpoint and, for the end of a trusonafication, that the
/// deployment signed the content. Answer 400 where it does not verify.
///
/// `body` are the bytes as they arrived, before anything parsed them.
///
/// Errors: [`InvalidKey`](crate::VerificationReason::InvalidKey) to [`Mismatch`](crate::VerificationReason::Mismatch), and
/// [`InvalidSignature`](crate::VerificationReason::InvalidSignature).
///
/// ```
/// # use std::time::SystemTime;
/// # use nodkey_server_sdk::{Jwks, RelyingPartyId, VerificationReason, WebhookHeaders, WebhookTrust, verify_webhook};
/// # let (secret, body, id, timestamp, signature) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b"{}", "01890a5d", "1614265330", "v1,AAAA");
/// # let jwks = &Jwks::parse(r#"{"keys": []}"#)?;
/// let relying_party = RelyingPartyId::from("0192f1c4-0000-7000-8000-00000000ac3e");
/// let headers = WebhookHeaders::new(id, timestamp, signature);
/// let told = verify_webhook(WebhookTrust::new(secret, &relying_party), headers, body, jwks, SystemTime::now());
/// assert_eq!(told.unwrap_err().reason(), VerificationReason::TimestampOutOfTolerance);
/// # Ok::<(), nodkey_server_sdk::Error>(())
/// ```
pub fn verify_webhook(
    trust: WebhookTrust<'_>,
    headers: WebhookHeaders<'_>,
    body: &[u8],
    jwks: &Jwks,
    now: SystemTime,
) -> Result<Webhook, VerificationError> {
    let WebhookHeaders { id, timestamp, signature } = headers;
    let trust = client::WebhookTrust { key: trust.key, jwks: jwks.keys(), relying_party: trust.relying_party.as_str() };
    let webhook = client::verify_webhook(trust, client::WebhookHeaders { id, timestamp, signature }, body, now);
    webhook.map(Webhook::of).map_err(verification::of_webhook)
}
