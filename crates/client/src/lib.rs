//! Typed client for a relying party's backend.
//!
//! ```no_run
//! use nodkey_client::{Credential, Endpoints, Expected, NewTrusonafication, Nodkey, is_success, verify_evidence};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let nodkey = Nodkey::connect(&Endpoints::single("http://127.0.0.1:7070"), Credential::new("token", "secret")?)?;
//! let asked = nodkey.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme Bank")).await?;
//! let done = nodkey.wait(&asked.trusonafication.id).await?;
//! if is_success(&done) {
//!     let expected = Expected::accept().trusonafication(&done.id).user("ada");
//!     verify_evidence(&nodkey.evidence(&done.id).await?, &nodkey.jwks().await?, &expected)?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Every call has a deadline, and is repeated up to twice when the server cannot be reached, does not answer in time, or asks for it. Creates
//! carry a request id, so that a repetition has no second effect. A refused call returns an [`Error`] with a stable reason.

mod auth;
mod client;
mod error;
mod retry;
mod trusonafication;
mod waits;
mod watch;
mod webhook;

pub use auth::{AuthenticatedChannel, Credential, InvalidCredential};
pub use client::{Endpoints, MAX_MESSAGE, Nodkey, ServiceName, WAIT};
pub use error::Error;
pub use nodkey_kernel::{
    challenge::{ChallengeClaims, Decision, ResponseClaims},
    custom_fields::CustomFields,
    device::{DeviceClaims, verify_device_identifier},
    error::{FieldViolation, Kind},
    evidence::{
        Certification, Evidence, EvidenceError, Expectation, Expected, Fault, Unexpected, Unproven, Unreceipted, VerifiedEvidence,
        verify_evidence,
    },
    jose::{JoseError, Jwks},
    level::Level,
    operator_key::OperatorKey,
    receipt::{KeyKind, ReceiptClaims, ReceiptKey, ReceiptReason, ReceiptStatus, verify_receipt},
    result::{ResultClaims, verify_result},
    webhook::WebhookError,
};
/// The messages that calls take and return.
pub use nodkey_proto as proto;
pub use trusonafication::{Created, NewTrusonafication, is_success, is_terminal};
pub use webhook::{InvalidWebhook, Webhook, WebhookHeaders, WebhookNotice, WebhookResult, WebhookTrust, verify_webhook};

/// Turns a user identifier into one that does not reveal the user, but is the same every time.
///
/// HMAC-SHA-256 with a key that only the relying party knows, in base64url. Without a key, email addresses and similar identifiers could be
/// found by brute force.
#[must_use]
pub fn hash_user_identifier(key: &[u8], user_identifier: &str) -> String {
    nodkey_kernel::jose::b64u(&nodkey_kernel::jose::hmac_sha256(key, user_identifier.as_bytes()))
}
