//! Spans: of what arrives ([`Root`]), and of what is done meanwhile ([`child`]).

use std::{borrow::Cow, time::SystemTime};

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::Span;
use opentelemetry_semantic_conventions::attribute::ERROR_TYPE;

use crate::{
    propagation::{of_traceparent, traceparent},
    tracer::tracer,
};

/// When a span begins. Spans say when something happened on this machine, whatever clock the product goes by.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "telemetry is compared with that of other systems")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// The context of a trace that began elsewhere.
#[must_use]
pub fn within(remote: SpanContext) -> Context {
    Context::new().with_remote_span_context(remote)
}

/// Whether the current trace is sampled.
#[must_use]
pub fn is_sampled() -> bool {
    Context::map_current(|context| context.span().span_context().is_sampled())
}

/// The current trace, to link it; `None` outside of any.
#[must_use]
pub fn current() -> Option<SpanContext> {
    Some(Context::map_current(|context| context.span().span_context().clone())).filter(SpanContext::is_valid)
}

/// The id of the current trace: 32 hex digits; `None` outside of any.
#[must_use]
pub fn trace_id() -> Option<String> {
    Context::map_current(|context| id(context.span().span_context()))
}

fn id(context: &SpanContext) -> Option<String> {
    context.is_valid().then(|| context.trace_id().to_string())
}

/// What arrives at this process, or begins in it: a request, an event, a delivery. It has an id whether it is sampled or not.
#[derive(Debug)]
#[must_use = "work belongs to a trace only if it runs in its context"]
pub struct Root(Context);

impl Root {
    /// Begins a trace of its own, since `started`. `link` names a trace that had to do with it and is not continued.
    pub fn new(kind: SpanKind, started: SystemTime, link: Option<SpanContext>) -> Self {
        Self::start(kind, started, link, &Context::new())
    }

    /// Continues a trace that began elsewhere. `link` names another that had to do with it.
    pub fn continuing(remote: SpanContext, kind: SpanKind, started: SystemTime, link: Option<SpanContext>) -> Self {
        Self::start(kind, started, link, &within(remote))
    }

    fn start(kind: SpanKind, started: SystemTime, link: Option<SpanContext>, parent: &Context) -> Self {
        let links = link.map(Link::with_context).into_iter().collect();
        // Named only if somebody will read it.
        let span = SpanBuilder::from_name("").with_kind(kind).with_start_time(started).with_links(links);
        Self(Context::new().with_span(tracer().build_with_context(span, parent)))
    }

    /// The context to work in.
    #[must_use]
    pub fn context(&self) -> Context {
        self.0.clone()
    }

    /// The id of the trace.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.0.span().span_context().trace_id().to_string()
    }

    /// Names it, and says more, if it is sampled.
    pub fn describe(&self, about: impl FnOnce() -> (Cow<'static, str>, Vec<KeyValue>)) {
        let span = self.0.span();
        if span.is_recording() {
            let (name, attributes) = about();
            span.update_name(name);
            span.set_attributes(attributes);
        }
    }

    /// Adds an attribute, if it is sampled.
    pub fn set(&self, attribute: KeyValue) {
        self.0.span().set_attribute(attribute);
    }

    /// Says that it failed, with a word that has few values.
    pub fn fail(&self, error_type: impl Into<Cow<'static, str>>) {
        let span = self.0.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new(ERROR_TYPE, error_type.into()));
            span.set_status(Status::error(""));
        }
    }

    /// Ends it. Work that goes on in its context still belongs to the trace.
    pub fn end(&self) {
        self.0.span().end();
    }
}

/// What follows from an event or a row, in the trace of what caused that. It ends when it is dropped.
#[derive(Debug)]
pub struct Following(Option<Root>);

impl Following {
    /// Continues the trace that the `traceparent` of the cause names. Where that is not sampled there is no span, and its context goes on as
    /// it is; without a cause, the current one does. `link` finds another trace that had to do with it, and is called where there is a span.
    #[must_use]
    pub fn from(cause: Option<&str>, kind: SpanKind, link: impl FnOnce() -> Option<SpanContext>) -> Self {
        Self(
            cause
                .and_then(of_traceparent)
                .map(|cause| if cause.is_sampled() { Root::continuing(cause, kind, now(), link()) } else { Root(within(cause)) }),
        )
    }

    /// The `traceparent` of its own span; `None` where there is none.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        let root = self.0.as_ref().filter(|root| root.0.span().is_recording())?;
        let _guard = root.context().attach();
        traceparent()
    }

    /// The context to work in.
    #[must_use]
    pub fn context(&self) -> Context {
        self.0.as_ref().map_or_else(Context::current, Root::context)
    }

    /// Names it, and says more, if it is sampled.
    pub fn describe(&self, about: impl FnOnce() -> (Cow<'static, str>, Vec<KeyValue>)) {
        if let Some(root) = &self.0 {
            root.describe(about);
        }
    }

    /// Says that it failed, with a word that has few values.
    pub fn fail(&self, error_type: impl Into<Cow<'static, str>>) {
        if let Some(root) = &self.0 {
            root.fail(error_type);
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(root) = &self.0 {
            root.end();
        }
    }
}

/// A span within the current trace. It ends when it is dropped.
#[derive(Debug)]
pub struct Child(Span);

/// Starts a span within the current trace, if that is sampled.
pub fn child(kind: SpanKind, about: impl FnOnce() -> (Cow<'static, str>, Vec<KeyValue>)) -> Option<Child> {
    is_sampled().then(|| {
        let (name, attributes) = about();
        Child(tracer().build(SpanBuilder::from_name(name).with_kind(kind).with_attributes(attributes)))
    })
}

impl Child {
    /// The context of what is called meanwhile.
    #[must_use]
    pub fn context(&self) -> Context {
        within(self.0.span_context().clone())
    }

    /// Adds an attribute.
    pub fn set(&mut self, attribute: KeyValue) {
        self.0.set_attribute(attribute);
    }

    /// Says that it failed, with a word that has few values.
    pub fn fail(&mut self, error_type: impl Into<Cow<'static, str>>) {
        self.0.set_attribute(KeyValue::new(ERROR_TYPE, error_type.into()));
        self.0.set_status(Status::error(""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::of_traceparent;

    #[test]
    fn work_has_a_trace_without_any_sampling_and_nothing_is_described() {
        let root = Root::new(SpanKind::Server, now(), of_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        root.describe(|| unreachable!("nobody reads it"));
        assert_ne!(root.trace_id(), "0af7651916cd43dd8448eb211c80319c", "a link is not continued");
        let _guard = root.context().attach();
        assert_eq!(trace_id(), Some(root.trace_id()));
        assert!(child(SpanKind::Client, || unreachable!("nobody reads it")).is_none());
    }

    #[test]
    fn a_trace_from_elsewhere_is_continued() {
        let remote = of_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00").unwrap();
        let root = Root::continuing(remote.clone(), SpanKind::Server, now(), None);
        assert_eq!(root.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(root.context().span().span_context().span_id(), remote.span_id());
    }
}
