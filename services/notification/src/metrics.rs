//! Metrics of webhooks and pushes.

use nodkey_kernel::named;
use nodkey_metrics::{Counter, Gauge, Histogram, List, WORK, labels};

use crate::push::Provider;

named! {
    /// How a delivery attempt ended.
    pub enum AttemptOutcome {
        /// The receiver took it.
        Succeeded = "succeeded",
        /// It did not.
        Failed = "failed",
    }
}

named! {
    /// How a push attempt ended.
    pub enum PushOutcome {
        /// The provider took it.
        Sent = "sent",
        /// The registration is no longer valid.
        Dead = "dead",
        /// It is to be tried again.
        Later = "later",
        /// The provider refused it.
        Refused = "refused",
    }
}

labels!(AttemptOutcome, PushOutcome, Provider);

pub static DELIVERY_ATTEMPTS: Counter<AttemptOutcome> =
    Counter::new("nodkey_delivery_attempts_total", &["outcome"], "Attempts to deliver webhooks.");

pub static DELIVERY_ATTEMPT_SECONDS: Histogram =
    Histogram::new("nodkey_delivery_attempt_seconds", &[], WORK, "How long attempts to deliver webhooks took.");

pub static DELIVERY_FIRST_ATTEMPT_SECONDS: Histogram = Histogram::new(
    "nodkey_delivery_first_attempt_seconds",
    &[],
    WORK,
    "Time from what a webhook reports to the first attempt to deliver it.",
);

pub static PUSH_ATTEMPTS: Counter<(Provider, PushOutcome)> =
    Counter::new("nodkey_push_attempts_total", &["provider", "outcome"], "Attempts to send pushes.");

pub static DELIVERIES_PENDING: Gauge = Gauge::new("nodkey_deliveries_pending", &[], "Deliveries of webhooks that have not ended.");

pub static DELIVERIES_OLDEST: Gauge =
    Gauge::new("nodkey_deliveries_oldest_pending_seconds", &[], "Age of the oldest delivery that has not ended; 0 when there is none.");

pub static PUSHES_PENDING: Gauge = Gauge::new("nodkey_pushes_pending", &[], "Pushes that have not been sent.");

pub static ENDPOINTS_FAILING: Gauge =
    Gauge::new("nodkey_endpoints_failing", &[], "Webhook endpoints that are enabled and fail every attempt.");

/// The metrics of this service.
pub static METRICS: List = &[
    &DELIVERY_ATTEMPTS,
    &DELIVERY_ATTEMPT_SECONDS,
    &DELIVERY_FIRST_ATTEMPT_SECONDS,
    &PUSH_ATTEMPTS,
    &DELIVERIES_PENDING,
    &DELIVERIES_OLDEST,
    &PUSHES_PENDING,
    &ENDPOINTS_FAILING,
];
