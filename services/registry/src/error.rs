//! The errors of the registry, classified once.

use std::time::Duration;

use nodkey_kernel::{
    error::{Classify, FieldViolation, Kind},
    vault::Unopened,
};
use nodkey_runtime::{Failure, fault::Fault};

use crate::domain::Refusal;

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A domain rule refuses the request.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A failure that any use case may run into.
    #[error(transparent)]
    Failure(Failure),
    /// A secret cannot be decrypted: it was sealed under another master key.
    #[error("a secret cannot be decrypted with the configured master key")]
    Sealed(#[source] Unopened),
    /// A secret was requested without proof of a call by the credential's holder.
    #[error("there is no such credential")]
    NotProven(Fault),
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
            Self::Refused(e) => e.kind(),
            Self::Failure(e) => e.kind(),
            Self::Sealed(_) => Kind::Internal,
            // Indistinguishable from a credential that does not exist.
            Self::NotProven(_) => Kind::NotFound,
            Self::Raced => Kind::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Refused(e) => e.reason(),
            Self::Failure(e) => e.reason(),
            Self::Sealed(_) => "INTERNAL",
            Self::NotProven(fault) => fault.as_str(),
            Self::Raced => "RACED",
        }
    }

    fn cause_code(&self) -> Option<&'static str> {
        match self {
            Self::Refused(e) => e.cause_code(),
            Self::Failure(_) | Self::Sealed(_) | Self::NotProven(_) | Self::Raced => None,
        }
    }

    fn field_violations(&self) -> Vec<FieldViolation> {
        match self {
            Self::Refused(e) => e.field_violations(),
            Self::Failure(e) => e.field_violations(),
            Self::Sealed(_) | Self::NotProven(_) | Self::Raced => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(e) => e.retry_after(),
            Self::Failure(e) => e.retry_after(),
            Self::Sealed(_) | Self::NotProven(_) | Self::Raced => None,
        }
    }
}
