//! Errors of use cases.

use std::time::Duration;

use nodkey_db::{DbError, idempotency::IdempotencyError};
use nodkey_kernel::error::{Classify, FieldViolation, Kind};
use nodkey_runtime::{Failure, idempotent::InvalidRequestId, page::InvalidPage, status::PeerError};

use crate::domain::Refusal;

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A domain rule refuses the request.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Concurrent requests kept changing the same row; a retry may succeed soon.
    #[error("too many concurrent changes of the same object; try again")]
    Raced,
    /// A failure that any service may run into.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused(Refusal::DeviceNotFound | Refusal::UserFrozen) => Kind::Precondition,
            Self::Refused(Refusal::DeviceAlreadyBound | Refusal::IdentifierTaken | Refusal::StatementUsed) => Kind::Conflict,
            Self::Refused(Refusal::BindingDeactivated | Refusal::TooManyDevices) => Kind::Invalid,
            Self::Refused(Refusal::DeviceNotBound | Refusal::DeviceNotActive | Refusal::Unproven(_)) => Kind::Forbidden,
            Self::Refused(Refusal::UserNotFound) => Kind::NotFound,
            Self::Raced => Kind::Unavailable,
            Self::Failed(failure) => failure.kind(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Refused(Refusal::DeviceNotFound) => "DEVICE_NOT_FOUND",
            Self::Refused(Refusal::DeviceAlreadyBound) => "DEVICE_ALREADY_BOUND",
            Self::Refused(Refusal::BindingDeactivated) => "BINDING_DEACTIVATED",
            Self::Refused(Refusal::IdentifierTaken) => "IDENTIFIER_TAKEN",
            Self::Refused(Refusal::UserFrozen) => "USER_FROZEN",
            Self::Refused(Refusal::StatementUsed) => "DEVICE_CHALLENGE_USED",
            Self::Refused(Refusal::UserNotFound) => "USER_NOT_FOUND",
            Self::Refused(Refusal::TooManyDevices) => "TOO_MANY_DEVICES",
            Self::Refused(Refusal::DeviceNotBound) => "DEVICE_NOT_BOUND",
            Self::Refused(Refusal::DeviceNotActive) => "DEVICE_NOT_ACTIVE",
            Self::Refused(Refusal::Unproven(_)) => "INVALID_PROOF",
            Self::Raced => "RACED",
            Self::Failed(failure) => failure.reason(),
        }
    }

    fn cause_code(&self) -> Option<&'static str> {
        match self {
            Self::Refused(Refusal::Unproven(unproven)) => Some(unproven.cause_code()),
            Self::Refused(_) | Self::Raced | Self::Failed(_) => None,
        }
    }

    fn field_violations(&self) -> Vec<FieldViolation> {
        match self {
            Self::Refused(_) | Self::Raced => Vec::new(),
            Self::Failed(failure) => failure.field_violations(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        if let Self::Failed(failure) = self { failure.retry_after() } else { None }
    }
}

macro_rules! failures {
    ($($type:ty),+) => {$(
        impl From<$type> for Error {
            fn from(error: $type) -> Self {
                Self::Failed(error.into())
            }
        }
    )+};
}
failures!(DbError, IdempotencyError, InvalidRequestId, InvalidPage, PeerError);
