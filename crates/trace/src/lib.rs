//! Traces: W3C Trace Context between processes, and OpenTelemetry spans.
//!
//! Every request, event and delivery runs in a [`Context`], which names its trace and goes with every call, event and log line, whether the
//! trace is sampled or not. Spans within a process exist only where it is: everything else costs nothing.

mod propagation;
mod span;
mod tracer;

pub use opentelemetry::{
    Context, KeyValue,
    trace::{FutureExt, SpanContext, SpanKind},
};
pub use opentelemetry_semantic_conventions::attribute;

pub use self::{
    propagation::{TRACEPARENT, inject, of_headers, of_traceparent, traceparent},
    span::{Child, Following, Root, child, current, is_sampled, now, trace_id, within},
    tracer::install,
};
