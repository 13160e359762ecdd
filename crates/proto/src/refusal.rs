//! Refusals as gRPC statuses: the kind becomes a code, reason and fields become `google.rpc` details.

use std::{collections::HashMap, time::Duration};

use nodkey_kernel::error::{FieldViolation, Kind};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The domain of our reasons.
const DOMAIN: &str = "nodkey";

/// Makes the status of a refusal.
#[must_use]
pub fn refusal(kind: Kind, reason: &str, message: impl Into<String>, fields: &[FieldViolation], retry_after: Option<Duration>) -> Status {
    // The kind goes along: codes are fewer than kinds.
    let metadata = HashMap::from([("kind".to_owned(), kind.as_str().to_owned())]);
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
    for violation in fields {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    if retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    Status::with_error_details(code(kind), message, details)
}

/// The code of a kind.
#[must_use]
pub const fn code(kind: Kind) -> Code {
    match kind {
        Kind::Invalid | Kind::TooLarge => Code::InvalidArgument,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Forbidden => Code::PermissionDenied,
        Kind::NotFound => Code::NotFound,
        Kind::Conflict => Code::AlreadyExists,
        Kind::Gone | Kind::Precondition => Code::FailedPrecondition,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::Internal => Code::Internal,
    }
}
