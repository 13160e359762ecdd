//! Metrics of calls: admission, refusals, connections to other services, and gRPC as it is served.

use nodkey_kernel::{named, service_key::ServiceName};
use nodkey_metrics::{Counter, Gauge, Histogram, List, OpenCounter, OpenHistogram, WORK, labels};

use super::{class::Class, refusal::Refusal};

named! {
    /// Whether something that was tried succeeded.
    pub(super) enum Outcome {
        /// It did.
        Ok = "ok",
        /// It did not.
        Failed = "failed",
    }
}

labels!(Outcome);

pub(super) static ADMISSION_LIMIT: Gauge = Gauge::new(
    "nodkey_admission_limit",
    &[],
    "How many requests are worked on at a time before more are refused. It follows response times.",
);

pub(super) static SERVED: Histogram<Class> =
    Histogram::new("nodkey_served_seconds", &["class"], WORK, "Time from admission until the response is ready, without calls that wait.");

pub(super) static REFUSED: Counter<Refusal> =
    Counter::new("nodkey_refused_total", &["kind"], "What was refused because of load, or of a limit against floods.");

pub(super) static PEER_CALLS: Counter<(ServiceName, Outcome)> = Counter::new(
    "nodkey_peer_calls_total",
    &["peer", "outcome"],
    "Calls to another service; failed are those that no response arrived to.",
);

pub(super) static PEER_CALLS_REPEATED: Counter<ServiceName> =
    Counter::new("nodkey_peer_calls_repeated_total", &["peer"], "Calls to another service that were sent again on another connection.");

pub(super) static PEER_CONNECTIONS: Gauge<ServiceName> =
    Gauge::new("nodkey_peer_connections", &["peer"], "Open connections to another service.");

pub(super) static PEER_CONNECTIONS_OPENED: Counter<(ServiceName, Outcome)> = Counter::new(
    "nodkey_peer_connections_opened_total",
    &["peer", "outcome"],
    "Connections to another service that were opened, or could not be.",
);

pub(crate) static GRPC_REQUESTS: OpenCounter<2> =
    OpenCounter::new("nodkey_grpc_requests_total", ["method", "code"], "gRPC calls that were served, by the code of their status.");

pub(crate) static GRPC_SECONDS: OpenHistogram<1> = OpenHistogram::new(
    "nodkey_grpc_request_seconds",
    ["method"],
    WORK,
    "Time until the response to a gRPC call is complete, without calls that wait or stream.",
);

/// The metrics of this module.
pub(crate) static METRICS: List = &[
    &ADMISSION_LIMIT,
    &SERVED,
    &REFUSED,
    &PEER_CALLS,
    &PEER_CALLS_REPEATED,
    &PEER_CONNECTIONS,
    &PEER_CONNECTIONS_OPENED,
    &GRPC_REQUESTS,
    &GRPC_SECONDS,
];
