//! What a refused or failed call says.

use std::time::Duration;

use nodkey_kernel::error::{FieldViolation, Kind};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// A call that was refused or failed.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({reason})")]
pub struct Error {
    /// What to do about it: fix the request, authenticate, retry.
    pub kind: Kind,
    /// Stable, upper case: `USER_NOT_FOUND`, `ALREADY_COMPLETED` and so on.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Which fields of the request are wrong, and how.
    pub field_violations: Vec<FieldViolation>,
    /// After how long the same may work, where the server knows.
    pub retry_after: Option<Duration>,
}

impl Error {
    pub(crate) fn unexpected(message: &str) -> Self {
        Self {
            kind: Kind::Internal,
            reason: "UNEXPECTED_ANSWER".into(),
            message: message.into(),
            field_violations: vec![],
            retry_after: None,
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let field_violations = details
            .bad_request()
            .map(|bad| bad.field_violations.iter())
            .into_iter()
            .flatten()
            .map(|v| FieldViolation { field: v.field.clone(), description: v.description.clone() })
            .collect();
        // The kind goes along with the reason: codes are fewer than kinds.
        let named = details.error_info().and_then(|info| Kind::parse(info.metadata.get("kind")?));
        Self {
            kind: named.unwrap_or_else(|| kind(status.code())),
            reason: details.error_info().map_or_else(|| format!("{:?}", status.code()).to_uppercase(), |info| info.reason.clone()),
            message: status.message().to_owned(),
            field_violations,
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }
    }
}

fn kind(code: Code) -> Kind {
    match code {
        Code::InvalidArgument | Code::OutOfRange => Kind::Invalid,
        Code::Unauthenticated => Kind::Unauthenticated,
        Code::PermissionDenied => Kind::Forbidden,
        Code::NotFound => Kind::NotFound,
        Code::AlreadyExists | Code::Aborted => Kind::Conflict,
        Code::FailedPrecondition => Kind::Precondition,
        Code::ResourceExhausted => Kind::Exhausted,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Kind::Unavailable,
        _ => Kind::Internal,
    }
}
