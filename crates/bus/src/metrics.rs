//! Metrics of the bus, the relay and the consumers.

use nodkey_metrics::{Gauge, List, OpenCounter, OpenGauge};

/// Whether this process is connected to NATS.
pub(crate) static CONNECTED: Gauge =
    Gauge::new("nodkey_bus_connected", &[], "1 while this process is connected to NATS, else 0. In one process always 1.");

/// Events that wait in the outbox.
pub(crate) static OUTBOX_DEPTH: OpenGauge<1> =
    OpenGauge::new("nodkey_outbox_depth", ["service"], "Events in the outbox that the bus has not accepted.");

/// Age of the oldest event in the outbox.
pub(crate) static OUTBOX_OLDEST: OpenGauge<1> =
    OpenGauge::new("nodkey_outbox_oldest_seconds", ["service"], "Age of the oldest event in the outbox; 0 when there is none.");

/// Events that can never be published.
pub(crate) static UNPUBLISHABLE: OpenCounter<1> = OpenCounter::new(
    "nodkey_outbox_unpublishable_total",
    ["service"],
    "Events that can never be published and became dead letters of the service's relay.",
);

/// Events that the bus accepted.
pub(crate) static PUBLISHED: OpenCounter<1> = OpenCounter::new("nodkey_events_published_total", ["type"], "Events that the bus accepted.");

/// Events that consumers handled.
pub(crate) static CONSUMED: OpenCounter<2> =
    OpenCounter::new("nodkey_events_consumed_total", ["consumer", "outcome"], "Events that a consumer handled, by outcome.");

/// Dead letters that operators replayed or dropped.
pub(crate) static LETTERS: OpenCounter<2> = OpenCounter::new(
    "nodkey_dead_letters_handled_total",
    ["consumer", "outcome"],
    "Dead letters that an operator replayed or dropped, by outcome.",
);

/// For how long an event has been failing.
pub(crate) static RETRYING: OpenGauge<1> = OpenGauge::new(
    "nodkey_consumer_retrying_seconds",
    ["consumer"],
    "For how long an event of this consumer has been failing; 0 when none is.",
);

/// Events that a consumer has still to handle.
pub(crate) static PENDING: OpenGauge<1> =
    OpenGauge::new("nodkey_consumer_pending", ["consumer"], "Events that this consumer has not handled yet.");

/// Age of the oldest event that a consumer has still to handle.
pub(crate) static OLDEST: OpenGauge<1> = OpenGauge::new(
    "nodkey_consumer_oldest_seconds",
    ["consumer"],
    "Age of the oldest event that this consumer has not handled, as the publishing service finds it; 0 when there is none.",
);

/// The metrics of this crate.
pub static METRICS: List =
    &[&CONNECTED, &OUTBOX_DEPTH, &OUTBOX_OLDEST, &UNPUBLISHABLE, &PUBLISHED, &CONSUMED, &LETTERS, &RETRYING, &PENDING, &OLDEST];
