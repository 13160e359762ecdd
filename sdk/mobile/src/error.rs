//! Errors, and whether a retry helps.

use std::time::Duration;

use nodkey_kernel::jose::JoseError;

use crate::{PresenceError, Untrusted};

/// Why a call of the phone failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The gateway refused; `code` is stable: `INVALID_PROOF`, `EXPIRED`, `ALREADY_COMPLETED` and so on.
    #[error("{code}: {description}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The `error` field of the response.
        code: String,
        /// The `description` field of the response.
        description: String,
        /// How long the gateway asks to wait before a retry; zero if it does not say.
        retry_after: Duration,
    },
    /// The gateway could not be reached; every call may be repeated.
    #[error("the gateway cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The response did not follow the protocol.
    #[error("unexpected answer: {0}")]
    Protocol(String),
    /// A code was not issued by this deployment.
    #[error("the code cannot be trusted")]
    Untrusted(#[source] Untrusted),
    /// A key or a signature is malformed.
    #[error("malformed key or signature")]
    Jose(#[from] JoseError),
    /// No presence key signed.
    #[error(transparent)]
    Presence(#[from] PresenceError),
    /// The platform's key store failed.
    #[error("the key store failed: {0}")]
    KeyStore(String),
    /// The gateway URL is invalid.
    #[error("the gateway URL is not valid")]
    Url(#[from] url::ParseError),
}

impl Error {
    /// Minimum delay after which a retry may succeed; `None` if it will not.
    #[must_use]
    pub fn passes_after(&self) -> Option<Duration> {
        match self {
            Self::Unreachable(_) => Some(Duration::ZERO),
            Self::Refused { status: 429 | 502..=504, retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}
