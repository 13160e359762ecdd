//! The trace of the request that a piece of work belongs to (W3C Trace Context), and its span (OpenTelemetry).
//!
//! Anyone can name a trace. A request continues the trace that its headers name once its sender is authenticated as a service, a backend or
//! an operator. The trace of any other request is its own, with a link to the one that was named.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use http::{Extensions, HeaderMap, Method, header::AUTHORIZATION};
use nodkey_proto::{code::code_name, reflect};
use nodkey_trace::{Child, Context, FutureExt as _, KeyValue, Root, SpanContext, SpanKind, attribute, child};
use tonic::{Code, Status};
use tracing::{Instrument as _, Span, info_span};

/// A request of this process, from its head to the head of its response. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Arrival(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: SystemTime,
    /// The trace that its headers name.
    named: Option<SpanContext>,
    root: OnceLock<Root>,
    span: Span,
    method: &'static str,
    route: String,
}

impl Arrival {
    /// Takes note of a request. Its trace begins here, unless it names one that it may turn out to continue.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let (method, route) = (method(request.method()), path(request));
        let span = info_span!("request", method, path = route, trace_id = tracing::field::Empty);
        let named = nodkey_trace::of_headers(request.headers());
        let arrival =
            Self(Arc::new(Inner { started: nodkey_trace::now(), named, root: OnceLock::new(), span, method, route: route.to_owned() }));
        if arrival.0.named.is_none() || !may_be_authenticated(request.headers()) {
            arrival.begin(false);
        }
        arrival
    }

    /// Runs the future that answers the request.
    pub async fn run<T>(&self, answer: impl Future<Output = T>) -> T {
        let answer = answer.instrument(self.0.span.clone());
        match self.0.root.get() {
            Some(root) => answer.with_context(root.context()).await,
            None => answer.await,
        }
    }

    /// Runs the rest of the answer, once it is known whether the sender is authenticated: in the trace that the headers name, or in one of
    /// its own.
    pub async fn go_on<T>(noted: Option<Self>, is_authenticated: bool, answer: impl Future<Output = T>) -> T {
        match noted {
            Some(noted) => answer.with_context(noted.begin(is_authenticated).context()).await,
            // A router without the layer that takes note of requests.
            None => answer.await,
        }
    }

    /// What was noted of a request with these extensions.
    #[must_use]
    pub fn noted(extensions: &Extensions) -> Option<Self> {
        extensions.get().cloned()
    }

    /// Gives it a trace of its own, unless it has one.
    pub fn settle(&self) {
        self.begin(false);
    }

    /// Decides which trace the request belongs to, unless that is decided.
    fn begin(&self, is_trusted: bool) -> &Root {
        let Inner { started, named, root, span, method, route } = &*self.0;
        root.get_or_init(|| {
            let root = match named {
                Some(named) if is_trusted => Root::continuing(named.clone(), SpanKind::Server, *started, None),
                named => Root::new(SpanKind::Server, *started, named.clone()),
            };
            // At once, for a caller may leave before there is an answer.
            root.describe(|| described(method, route));
            span.record("trace_id", root.trace_id());
            root
        })
    }

    /// Its `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        let _guard = self.begin(false).context().attach();
        nodkey_trace::traceparent()
    }

    /// Ends its span.
    pub fn answered(&self, response: &Response) {
        let root = self.begin(false);
        let (status, failure) = if is_grpc(&self.0.route) {
            let failure = failure(response.headers());
            (code_of(&self.0.route, failure), failure.map(Cow::Borrowed))
        } else {
            let status = response.status();
            let failure = status.is_server_error().then(|| status.as_str().to_owned().into());
            (Some(KeyValue::new(attribute::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()))), failure)
        };
        if let Some(status) = status {
            root.set(status);
        }
        if let Some(failure) = failure {
            root.fail(failure);
        }
        root.end();
    }
}

/// Whether a request brings what services, backends and operators authenticate with. Phones bring a proof (RFC 9449).
fn may_be_authenticated(headers: &HeaderMap) -> bool {
    let proof = |value: &[u8]| value.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"DPoP "));
    headers.get(AUTHORIZATION).is_some_and(|value| !proof(value.as_bytes()))
}

/// Traces gRPC calls. Authentication decides what they continue.
pub async fn middleware(mut request: Request, next: Next) -> Response {
    let arrival = Arrival::of(&request);
    request.extensions_mut().insert(arrival.clone());
    let response = arrival.run(next.run(request)).await;
    arrival.answered(&response);
    response
}

/// The name and the attributes of a request's span (OpenTelemetry's semantic conventions for HTTP and RPC).
fn described(method: &'static str, route: &str) -> (Cow<'static, str>, Vec<KeyValue>) {
    if is_grpc(route) {
        return rpc(route);
    }
    let attributes = vec![KeyValue::new(attribute::HTTP_REQUEST_METHOD, method), KeyValue::new(attribute::HTTP_ROUTE, route.to_owned())];
    (format!("{method} {route}").into(), attributes)
}

/// The name and the attributes of a gRPC call's span, at either end.
fn rpc(path: &str) -> (Cow<'static, str>, Vec<KeyValue>) {
    let method = path.trim_start_matches('/').to_owned();
    (method.clone().into(), vec![KeyValue::new(attribute::RPC_SYSTEM_NAME, "grpc"), KeyValue::new(attribute::RPC_METHOD, method)])
}

/// The code of a call that failed before there was any answer.
fn failure(answer: &HeaderMap) -> Option<&'static str> {
    let code = Status::from_header_map(answer)?.code();
    (code != Code::Ok).then(|| code_name(code))
}

/// The attribute for the code of a call; `None` for a stream that may fail later.
fn code_of(path: &str, failure: Option<&'static str>) -> Option<KeyValue> {
    let streams = || reflect::method(path).is_some_and(|method| method.is_server_streaming());
    let code = failure.or_else(|| (!streams()).then_some("OK"))?;
    Some(KeyValue::new(attribute::RPC_RESPONSE_STATUS_CODE, code))
}

/// A call of another service, in a span of its own where the trace is sampled.
#[derive(Debug)]
pub struct Calling(Option<(Child, String)>);

impl Calling {
    /// Begins, and names the trace in the request.
    #[must_use]
    pub fn begin<B>(request: &mut http::Request<B>) -> Self {
        let span = child(SpanKind::Client, || rpc(request.uri().path()));
        let _guard = span.as_ref().map(|span| span.context().attach());
        nodkey_trace::inject(request.headers_mut());
        Self(span.map(|span| (span, request.uri().path().to_owned())))
    }

    /// Ends with the head of the answer, if there was one.
    pub fn end(self, answer: Option<&HeaderMap>) {
        let Some((mut span, path)) = self.0 else { return };
        let failure = answer.map_or(Some(code_name(Code::Unavailable)), failure);
        if let Some(code) = code_of(&path, failure) {
            span.set(code);
        }
        if let Some(failure) = failure {
            span.fail(failure);
        }
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
    if is_grpc(route) { path } else { route }
}

fn is_grpc(route: &str) -> bool {
    route.starts_with("/nodkey.") || route.starts_with("/grpc.")
}

/// Runs a use case in its own task, so that a client that disconnects cannot interrupt it. The trace is kept.
///
/// # Panics
/// If the use case panics.
pub async fn uninterrupted<F>(work: F) -> F::Output
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    match tokio::spawn(work.instrument(Span::current()).with_context(Context::current())).await {
        Ok(output) => output,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::{Router, middleware::from_fn, routing::get};
    use futures_util::FutureExt as _;
    use opentelemetry_sdk::{
        error::OTelSdkResult,
        trace::{SdkTracerProvider, SpanData, SpanExporter},
    };
    use tower::ServiceExt as _;

    use super::*;

    /// Keeps what is exported.
    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_request_whose_caller_leaves_has_the_name_of_its_route() {
        let kept = Kept::default();
        nodkey_trace::install(&SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build());
        let routes = Router::new().route("/wait/{id}", get(std::future::pending::<()>)).layer(from_fn(middleware));
        let request = Request::get("/wait/nobodys-business").body(axum::body::Body::empty()).unwrap();
        assert!(routes.oneshot(request).now_or_never().is_none(), "it waits");
        let spans = kept.0.lock().unwrap();
        let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
        assert_eq!(names, ["GET /wait/{id}"]);
    }

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
