//! Layers that every request passes.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts as _, Request, State},
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, CONTENT_ENCODING, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use nodkey_runtime::{
    Deployment,
    admission::{Class, Permit},
    trace::Arrival,
};
use url::{Host, Url};

use crate::{
    body::{ANONYMOUS_BODY, Sender},
    limits::network::Source,
    measured::{Measured, Waiting},
    problem::{Problem, in_json},
    reply::X_REQUEST_ID,
    state::AppState,
    tail::{self, Found, Watched},
};

/// The maximum number of header fields of a request. Each holds memory while the body arrives, however short it is.
const MAX_FIELDS: usize = 64;
/// The maximum length of a caller's request id, in characters.
const MAX_REQUEST_ID: usize = 128;

/// The `Strict-Transport-Security` header (RFC 6797), which makes browsers use TLS alone for a year. Only where this listener has TLS and a
/// public host name: the names of the reader's own machine are shared by everything that runs there, and IP addresses never count.
pub fn strict_transport(deployment: &Deployment) -> Option<HeaderValue> {
    let url = Url::parse(&deployment.public_url).ok()?;
    let named = matches!(url.host(), Some(Host::Domain(name)) if name != "localhost" && !name.ends_with(".localhost"));
    (deployment.serves_tls && url.scheme() == "https" && named).then_some(HeaderValue::from_static("max-age=31536000"))
}

/// What the layer that every request passes knows.
#[derive(Clone, Debug, Default)]
pub struct Common {
    /// The `Strict-Transport-Security` header, where it is sent.
    pub strict_transport: Option<HeaderValue>,
    /// Routes that may wait.
    pub waiting: Waiting,
    /// Who listens to requests, and what is known of credentials. Absent from tests of this layer alone.
    pub state: Option<AppState>,
}

/// Traces and measures the request and sets the request id of the response: the caller's, or the trace id. Forbids caching and content sniffing, and
/// turns every refusal into JSON. One layer, because each layer costs every held connection over a kilobyte.
pub async fn common(State(Common { strict_transport, waiting, state }): State<Common>, mut request: Request, next: Next) -> Response {
    let own = request.headers().get(&X_REQUEST_ID).filter(|id| id.len() <= MAX_REQUEST_ID && id.to_str().is_ok()).cloned();
    let watched = state.as_ref().and_then(|state| Watched::begin(&state.tail, &state.clock, &request));
    let (measured, arrival) = (Measured::begin(&request, &waiting), Arrival::of(&request));
    request.extensions_mut().insert(arrival.clone());
    let (mut response, found) = match &watched {
        None => (answered(request, next, &arrival).await, Found::default()),
        // On the heap, because few are watched.
        Some(_) => Box::pin(tail::finding(answered(request, next, &arrival))).await,
    };
    measured.answered(response.status());
    arrival.answered(&response);
    let headers = response.headers_mut();
    if let Some(id) = own.or_else(|| HeaderValue::try_from(arrival.traceparent()?).ok()) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(strict_transport) = strict_transport {
        headers.insert(STRICT_TRANSPORT_SECURITY, strict_transport);
    }
    match (watched, state) {
        (Some(watched), Some(state)) => Box::pin(watched.publish(&state.resolver, found, response)).await,
        _ => response,
    }
}

async fn answered(request: Request, next: Next, arrival: &Arrival) -> Response {
    if request.headers().len() > MAX_FIELDS {
        return Problem::too_many_fields(MAX_FIELDS).into_response();
    }
    if is_compressed(&request) {
        return Problem::compressed().into_response();
    }
    // Within the trace, because converting a refusal may log it.
    let answer = async {
        let response = next.run(request).await;
        arrival.settle();
        in_json(response)
    };
    arrival.run(answer).await
}

fn is_compressed(request: &Request) -> bool {
    let encodings = request.headers().get_all(CONTENT_ENCODING).iter();
    encodings.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).any(|encoding| {
        let encoding = encoding.trim_ascii();
        !encoding.is_empty() && !encoding.eq_ignore_ascii_case(b"identity")
    })
}

/// Admits callers without a credential, with a small body, while there is capacity. Requests beyond the capacity are refused, not queued.
pub async fn anonymous(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let entered = async {
        let permit = state.admission.enter(Class::Anonymous)?;
        let source = Source::from_request_parts(&mut parts, &state).await?;
        let body = body_under(&state, permit, body, ANONYMOUS_BODY, Sender::Stranger(source)).await?;
        Ok::<_, Problem>(body)
    };
    match entered.await {
        Ok((permit, body)) => permit.hold(next.run(Request::from_parts(parts, Body::from(body))).await),
        Err(problem) => problem.into_response(),
    }
}

/// Reads a body. The permit is released while the body arrives, and taken again afterwards.
pub async fn body_under(state: &AppState, permit: Permit, body: Body, limit: usize, sender: Sender) -> Result<(Permit, Bytes), Problem> {
    // On the heap, because few bodies are still to arrive.
    let mut read = Box::pin(state.bodies.read(body, limit, sender));
    if let std::task::Poll::Ready(body) = futures_util::poll!(read.as_mut()) {
        return Ok((permit, body?));
    }
    let class = permit.class();
    drop(permit);
    let body = read.await?;
    Ok((state.admission.enter(class)?, body))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use axum::{Router, body::Body, http::StatusCode, middleware, routing::get};
    use nodkey_kernel::egress::Egress;
    use nodkey_runtime::status::PeerError;
    use tonic::Status;
    use tower::ServiceExt as _;
    use tower_http::catch_panic::CatchPanicLayer;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::routes::panicked;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Log {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[expect(clippy::panic, reason = "what it is for")]
    async fn panics() -> StatusCode {
        panic!("on purpose")
    }

    #[tokio::test]
    async fn every_500_leaves_one_line_with_its_cause_route_and_trace() {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(log.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let routes = Router::new()
            .route("/because/{of}", get(|| async { Problem::because("there is no cookie key") }))
            .route("/peer/{of}", get(|| async { Problem::from(PeerError::from(Status::internal("it is logged there"))) }))
            .route("/panic/{of}", get(panics))
            .route("/silent/{of}", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
            .route("/refused/{of}", get(|| async { Problem::not_found() }))
            .layer((middleware::from_fn_with_state(Common::default(), common), CatchPanicLayer::custom(panicked)));
        for (path, cause) in [
            ("/because", Some("there is no cookie key")),
            ("/peer", Some("it is logged there")),
            ("/panic", Some("on purpose")),
            ("/silent", Some("the response states no cause")),
            ("/refused", None),
        ] {
            log.0.lock().unwrap().clear();
            let request = Request::get(format!("{path}/nobodys-business"))
                .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
            let answer = routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status() == StatusCode::INTERNAL_SERVER_ERROR, cause.is_some(), "{path}");
            let trace = answer.headers()[X_REQUEST_ID].to_str().unwrap().split('-').nth(1).unwrap();
            assert_ne!(trace, "0af7651916cd43dd8448eb211c80319c", "nobody in particular named it");
            let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
            let lines: Vec<_> = logged.lines().collect();
            assert_eq!(lines.len(), usize::from(cause.is_some()), "{logged}");
            for part in [cause, Some(trace), Some(path)].into_iter().flatten().filter(|_| cause.is_some()) {
                assert!(lines[0].contains("ERROR") && lines[0].contains(part), "{part}: {}", lines[0]);
            }
            assert!(!logged.contains("nobodys-business"), "what parameters hold is not logged");
        }
    }

    #[test]
    fn browsers_are_bound_to_tls_where_this_listener_is_tls_and_the_name_is_its_own() {
        let header = |url: &str, serves_tls| strict_transport(&Deployment { serves_tls, ..Deployment::new(url, Egress::new(false)) });
        assert_eq!(header("https://id.example.com", true).unwrap(), "max-age=31536000");
        for (url, serves_tls) in [
            ("https://id.example.com", false),
            ("http://id.example.com", true),
            ("https://localhost:7070", true),
            ("https://nodkey.localhost", true),
            ("https://127.0.0.1:7070", true),
            ("https://[::1]:7070", true),
        ] {
            assert_eq!(header(url, serves_tls), None, "{url} {serves_tls}");
        }
    }

    #[test]
    fn a_body_is_compressed_unless_it_says_that_it_is_as_it_is() {
        let is = |encoding: &str| is_compressed(&Request::post("/").header(CONTENT_ENCODING, encoding).body(Body::empty()).unwrap());
        assert!(["gzip", "br", "identity, gzip", "x"].into_iter().all(is));
        assert!(!["", "identity", "Identity", " identity , "].into_iter().any(is));
        assert!(!is_compressed(&Request::new(Body::empty())));
    }
}
