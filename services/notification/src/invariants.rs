//! Invariants of every row, no matter what wrote it. They are checked when rows are read and before they are written.
//!
//! A violation is an error that names the row, and a metric. It is never a panic, so other rows stay usable.

use nodkey_db::DbError;
use nodkey_runtime::rows::Violation;

use crate::domain::{Delivery, Endpoint, State, Subject};

const SERVICE: &str = "notification";

/// Checks a delivery.
pub fn check_delivery(delivery: &Delivery) -> Result<(), DbError> {
    let check = || {
        Violation::unless(delivery.version >= 1, "version_counts_changes", "version")?;
        let counted = 0 <= delivery.attempts_before && delivery.attempts_before <= delivery.attempt_count;
        Violation::unless(counted, "attempts_count_up", "attempts_before")?;
        let sent = delivery.state != State::Succeeded || delivery.attempt_count > 0;
        Violation::unless(sent, "succeeded_by_an_attempt", "attempt_count")?;
        // A callback gets a result, and only trusonafications have results.
        let addressed = delivery.endpoint.is_some() || matches!(delivery.subject, Subject::Trusonafication(_));
        Violation::unless(addressed, "callbacks_are_about_trusonafications", "subject")
    };
    check().map_err(|violation: Violation| violation.of(SERVICE, "delivery", delivery.id))
}

/// Checks an endpoint.
pub fn check_endpoint(endpoint: &Endpoint) -> Result<(), DbError> {
    let counts = Violation::unless(endpoint.version >= 1, "version_counts_changes", "version");
    counts.map_err(|violation| violation.of(SERVICE, "endpoint", endpoint.id))
}
