//! The spans of events (OpenTelemetry's semantic conventions for messaging).

use std::borrow::Cow;

use nodkey_db::Message;
use nodkey_trace::{Following, KeyValue, SpanKind, TRACEPARENT, attribute, of_traceparent};

use crate::bus::Bus;

/// The name and the attributes of the span of an event that is sent or handled. The kind of event is named, and not what it is about.
fn described(bus: &Bus, message: &Message, name: &'static str, operation: &'static str) -> (Cow<'static, str>, Vec<KeyValue>) {
    let event = message.headers.get("ce-type").cloned().unwrap_or_default();
    let system = if matches!(bus, Bus::Memory(_)) { "memory" } else { "nats" };
    let attributes = vec![
        KeyValue::new(attribute::MESSAGING_SYSTEM, system),
        KeyValue::new(attribute::MESSAGING_OPERATION_NAME, name),
        KeyValue::new(attribute::MESSAGING_OPERATION_TYPE, operation),
        KeyValue::new(attribute::MESSAGING_DESTINATION_NAME, event.clone()),
        KeyValue::new(attribute::MESSAGING_MESSAGE_ID, message.id.to_string()),
    ];
    (format!("{name} {event}").into(), attributes)
}

/// The `traceparent` of what caused an event.
fn cause(message: &Message) -> Option<&str> {
    message.headers.get(TRACEPARENT.as_str()).map(String::as_str)
}

/// Starts the span of an event that is sent, and names it as the cause of what consumers do.
pub(crate) fn sending(bus: &Bus, message: &mut Message) -> Following {
    let span = Following::from(cause(message), SpanKind::Producer, || None);
    span.describe(|| described(bus, message, "publish", "send"));
    message.headers.extend(span.traceparent().map(|text| (TRACEPARENT.to_string(), text)));
    span
}

/// Starts the span of an event that is handled, linked to the one that sent it.
pub(crate) fn handling(bus: &Bus, consumer: &'static str, message: &Message) -> Following {
    let cause = cause(message);
    let span = Following::from(cause, SpanKind::Consumer, || cause.and_then(of_traceparent));
    span.describe(|| {
        let (name, mut attributes) = described(bus, message, "process", "process");
        attributes.push(KeyValue::new(attribute::MESSAGING_CONSUMER_GROUP_NAME, consumer));
        (name, attributes)
    });
    span
}
