//! `traceparent` in headers, events and rows (W3C Trace Context, level 2).

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::{SpanContext, TraceContextExt as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The name of the header.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

static PROPAGATOR: LazyLock<TraceContextPropagator> = LazyLock::new(TraceContextPropagator::new);

/// The trace that a request's headers name, if they name one. Who sent them may have chosen it.
#[must_use]
pub fn of_headers(headers: &HeaderMap) -> Option<SpanContext> {
    of_traceparent(headers.get(TRACEPARENT)?.to_str().ok()?)
}

/// The trace that a `traceparent` names; `None` if it is invalid.
#[must_use]
pub fn of_traceparent(text: &str) -> Option<SpanContext> {
    let context = PROPAGATOR.extract_with_context(&Context::new(), &Only(text));
    Some(context.span().span_context().clone()).filter(SpanContext::is_valid)
}

/// The `traceparent` of the current context; `None` outside of any trace.
#[must_use]
pub fn traceparent() -> Option<String> {
    let mut text = Taken(None);
    PROPAGATOR.inject(&mut text);
    text.0
}

/// Names the current trace in the headers of a request that is sent on.
pub fn inject(headers: &mut HeaderMap) {
    if let Some(value) = traceparent().and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(TRACEPARENT, value);
    }
}

/// `traceparent` alone: `tracestate` belongs to tracing systems that are not known here.
struct Only<'a>(&'a str);

impl Extractor for Only<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

struct Taken(Option<String>);

impl Injector for Taken {
    fn set(&mut self, key: &str, value: String) {
        if key == TRACEPARENT {
            self.0 = Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::within;

    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_passed_on_names_the_same_trace_and_invalid_ones_name_none() {
        let sent = of_traceparent(SENT).unwrap();
        let mut headers = HeaderMap::new();
        inject(&mut headers);
        assert!(headers.is_empty() && traceparent().is_none(), "there is no trace here");
        let _guard = within(sent.clone()).attach();
        inject(&mut headers);
        assert_eq!(headers[TRACEPARENT], SENT);
        assert_eq!(of_headers(&headers), Some(sent));
        for invalid in
            ["", "00-0-0-00", "00-00000000000000000000000000000000-0000000000000001-01", &SENT.to_uppercase(), &format!("ff{}", &SENT[2..])]
        {
            assert_eq!(of_traceparent(invalid), None, "{invalid}");
        }
    }
}
