//! What every request passes.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{
        HeaderName, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use metrics::{counter, histogram};
use nodkey_runtime::trace;
use tokio::{sync::Semaphore, time::Instant};

use crate::problem::Problem;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The most a request id of the caller's has, in characters.
const MAX_REQUEST_ID: usize = 128;

/// Traces the request and names it in its answer: as the caller named it, else by its trace. Nobody keeps answers, nobody guesses
/// their type. One layer, because each costs every held connection over a kilobyte.
pub async fn common(request: Request, next: Next) -> Response {
    let own = request.headers().get(&X_REQUEST_ID).filter(|id| id.len() <= MAX_REQUEST_ID && id.to_str().is_ok()).cloned();
    let (method, start, scope) = (request.method().to_string(), Instant::now(), trace::Scope::of(&request));
    let id = own.or_else(|| HeaderValue::try_from(scope.context().to_string()).ok());
    let mut response = scope.run(next.run(request)).await;
    let status = response.status().as_u16().to_string();
    histogram!("nodkey_http_request_seconds", "method" => method.clone()).record(start.elapsed().as_secs_f64());
    counter!("nodkey_http_requests_total", "method" => method, "status" => status).increment(1);
    let headers = response.headers_mut();
    if let Some(id) = id {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Refuses what is more than can be served at once, instead of queueing it. A stream keeps its place until it ends.
pub async fn bounded(State(room): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(place) = room.try_acquire_owned() else { return Problem::overloaded().into_response() };
    let response = next.run(request).await;
    let streams = response.headers().get(CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"text/event-stream"));
    if !streams {
        return response;
    }
    response.map(|body| {
        Body::from_stream(body.into_data_stream().inspect(move |_| {
            // Owned by the stream, and so dropped with it.
            let _ = &place;
        }))
    })
}
