//! What is tried again, and when.

use std::time::Duration;

use nodkey_kernel::random::Random;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// How often in a row a wait that was cut off is begun again.
pub(crate) const RECONNECTS: u32 = 30;
/// A stream that lasted so long did not fail to begin: what comes after it is no failure in a row.
pub(crate) const LASTED: Duration = Duration::from_mins(1);

/// Full jitter around 100 ms, doubling.
pub(crate) fn backoff(random: &Random, attempt: u32) -> Duration {
    Duration::from_millis(u64::from(50 + random.below(100 << attempt.min(5))))
}

/// Whether the connection broke, or the server is away: a server of ours that fails says why.
pub(crate) fn is_broken(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::Cancelled => true,
        Code::Unknown | Code::Internal => status.get_error_details().error_info().is_none(),
        _ => false,
    }
}

/// What a stream says that just ended: nobody is told how it ends.
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
