//! Metrics of use cases: rows that contradict themselves, and decisions that came too late.

use nodkey_metrics::{Counter, List, OpenCounter};

pub(super) static CHECKS_OUTDATED: Counter = Counter::new(
    "nodkey_checks_outdated_total",
    &[],
    "Checks with other services that were too old when their result was used, and had to be repeated.",
);

pub(super) static ROWS_UNREADABLE: OpenCounter<1> =
    OpenCounter::new("nodkey_rows_unreadable_total", ["table"], "Rows that could not be read and were left out.");

pub(super) static INVARIANT_VIOLATIONS: OpenCounter<2> = OpenCounter::new(
    "nodkey_invariant_violations_total",
    ["service", "invariant"],
    "Rows that contradict themselves, and are not processed.",
);

/// The metrics of this module.
pub(crate) static METRICS: List = &[&CHECKS_OUTDATED, &ROWS_UNREADABLE, &INVARIANT_VIOLATIONS];
