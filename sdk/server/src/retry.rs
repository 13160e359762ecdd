//! Retry policy.

use std::time::Duration;

use nodkey_kernel::random::Random;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Maximum number of times in a row that an interrupted wait is restarted.
pub(crate) const RECONNECTS: u32 = 30;
/// A stream that lasted this long began successfully: a failure after it is not one in a row.
pub(crate) const LASTED: Duration = Duration::from_mins(1);

/// Full jitter around 100 ms, doubling.
pub(crate) fn backoff(random: &Random, attempt: u32) -> Duration {
    Duration::from_millis(u64::from(50 + random.below(100 << attempt.min(5))))
}

/// Whether the connection broke or the server is unreachable: a server of ours that fails says why.
pub(crate) fn is_broken(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::Cancelled => true,
        Code::Unknown | Code::Internal => status.get_error_details().error_info().is_none(),
        _ => false,
    }
}

/// The status of a stream that ended early; it is not shown to callers.
pub(crate) fn ended_early() -> Status {
    Status::unavailable("the stream ended before the result came")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn what_breaks_in_transport_is_tried_again_and_what_a_server_says_is_not() {
        for broken in [Code::Unavailable, Code::Cancelled, Code::Unknown, Code::Internal] {
            assert!(is_broken(&Status::new(broken, "h2 protocol error")), "{broken:?}");
        }
        let said = ErrorDetails::with_error_info("INTERNAL", "nodkey", HashMap::new());
        assert!(!is_broken(&Status::with_error_details(Code::Internal, "", said)));
        for said in [Code::NotFound, Code::Unauthenticated, Code::PermissionDenied, Code::Unimplemented, Code::InvalidArgument] {
            assert!(!is_broken(&Status::new(said, "")), "{said:?}");
        }
    }
}
