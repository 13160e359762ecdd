//! Errors as gRPC statuses and back, in one place.

use std::time::Duration;

use nodkey_kernel::error::{Classify, FieldViolation, Kind, chain};
pub use nodkey_proto::refusal::code;
use nodkey_proto::refusal::{CAUSE, KIND, refusal};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tracing::{debug, error, warn};

/// Converts an error to a status. An internal error is logged here with its causes, and callers get only its reason.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn status<E: Classify>(error: E) -> Status {
    let kind = error.kind();
    let message = match kind {
        Kind::Internal => {
            error!(reason = error.reason(), cause = chain(&error), "request failed");
            "something went wrong on our side; it is logged".to_owned()
        }
        Kind::Unavailable => {
            error!(reason = error.reason(), cause = chain(&error), "dependency unavailable");
            "a required service is unavailable; try again soon".to_owned()
        }
        _ => {
            debug!(reason = error.reason(), cause = chain(&error), "request refused");
            error.to_string()
        }
    };
    let reason = (error.reason(), error.cause_code());
    refusal(kind, reason, message, &error.field_violations(), error.retry_after())
}

/// Builds a status.
#[must_use]
pub fn new(kind: Kind, reason: &str, message: impl Into<String>, fields: &[FieldViolation]) -> Status {
    refusal(kind, (reason, None), message, fields, None)
}

/// Builds the status of a request refused by a limit or an outage, with the delay after which the same request may succeed.
#[must_use]
pub fn later(kind: Kind, reason: &str, message: impl Into<String>, retry_after: Duration) -> Status {
    refusal(kind, (reason, None), message, &[], Some(retry_after))
}

/// The message for a service that did not answer. Libraries mention addresses and operating system error numbers, which belong in the log
/// only.
pub fn away(status: &Status) -> String {
    warn!(code = ?status.code(), cause = status.message(), "a service did not answer");
    "a service could not be reached or took too long; try again soon".to_owned()
}

/// Whether the same call may succeed a little later: the service is unreachable, or the connection broke. A service of ours that fails says
/// why.
#[must_use]
pub fn is_passing(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded => true,
        Code::Unknown | Code::Internal => status.get_error_details().error_info().is_none(),
        _ => false,
    }
}

/// An error from another service, parsed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct PeerError {
    kind: Kind,
    reason: &'static str,
    cause: Option<&'static str>,
    message: String,
    fields: Vec<FieldViolation>,
    retry_after: Option<Duration>,
}

impl PeerError {
    /// The reason that the other service gave.
    #[must_use]
    pub const fn reason_text(&self) -> &'static str {
        self.reason
    }
}

impl From<Status> for PeerError {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let kind = info.and_then(|i| Kind::parse(i.metadata.get(KIND)?)).unwrap_or(match status.code() {
            Code::InvalidArgument | Code::OutOfRange => Kind::Invalid,
            Code::Unauthenticated => Kind::Unauthenticated,
            Code::PermissionDenied => Kind::Forbidden,
            Code::NotFound => Kind::NotFound,
            Code::AlreadyExists | Code::Aborted => Kind::Conflict,
            Code::FailedPrecondition => Kind::Precondition,
            Code::ResourceExhausted => Kind::Exhausted,
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Kind::Unavailable,
            _ => Kind::Internal,
        });
        let fields = details
            .bad_request()
            .map(|bad| bad.field_violations.iter().map(|v| FieldViolation::new(&v.field, &v.description)).collect())
            .unwrap_or_default();
        let reason = info.map_or_else(|| kind.as_str(), |i| intern(&i.reason));
        let retry_after = details.retry_info().and_then(|info| info.retry_delay);
        let cause = info.and_then(|info| info.metadata.get(CAUSE)).map(|cause| intern(cause));
        let message = if info.is_none() && kind == Kind::Unavailable { away(&status) } else { status.message().to_owned() };
        Self { kind, reason, cause, message, fields, retry_after }
    }
}

impl Classify for PeerError {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn reason(&self) -> &'static str {
        self.reason
    }

    fn cause_code(&self) -> Option<&'static str> {
        self.cause
    }

    fn field_violations(&self) -> Vec<FieldViolation> {
        self.fields.clone()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// Reasons and causes are a small closed set of ours, so keeping each once is bounded. Unknown ones from elsewhere are limited to 256.
fn intern(name: &str) -> &'static str {
    use std::sync::{Mutex, PoisonError};
    static KNOWN: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(same) = known.iter().find(|k| **k == name) {
        return same;
    }
    if known.len() >= 256 {
        return "UNKNOWN";
    }
    let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
    known.push(kept);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_way_over_grpc_with_reason_cause_and_fields() {
        for kind in Kind::ALL {
            let fields = [FieldViolation::new("name", "must not be blank")];
            for (after, cause) in [(None, Some("some_cause")), (Some(Duration::from_millis(1_500)), None)] {
                let error = PeerError::from(refusal(kind, ("SOME_REASON", cause), "text", &fields, after));
                assert_eq!((error.kind(), error.reason(), error.cause_code()), (kind, "SOME_REASON", cause));
                assert_eq!(error.field_violations(), fields.to_vec());
            }
        }
    }

    #[test]
    fn whatever_passes_says_after_how_many_whole_seconds() {
        let told = |kind, after| PeerError::from(refusal(kind, ("SOME_REASON", None), "text", &[], after)).retry_after();
        let seconds = |n| Some(Duration::from_secs(n));
        for kind in Kind::ALL {
            let soon = matches!(kind, Kind::Exhausted | Kind::Unavailable).then_some(Duration::from_secs(1));
            assert_eq!(told(kind, None), soon, "{kind:?}");
            assert_eq!(told(kind, Some(Duration::ZERO)), seconds(1), "{kind:?}");
            assert_eq!(told(kind, Some(Duration::from_millis(1_500))), seconds(2), "{kind:?}");
        }
    }

    #[test]
    fn what_is_away_or_broke_passes_and_what_a_service_says_does_not() {
        for passing in [Code::Unavailable, Code::Cancelled, Code::DeadlineExceeded, Code::Unknown, Code::Internal] {
            assert!(is_passing(&Status::new(passing, "")), "{passing:?}");
        }
        assert!(is_passing(&new(Kind::Unavailable, "DATABASE_UNAVAILABLE", "", &[])));
        for lasting in [Kind::Internal, Kind::Exhausted, Kind::NotFound, Kind::Forbidden] {
            assert!(!is_passing(&new(lasting, "SOME_REASON", "", &[])), "{lasting:?}");
        }
    }

    #[test]
    fn a_status_of_a_stranger_has_the_kind_of_its_code() {
        assert_eq!(PeerError::from(Status::deadline_exceeded("")).kind(), Kind::Unavailable);
        assert_eq!(PeerError::from(Status::not_found("")).kind(), Kind::NotFound);
        let refused = PeerError::from(Status::unavailable("tcp connect error: Connection refused (os error 111)"));
        assert_eq!(refused.to_string(), "a service could not be reached or took too long; try again soon");
        let own = PeerError::from(new(Kind::Unavailable, "RACED", "others kept changing it", &[]));
        assert_eq!(own.to_string(), "others kept changing it");
    }
}
