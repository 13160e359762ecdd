//! The typed client of a relying party's backend.
//!
//! ```no_run
//! use nodkey_server_sdk::{Credential, Endpoints, NewTrusonafication, Nodkey};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let nodkey = Nodkey::connect(&Endpoints::single("http://127.0.0.1:7071"), Credential::new("token", "secret")?)?;
//! let asked = nodkey.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme Bank")).await?;
//! let done = nodkey.wait(&asked.trusonafication.id).await?;
//! if nodkey_server_sdk::is_success(&done) {
//!     let evidence = nodkey.evidence(&done.id).await?;
//!     nodkey_server_sdk::verify_evidence(&evidence, &nodkey.jwks().await?)?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Every call carries a deadline and is repeated on `UNAVAILABLE`: creates carry a request id, so a repetition has no second
//! effect. What a call refuses is an [`Error`] with a stable reason.

mod auth;
mod client;
mod error;
mod trusonafication;
mod webhook;

pub use auth::{AuthenticatedChannel, Credential, InvalidCredential};
pub use client::{Endpoints, Nodkey, ServiceName};
pub use error::Error;
pub use nodkey_kernel::{
    challenge::{Evidence, EvidenceError, VerifiedEvidence, verify_evidence},
    device::{DeviceClaims, verify_device_identifier},
    error::{FieldViolation, Kind},
    jose::{JoseError, Jwks},
    result::{ResultClaims, verify_result},
    webhook::WebhookError,
};
/// The messages that calls take and return.
pub use nodkey_proto as proto;
pub use trusonafication::{Created, NewTrusonafication, is_success, is_terminal};
pub use webhook::{InvalidWebhook, Webhook, WebhookHeaders, verify_webhook};

/// Turns a user identifier into one that tells nobody who the user is, yet is the same every time.
///
/// HMAC-SHA-256 with a key only the relying party knows, base64url. Without a key, e-mail addresses and the like could be
/// found by trying them all.
#[must_use]
pub fn hash_user_identifier(key: &[u8], user_identifier: &str) -> String {
    nodkey_kernel::jose::b64u(&nodkey_kernel::jose::hmac_sha256(key, user_identifier.as_bytes()))
}
