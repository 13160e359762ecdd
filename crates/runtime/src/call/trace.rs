//! Trace of the request that a piece of work belongs to (W3C Trace Context).

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use http::{HeaderValue, Method};
use nodkey_kernel::{random::Random, trace::TraceContext};
use tracing::{Instrument as _, Span, info_span};

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// The name of the header.
pub const HEADER: &str = "traceparent";

/// The trace of the request being served.
#[must_use]
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|context| *context).ok()
}

/// Continues the trace a request carries, or starts one.
pub async fn middleware(request: Request, next: Next) -> Response {
    let scope = Scope::of(&request);
    scope.run(next.run(request)).await
}

/// The trace of a request, for the code that answers it.
#[derive(Debug)]
pub struct Scope {
    context: TraceContext,
    span: Span,
}

impl Scope {
    /// Continues the request's trace, or starts one.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let random = Random::system();
        let parent = request.headers().get(HEADER).and_then(|value| value.to_str().ok()?.parse::<TraceContext>().ok());
        let context = parent.map_or_else(|| TraceContext::new_root(&random), |parent| parent.child(&random));
        let span = info_span!("request", method = method(request.method()), path = path(request), trace_id = tracing::field::Empty);
        span.record("trace_id", id(&context));
        Self { context, span }
    }

    /// The trace context of this request.
    #[must_use]
    pub const fn context(&self) -> &TraceContext {
        &self.context
    }

    /// Runs the future that answers the request within the trace.
    pub fn run<T>(self, answer: impl Future<Output = T>) -> impl Future<Output = T> {
        CURRENT.scope(self.context, answer.instrument(self.span))
    }
}

/// A method for use in labels and logs: one of the nine of HTTP, or `other`, because a client can invent any.
#[must_use]
pub const fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => "other",
    }
}

fn path(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or("", |route| logged(route.as_str(), request.uri().path()))
}

/// The part of a path that may be logged: the route without its parameters, which may name a user; for gRPC, service and method.
fn logged<'a>(route: &'a str, path: &'a str) -> &'a str {
    let grpc = route.starts_with("/nodkey.") || route.starts_with("/grpc.");
    if grpc { path } else { route }
}

/// Puts the current trace on an outgoing request.
pub fn inject(headers: &mut http::HeaderMap) {
    if let Some(value) = current().and_then(|context| HeaderValue::try_from(context.to_string()).ok()) {
        headers.insert(HEADER, value);
    }
}

/// Runs a use case in its own task, so that a client that disconnects cannot interrupt it. The trace is kept.
///
/// # Panics
/// If the use case panics.
pub async fn uninterrupted<F>(work: F) -> F::Output
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let work = work.instrument(Span::current());
    let task = match current() {
        Some(context) => tokio::spawn(CURRENT.scope(context, work)),
        None => tokio::spawn(work),
    };
    match task.await {
        Ok(output) => output,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// The id of a request's trace: 32 hex digits.
#[must_use]
pub fn id(context: &TraceContext) -> String {
    context.to_string().split('-').nth(1).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_methods_are_one() {
        for name in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"] {
            assert_eq!(method(&name.parse().unwrap()), name);
        }
        assert_eq!(["BREW", "get", "GETX"].map(|name| method(&name.parse().unwrap())), ["other"; 3]);
    }

    #[test]
    fn methods_are_logged_and_what_parameters_hold_is_not() {
        let method = "/nodkey.registry.v1.SigningKeyService/GetJwks";
        assert_eq!(logged("/nodkey.registry.v1.SigningKeyService/{*rest}", method), method);
        assert_eq!(logged("/console/{*view}", "/console/users/ada"), "/console/{*view}");
        assert_eq!(logged("/api/v2/users/{id}", "/api/v2/users/ada"), "/api/v2/users/{id}");
    }
}
