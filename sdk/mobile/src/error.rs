//! What can go wrong, and whether trying again helps.

use nodkey_kernel::{challenge::ChallengeError, jose::JoseError};

use crate::PresenceDenied;

/// A call of the phone failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The gateway refused; `code` is stable: `INVALID_PROOF`, `EXPIRED`, `ALREADY_COMPLETED` and so on.
    #[error("{code}: {description}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The `error` of the answer.
        code: String,
        /// The `description` of the answer.
        description: String,
    },
    /// The gateway could not be reached; every call may be repeated.
    #[error("the gateway cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The answer was not what the protocol says.
    #[error("unexpected answer: {0}")]
    Protocol(String),
    /// The challenge is not by the pinned keys, not for this gateway, or over.
    #[error("the challenge cannot be trusted")]
    Challenge(#[source] ChallengeError),
    /// A key or a signature is malformed.
    #[error("malformed key or signature")]
    Jose(#[from] JoseError),
    /// The person did not prove their presence.
    #[error(transparent)]
    PresenceDenied(#[from] PresenceDenied),
    /// The platform's key store failed.
    #[error("the key store failed: {0}")]
    KeyStore(String),
    /// The gateway URL is none.
    #[error("the gateway URL is not valid")]
    Url(#[from] url::ParseError),
}
