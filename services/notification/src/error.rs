//! What can go wrong, classified once.

use std::time::Duration;

use nodkey_kernel::{
    error::{Classify, FieldViolation, Kind},
    time::Timestamp,
};
use nodkey_runtime::Failure;

/// A use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Enough.
    #[error("this relying party may have {0} endpoints (webhook_endpoints); delete one first")]
    TooManyEndpoints(usize),
    /// Each is two signatures more in every request.
    #[error(
        "{most} secrets of before sign besides the one of now, as many as may: rotate again after {until}, or with overlap_seconds 0, which \
         ends all but the new one at once"
    )]
    TooManyKeys {
        /// So many.
        most: usize,
        /// When the first of them ends.
        until: Timestamp,
    },
    /// Nothing is sent to it.
    #[error("the endpoint is disabled; enable it first")]
    EndpointDisabled,
    /// What any use case may run into.
    #[error(transparent)]
    Failure(Failure),
    /// Others changed the same thing again and again; the same request may work soon.
    #[error("others keep changing the same thing")]
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
            Self::Raced => Kind::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::TooManyEndpoints(_) => "TOO_MANY_ENDPOINTS",
            Self::TooManyKeys { .. } => "TOO_MANY_KEYS",
            Self::EndpointDisabled => "ENDPOINT_DISABLED",
            Self::Failure(e) => e.reason(),
            Self::Raced => "RACED",
        }
    }

    fn field_violations(&self) -> Vec<FieldViolation> {
        match self {
            Self::Failure(e) => e.field_violations(),
            Self::TooManyEndpoints(_) | Self::TooManyKeys { .. } | Self::EndpointDisabled | Self::Raced => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        if let Self::Failure(e) = self { e.retry_after() } else { None }
    }
}
