//! The errors of the notification service, classified once.

use std::time::Duration;

use nodkey_kernel::{
    error::{Classify, FieldViolation, Kind},
    time::Timestamp,
};
use nodkey_runtime::Failure;

/// When to try again to open a stream: nobody knows when one ends.
const FULL_FOR: Duration = Duration::from_secs(5);

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The limit of endpoints is reached.
    #[error("this relying party may have {0} endpoints (webhook_endpoints); delete one first")]
    TooManyEndpoints(usize),
    /// Each key adds two signatures to every request.
    #[error(
        "{most} previous secrets still sign, which is the limit: rotate again after {until}, or set overlap_seconds to 0 to end all previous \
         secrets immediately"
    )]
    TooManyKeys {
        /// Maximum number of previous keys.
        most: usize,
        /// When the first of them stops signing.
        until: Timestamp,
    },
    /// Each stream reads the database every second.
    #[error("{0} has too many streams of deliveries; end some, or try again later")]
    TooManyMirrors(&'static str),
    /// This process is about to stop; the same request to another process may work immediately.
    #[error("this server is shutting down")]
    Stopping,
    /// Nothing is sent to the endpoint.
    #[error("the endpoint is disabled; enable it first")]
    EndpointDisabled,
    /// A failure that any use case may run into.
    #[error(transparent)]
    Failure(Failure),
    /// Concurrent requests kept changing the same row; a retry may succeed soon.
    #[error("too many concurrent changes of the same object; try again")]
    Raced,
}

impl<T: Into<Failure>> From<T> for Error {
    fn from(failure: T) -> Self {
        Self::Failure(failure.into())
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::TooManyEndpoints(_) => Kind::Invalid,
            Self::EndpointDisabled | Self::TooManyKeys { .. } => Kind::Precondition,
            Self::Failure(e) => e.kind(),
            Self::TooManyMirrors(_) => Kind::Exhausted,
            Self::Raced | Self::Stopping => Kind::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::TooManyEndpoints(_) => "TOO_MANY_ENDPOINTS",
            Self::TooManyKeys { .. } => "TOO_MANY_KEYS",
            Self::EndpointDisabled => "ENDPOINT_DISABLED",
            Self::Failure(e) => e.reason(),
            Self::TooManyMirrors(_) => "TOO_MANY_STREAMS",
            Self::Stopping => "STOPPING",
            Self::Raced => "RACED",
        }
    }

    fn field_violations(&self) -> Vec<FieldViolation> {
        match self {
            Self::Failure(e) => e.field_violations(),
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failure(e) => e.retry_after(),
            Self::TooManyMirrors(_) => Some(FULL_FOR),
            _ => None,
        }
    }
}
