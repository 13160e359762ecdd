//! Errors of refused and failed calls.

use std::{error::Error as _, time::Duration};

use nodkey_kernel::{
    cause::of_connection,
    error::{FieldViolation, Kind},
};
use nodkey_proto::code::code_name;
use tonic::{Code, Status, TimeoutExpired, transport};
use tonic_types::StatusExt as _;

use crate::retry::is_broken;

/// A call that was refused or failed.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({reason})")]
pub struct Error {
    /// What to do about it: fix the request, authenticate, or retry.
    pub kind: Kind,
    /// Stable, upper case: `USER_NOT_FOUND`, `ALREADY_COMPLETED` and so on.
    pub reason: String,
    /// Message for people.
    pub message: String,
    /// The invalid fields of the request, and what is wrong with them.
    pub field_violations: Vec<FieldViolation>,
    /// Delay after which the same call may succeed, if the server knows it.
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

    /// The time-out of a wait is over.
    pub(crate) fn late(limit: Duration, trouble: Option<String>) -> Self {
        let trouble = trouble.map_or_else(String::new, |trouble| format!(": {trouble}"));
        Self {
            kind: Kind::Unavailable,
            reason: "DEADLINE_EXCEEDED".into(),
            message: format!("no result within {} seconds{trouble}", limit.as_secs_f64()),
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
        // The kind is sent along with the reason: there are fewer codes than kinds.
        let named = details.error_info().and_then(|info| Kind::parse(info.metadata.get("kind")?));
        Self {
            kind: named.unwrap_or_else(|| if is_broken(&status) { Kind::Unavailable } else { kind(status.code()) }),
            reason: match details.error_info() {
                Some(info) => info.reason.clone(),
                None if is_broken(&status) => "UNAVAILABLE".to_owned(),
                None => code_name(status.code()).to_owned(),
            },
            message: message(&status),
            field_violations,
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }
    }
}

/// The message of a status. If no server sent it, but a library made it when the connection broke, describes what happened.
fn message(status: &Status) -> String {
    match status.source() {
        Some(source) if status.get_error_details().error_info().is_none() => {
            format!("the connection to the server failed: {}", of_connection(source))
        }
        _ => status.message().to_owned(),
    }
}

/// The status of a call that failed before its server answered, with the library's code for it.
pub(crate) fn unreachable(url: &str, error: transport::Error) -> Status {
    let cause = of_connection(&error);
    // The library says `CANCELLED` of a call that it gave up after its deadline.
    let code = if is_late(&error) { Code::DeadlineExceeded } else { Status::from_error(Box::new(error)).code() };
    // Without the error itself, which would be repeated in the library's words.
    Status::new(
        code,
        match code {
            Code::Cancelled | Code::DeadlineExceeded => format!("no answer from {url} in time"),
            _ => format!("cannot reach {url}: {cause}"),
        },
    )
}

/// Whether a deadline passed.
fn is_late(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<TimeoutExpired>() || error.source().is_some_and(is_late)
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
