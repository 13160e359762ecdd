//! What every request passes.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{
        HeaderName, HeaderValue,
        header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
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

/// Refuses what is more than can be served at once, instead of queueing it.
pub async fn bounded(State(room): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(_place) = room.try_acquire() else { return Problem::overloaded().into_response() };
    next.run(request).await
}
