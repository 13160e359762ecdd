//! What a refused or failed call says.

use std::{error::Error as _, time::Duration};

use nodkey_kernel::{
    cause::of_connection,
    error::{FieldViolation, Kind},
};
use tonic::{Code, Status, transport};
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
            message: message(&status),
            field_violations,
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }
    }
}

/// What a status says. Of one that no server made, but a library where the connection broke, what happened.
fn message(status: &Status) -> String {
    match status.source() {
        Some(source) if status.get_error_details().error_info().is_none() => {
            format!("the connection to the server failed: {}", of_connection(source))
        }
        _ => status.message().to_owned(),
    }
}

/// A call that failed before its server answered, with the code that the library has for it.
pub(crate) fn unreachable(url: &str, error: transport::Error) -> Status {
    let cause = of_connection(&error);
    let code = Status::from_error(Box::new(error)).code();
    // Without the error itself: it would be told again, in the library's words.
    Status::new(
        code,
        match code {
            Code::Cancelled | Code::DeadlineExceeded => format!("no answer from {url} in time"),
            _ => format!("cannot reach {url}: {cause}"),
        },
    )
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
