//! Metrics of the gateway.

use nodkey_kernel::{named, service_key::ServiceName};
use nodkey_metrics::{Counter, Gauge, Histogram, List, OpenCounter, OpenHistogram, WAITS, WORK, labels};

named! {
    /// Who waits.
    pub enum Waiter {
        /// A phone, for its requests.
        Phone = "phone",
        /// A backend, for results.
        Backend = "backend",
        /// An operator, in the console.
        Operator = "operator",
        /// A browser, for its code to be scanned.
        Anonymous = "anonymous",
    }
}

named! {
    /// The limit that refused a wait.
    pub enum WaitLimit {
        /// That of all waits.
        All = "all",
        /// That of callers without a credential.
        Anonymous = "anonymous",
        /// That of an address.
        Address = "address",
        /// That of a relying party.
        Party = "party",
        /// That of an operator's session.
        Session = "session",
    }
}

named! {
    /// Why a gRPC call was refused before a service responded.
    pub enum GrpcRefusal {
        /// The caller is not authenticated.
        Credentials = "credentials",
        /// The caller exceeds a rate.
        Rate = "rate",
        /// There is too much load.
        Overload = "overload",
        /// The relying party holds as much as it may.
        Share = "share",
        /// The message is too large.
        Large = "large",
        /// The message did not arrive, or not in time.
        Body = "body",
        /// The service cannot be reached.
        Service = "service",
        /// There is no such method for this caller.
        Unknown = "unknown",
        /// A fault of the gateway.
        Internal = "internal",
    }
}

labels!(Waiter, WaitLimit, GrpcRefusal);

pub static HTTP_REQUESTS: OpenCounter<3> = OpenCounter::new(
    "nodkey_http_requests_total",
    ["method", "route", "status"],
    "HTTP requests that were answered, by the route's template; other where there is no route.",
);

pub static HTTP_SECONDS: OpenHistogram<2> = OpenHistogram::new(
    "nodkey_http_request_seconds",
    ["method", "route"],
    WORK,
    "Time until the response to an HTTP request is ready, without requests that may wait.",
);

pub static WAITS_HELD: Gauge<Waiter> =
    Gauge::of_none_yet("nodkey_waits", &["of"], "Waits in progress: long polls, event streams, and results waited for over gRPC.");

pub static WAIT_SECONDS: Histogram<Waiter> = Histogram::new("nodkey_wait_seconds", &["of"], WAITS, "How long waits lasted.");

pub static WAITS_REFUSED: Counter<WaitLimit> =
    Counter::new("nodkey_waits_refused_total", &["limit"], "Waits that were refused, by the limit that was reached.");

pub static WAITS_REPLACED: Counter =
    Counter::new("nodkey_waits_replaced_total", &[], "Waits that were ended by a newer one of the same device.");

pub static WAITING_PHONES: Gauge = Gauge::of_none_yet("nodkey_waiting_phones", &[], "Phones that wait for requests.");

pub static WAKES_MADE_UP: Counter =
    Counter::new("nodkey_wakes_made_up_total", &[], "Waiting callers that were woken by the poll, because no wake had reached them.");

pub static STRANGERS_REFUSED: Counter = Counter::new(
    "nodkey_strangers_refused_total",
    &[],
    "Requests with invented devices, credentials or sessions that were refused because of their address.",
);

pub static REGISTRATIONS_REFUSED: Counter =
    Counter::new("nodkey_registrations_refused_total", &[], "Registrations of devices that were refused because of their address.");

pub static UNNAMED_PROXY: Gauge = Gauge::of_none_yet(
    "nodkey_unnamed_proxy",
    &[],
    "1 once requests came through a proxy while address_header is not set, so that nothing is limited by address.",
);

pub static SIGNATURE_TOLERANCES: OpenCounter<1> =
    OpenCounter::new("nodkey_signature_tolerances_total", ["fault"], "Requests of old clients that were accepted in spite of a fault.");

pub static GRPC_FORWARDED: Counter<ServiceName> =
    Counter::new("nodkey_grpc_forwarded_total", &["service"], "gRPC calls that were forwarded to a service.");

pub static GRPC_REFUSED: Counter<GrpcRefusal> =
    Counter::new("nodkey_grpc_refused_total", &["why"], "gRPC calls that were refused before a service responded.");

pub static GRPC_STREAMS: Gauge =
    Gauge::of_none_yet("nodkey_grpc_streams", &[], "Streams from services that are held for callers over gRPC.");

/// The metrics of this service.
pub static METRICS: List = &[
    &HTTP_REQUESTS,
    &HTTP_SECONDS,
    &WAITS_HELD,
    &WAIT_SECONDS,
    &WAITS_REFUSED,
    &WAITS_REPLACED,
    &WAITING_PHONES,
    &WAKES_MADE_UP,
    &STRANGERS_REFUSED,
    &REGISTRATIONS_REFUSED,
    &UNNAMED_PROXY,
    &SIGNATURE_TOLERANCES,
    &GRPC_FORWARDED,
    &GRPC_REFUSED,
    &GRPC_STREAMS,
];
