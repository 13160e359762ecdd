//! What can go wrong, classified once.

use std::time::Duration;

use nodkey_kernel::{
    error::{Classify, FieldViolation, Kind},
    vault::Unopened,
};
use nodkey_runtime::{Failure, fault::Fault};

use crate::domain::Refusal;

/// A use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What any use case may run into.
    #[error(transparent)]
    Failure(Failure),
    /// A secret cannot be read: another master key than the one it was sealed under.
    #[error("a secret cannot be opened")]
    Sealed(#[source] Unopened),
    /// Whoever asks for a secret was not called by its holder.
    #[error("there is no such credential")]
    NotProven(Fault),
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
            Self::Refused(e) => e.kind(),
            Self::Failure(e) => e.kind(),
            Self::Sealed(_) => Kind::Internal,
            // As if there were none.
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
