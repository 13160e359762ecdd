//! The tracer of this process.

use std::sync::OnceLock;

use opentelemetry::{InstrumentationScope, trace::TracerProvider as _};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Exports the spans of this process through `provider`. Call it before the first request: afterwards it has no effect.
pub fn install(provider: &SdkTracerProvider) {
    let _ = TRACER.set(of(provider));
}

/// The tracer. Without [`install`] it samples nothing, and still gives every trace an id.
pub(crate) fn tracer() -> &'static SdkTracer {
    TRACER.get_or_init(|| of(&SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build()))
}

fn of(provider: &SdkTracerProvider) -> SdkTracer {
    provider.tracer_with_scope(InstrumentationScope::builder("nodkey").with_version(env!("CARGO_PKG_VERSION")).build())
}
