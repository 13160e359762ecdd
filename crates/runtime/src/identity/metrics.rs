//! Metrics of callers: who is refused, what operators do, and who still uses keys of earlier versions.

use nodkey_kernel::{named, service_key::ServiceName};
use nodkey_metrics::{Counter, List, OpenCounter, labels};

named! {
    /// How an operator's action ended.
    pub(super) enum ActionOutcome {
        /// It was done.
        Ok = "ok",
        /// It was refused, or failed.
        Refused = "refused",
    }
}

labels!(ActionOutcome);

pub(super) static OPERATOR_ACTIONS: Counter<ActionOutcome> =
    Counter::new("nodkey_operator_actions_total", &["outcome"], "Actions of operators, as they are in the audit log.");

pub(super) static UNAUTHENTICATED: OpenCounter<2> =
    OpenCounter::new("nodkey_unauthenticated_total", ["scheme", "reason"], "Calls whose caller could not be authenticated.");

pub(super) static INTERNAL_KEY_CALLS: Counter<ServiceName> = Counter::new(
    "nodkey_internal_key_calls_total",
    &["caller"],
    "Calls of services that still sign with the internal key of earlier versions.",
);

pub(super) static SYMMETRIC_OPERATOR_KEY_CALLS: Counter = Counter::new(
    "nodkey_symmetric_operator_key_calls_total",
    &[],
    "Calls of operators who still sign with a symmetric key of earlier versions.",
);

/// The metrics of this module.
pub(crate) static METRICS: List = &[&OPERATOR_ACTIONS, &UNAUTHENTICATED, &INTERNAL_KEY_CALLS, &SYMMETRIC_OPERATOR_KEY_CALLS];
