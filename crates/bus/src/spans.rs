//! The spans of events (OpenTelemetry's semantic conventions for messaging).

use std::borrow::Cow;

use nodkey_db::Message;
use nodkey_trace::{Context, KeyValue, Root, SpanKind, attribute, of_traceparent};

use crate::bus::Bus;

/// The name and the attributes of the span of an event that is sent or handled. The kind of event is named, and not what it is about.
pub(crate) fn described(bus: &Bus, message: &Message, name: &'static str, operation: &'static str) -> (Cow<'static, str>, Vec<KeyValue>) {
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

/// An event that is handled, in the trace of what caused it.
pub(crate) struct Handling(Option<Root>);

impl Handling {
    /// Starts its span, where the trace is sampled.
    pub(crate) fn of(bus: &Bus, consumer: &'static str, message: &Message) -> Self {
        let cause = message.headers.get("traceparent").and_then(|text| of_traceparent(text));
        let root = cause.map(|cause| Root::following(cause.clone(), SpanKind::Consumer, Some(cause)));
        if let Some(root) = &root {
            root.describe(|| {
                let (name, mut attributes) = described(bus, message, "process", "process");
                attributes.push(KeyValue::new(attribute::MESSAGING_CONSUMER_GROUP_NAME, consumer));
                (name, attributes)
            });
        }
        Self(root)
    }

    /// The context to work in.
    pub(crate) fn context(&self) -> Context {
        self.0.as_ref().map_or_else(Context::new, Root::context)
    }

    /// Says that it failed.
    pub(crate) fn fail(&self, error_type: &'static str) {
        if let Some(root) = &self.0 {
            root.fail(error_type);
        }
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        if let Some(root) = self.0.take() {
            root.end();
        }
    }
}
