//! Refusals as gRPC statuses: the kind becomes a code; reason and fields become `google.rpc` details.

use std::{collections::HashMap, time::Duration};

use nodkey_kernel::error::{FieldViolation, Kind, retry_seconds};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The domain of our reasons in `ErrorInfo`.
const DOMAIN: &str = "nodkey";
/// Metadata key of an `ErrorInfo` for the kind: there are fewer codes than kinds.
pub const KIND: &str = "kind";
/// Metadata key of an `ErrorInfo` for the cause.
pub const CAUSE: &str = "cause";

/// Default retry delay for refusals that may soon pass.
const SOON: Duration = Duration::from_secs(1);

/// Builds the status of a refusal from a reason, and one of its causes where it has several.
#[must_use]
pub fn refusal(
    kind: Kind,
    (reason, cause): (&str, Option<&str>),
    message: impl Into<String>,
    fields: &[FieldViolation],
    retry_after: Option<Duration>,
) -> Status {
    let metadata = [(KIND, Some(kind.as_str())), (CAUSE, cause)];
    let metadata: HashMap<_, _> = metadata.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
    for violation in fields {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    let passes = matches!(kind, Kind::Exhausted | Kind::Unavailable);
    if let Some(after) = retry_after.or(passes.then_some(SOON)) {
        details.set_retry_info(Some(Duration::from_secs(retry_seconds(after))));
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
