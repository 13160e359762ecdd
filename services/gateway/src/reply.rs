//! HTTP responses.

use std::{convert::Infallible, time::Duration};

use axum::{
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Serialize;

/// The header with the id of a request, for support.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How often an idle stream sends a keep-alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Server-sent events, streamed as they come: the headers tell proxies not to buffer or compress them. A comment is sent immediately, so
/// that the client knows that the stream is open.
pub fn event_stream(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let opened = stream::once(async { Ok(Event::default().comment("open")) });
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    let as_it_is = (CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    let events = Sse::new(opened.chain(events)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    ([unbuffered, as_it_is], events).into_response()
}

/// A JSON response, with its content type spelled as existing clients hash it.
pub fn reply(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(json) => {
            let json_type = HeaderValue::from_static("application/json; charset=utf-8");
            (status, [(CONTENT_TYPE, json_type)], json).into_response()
        }
        // Turned into JSON, and logged, by an outer layer.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
