//! Verifies what webhooks are based on: the receipt of the trusonafication service, with the keys that the registry publishes for receipts.
//!
//! A consumer makes no calls, so a job keeps the keys in memory. A receipt with an unknown key is retried until the keys were read after
//! the trusonafication ended, since a key is published before it signs.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use nodkey_bus::HandlerError;
use nodkey_kernel::{
    error::chain,
    id::RelyingPartyId,
    jose::{JoseError, Jwks, jws::Compact},
    level::Level,
    receipt::{ReceiptClaims, verify_receipt},
    time::{Clock, Timestamp},
};
use nodkey_proto::{
    registry::v1::{GetJwksRequest, signing_key_service_client::SigningKeyServiceClient},
    trusonafication::v1::Trusonafication,
};
use nodkey_runtime::{Failure, Job, Peers};
use tokio::sync::Notify;
use tracing::warn;

/// How often the keys are read when none is missing.
const INTERVAL: Duration = Duration::from_mins(10);
/// Minimum interval between reads.
const PAUSE: Duration = Duration::from_secs(1);
/// Maximum lag of our clock behind that of the trusonafication service.
const SKEW: Duration = Duration::from_mins(1);

/// What an event says.
#[derive(Clone, Copy, Debug)]
pub struct Reported<'a> {
    /// The ended trusonafication.
    pub about: &'a Trusonafication,
    /// The webhook payload.
    pub data: &'a str,
    /// When the event was published.
    pub at: Timestamp,
}

/// Verifies receipts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Receipts {
    keys: Arc<RwLock<Keys>>,
    missed: Arc<Notify>,
    issuer: String,
    required_since: Timestamp,
}

#[derive(Debug, Default)]
struct Keys {
    jwks: Jwks,
    read_at: Option<Timestamp>,
}

impl Receipts {
    /// Creates a verifier for receipts of a deployment. Trusonafications that ended before `required_since` may have none.
    pub fn new(issuer: &str, required_since: Timestamp) -> Self {
        Self { keys: Arc::default(), missed: Arc::default(), issuer: issuer.to_owned(), required_since }
    }

    /// Verifies the receipt of an ended trusonafication against its event. Returns when it ended.
    pub fn check(&self, receipt: &str, party: RelyingPartyId, reported: Reported<'_>) -> Result<Timestamp, HandlerError> {
        if receipt.is_empty() {
            let before = reported.at < self.required_since;
            return if before { Ok(reported.at) } else { Err(HandlerError::Fatal("the event has no receipt".into())) };
        }
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        match verify_receipt(receipt, &keys.jwks) {
            Ok(claims) => match agrees(&claims, &self.issuer, party, reported) {
                Ok(()) => Ok(claims.ended_at()),
                Err(what) => Err(HandlerError::Fatal(format!("the receipt {what}"))),
            },
            Err(JoseError::Key) if names_a_key(receipt) && keys.read_at.is_none_or(|read_at| read_at < reported.at + SKEW) => {
                self.missed.notify_one();
                Err(HandlerError::Retry("the key of the receipt is not known yet".into()))
            }
            Err(e) => Err(HandlerError::Fatal(format!("the receipt does not verify: {e}"))),
        }
    }

    /// The job that refreshes the keys.
    pub fn job(&self, peers: Peers, clock: Clock) -> Job {
        let receipts = self.clone();
        Job::new("receipt keys", move |shutdown| async move {
            loop {
                let now = clock.now();
                match read(&peers).await {
                    Ok(jwks) => *receipts.keys.write().unwrap_or_else(PoisonError::into_inner) = Keys { jwks, read_at: Some(now) },
                    Err(e) => {
                        warn!(error = chain(&e), "the keys of receipts cannot be read; trying again");
                        receipts.missed.notify_one();
                    }
                }
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = receipts.missed.notified() => {}
                    () = tokio::time::sleep(INTERVAL) => {}
                }
            }
        })
    }
}

fn names_a_key(receipt: &str) -> bool {
    Compact::parse(receipt).is_ok_and(|receipt| receipt.header().kid.is_some())
}

async fn read(peers: &Peers) -> Result<Jwks, Failure> {
    let mut keys = SigningKeyServiceClient::new(peers.registry().unscoped());
    let document = keys.get_jwks(GetJwksRequest {}).await?.into_inner().jwks;
    serde_json::from_str(&document).map_err(|_| Failure::Internal("the registry publishes a key set"))
}

/// Compares the receipt with the event.
fn agrees(
    claims: &ReceiptClaims,
    issuer: &str,
    party: RelyingPartyId,
    Reported { about, data, .. }: Reported<'_>,
) -> Result<(), &'static str> {
    let same = |equal: bool, what| if equal { Ok(()) } else { Err(what) };
    same(claims.iss == issuer, "belongs to another deployment")?;
    same(claims.rp == party.to_string(), "belongs to another relying party")?;
    same(claims.sub == about.id, "is about another trusonafication")?;
    same(claims.has_data(data), "does not match the webhook payload")?;
    same(about.status().as_str_name() == format!("STATUS_{}", claims.status.as_str()), "has another status than the event")?;
    let (Some(result), true) = (&about.result, claims.dec.is_some()) else {
        return same(claims.dec.is_none(), "contains an answer");
    };
    same(claims.jti == result.id, "has another answer than the event")?;
    same(claims.level.map_or(0, Level::as_i32) == result.accepted_level, "has another level than the event")?;
    same(claims.user.as_deref() == Some(result.bound_user_identifier.as_str()), "has another user than the event")?;
    same(claims.dev.as_deref() == Some(result.device_identifier.as_str()), "has another device than the event")
}

#[cfg(test)]
mod tests;
