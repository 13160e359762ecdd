//! The parts of a call that are forwarded: a few headers, a bounded deadline, and messages up to a size.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{AUTHORIZATION, CONTENT_TYPE, TE, USER_AGENT},
    },
};
use futures_util::StreamExt as _;
use http_body::Frame;
use http_body_util::{BodyStream, StreamBody};
use nodkey_kernel::error::Kind;
use nodkey_proto::trusonafication::v1::GetTrusonaficationRequest;
use nodkey_runtime::{
    admission::Permit,
    confirmation::CONFIRMATION_HEADER,
    deadline,
    frames::{Frames, PREFIX},
    status,
    token::RELYING_PARTY_HEADER,
};
use tokio::time::Instant;
use tonic::Status;

use super::{Refusal, methods::Method};
use crate::{
    auth::bearer::Bearer,
    body::{ANONYMOUS_BODY, ORDINARY_BODY, Sender},
    layers::body_under,
    limits::network::Source,
    metrics::GrpcRefusal,
    state::AppState,
};

/// The deadline of a call that sets none.
const DEADLINE: Duration = Duration::from_secs(15);
/// The longest deadline of a call.
const MAX_DEADLINE: Duration = Duration::from_mins(1);
/// The longest deadline of a call that streams its request.
const MAX_UPLOAD: Duration = Duration::from_mins(10);

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Headers forwarded unchanged. All others are dropped: a client must not set the headers that services trust from one another.
const PASSED: [HeaderName; 3] = [CONTENT_TYPE, USER_AGENT, HeaderName::from_static("grpc-accept-encoding")];

/// The deadline of a call. A stream may have none.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Duration>);

impl Deadline {
    /// The deadline that the caller asks for, within bounds.
    pub fn of(headers: &HeaderMap, method: Method) -> Self {
        let wanted = deadline::requested(headers);
        Self(match (method.server_streams, method.client_streams) {
            (true, _) => wanted,
            (false, true) => Some(wanted.map_or(MAX_UPLOAD, |wanted| wanted.min(MAX_UPLOAD))),
            (false, false) => Some(wanted.map_or(DEADLINE, |wanted| wanted.min(MAX_DEADLINE))),
        })
    }

    /// The deadline of a call that waits by itself: its wait, and some time for the rest.
    pub fn waiting(headers: &HeaderMap, asked: &GetTrusonaficationRequest) -> Self {
        let longest = DEADLINE + Duration::from_secs(u64::try_from(asked.wait_seconds).unwrap_or_default());
        Self(Some(deadline::requested(headers).map_or(longest, |wanted| wanted.min(longest))))
    }

    /// Resolves once the deadline has passed. Never resolves without one.
    pub async fn over(self) {
        match self.0.and_then(|limit| Instant::now().checked_add(limit)) {
            Some(end) => tokio::time::sleep_until(end).await,
            None => std::future::pending().await,
        }
    }

    /// The deadline as a header value: eight digits at most.
    fn header(self) -> Option<HeaderValue> {
        let millis = self.0?.as_millis().min(99_999_999);
        HeaderValue::try_from(format!("{millis}m")).ok()
    }
}

/// The headers forwarded to a service. The token is the caller's own or none: the gateway vouches for nobody.
pub fn forwarded_headers(from: &HeaderMap, bearer: &Bearer, deadline: Deadline) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut pass = |name: &HeaderName| {
        if let Some(value) = from.get(name) {
            headers.insert(name, value.clone());
        }
    };
    PASSED.iter().for_each(&mut pass);
    if !matches!(bearer, Bearer::Nobody) {
        pass(&AUTHORIZATION);
    }
    if matches!(bearer, Bearer::Operator) {
        pass(&HeaderName::from_static(RELYING_PARTY_HEADER));
        pass(&HeaderName::from_static(CONFIRMATION_HEADER));
    }
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if let Some(value) = deadline.header() {
        headers.insert(GRPC_TIMEOUT, value);
    }
    headers
}

/// Reads the single message of a call that does not stream its request, within the time and memory limits of bodies. The permit for working
/// is released while the message arrives.
pub async fn message(
    state: &AppState,
    working: Permit,
    body: Body,
    method: Method,
    bearer: &Bearer,
    source: Source,
) -> Result<(Permit, Bytes), Refusal> {
    let (sender, most) = match bearer {
        Bearer::Backend(credential) => (Sender::Known(credential.relying_party), method.max_message),
        Bearer::Operator => (Sender::Stranger(source), method.max_message.min(ORDINARY_BODY)),
        Bearer::Nobody => (Sender::Stranger(source), method.max_message.min(ANONYMOUS_BODY)),
    };
    let read = body_under(state, working, body, PREFIX + most, sender).await;
    let (working, bytes) = read.map_err(|problem| {
        if problem.is_too_large() { Method { max_message: most, ..method }.too_large() } else { (GrpcRefusal::Body, problem.into_status()) }
    })?;
    let [compressed, length @ ..] = *bytes.first_chunk::<PREFIX>().ok_or_else(malformed)?;
    if compressed != 0 {
        return Err((GrpcRefusal::Body, Status::unimplemented("messages must not be compressed")));
    }
    let whole = usize::try_from(u32::from_be_bytes(length)).is_ok_and(|length| PREFIX + length == bytes.len());
    if whole { Ok((working, bytes)) } else { Err(malformed()) }
}

fn malformed() -> Refusal {
    (GrpcRefusal::Body, status::new(Kind::Invalid, "MALFORMED_MESSAGE", "the body is not exactly one gRPC message", &[]))
}

/// Whether a message exceeded the maximum size.
#[derive(Clone, Debug, Default)]
pub struct Large(Arc<AtomicBool>);

impl Large {
    pub fn was_met(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body that ends with an error at a message above a size, before any of that message is forwarded.
pub fn limited(body: Body, most: usize, large: &Large) -> tonic::body::Body {
    let (met, mut messages) = (large.clone(), Frames::default());
    let frames = BodyStream::new(body).map(move |frame| {
        let frame: Frame<Bytes> = frame.map_err(|_| Status::cancelled("the request was aborted"))?;
        let mut largest = 0;
        if let Some(data) = frame.data_ref() {
            messages.take(data, |length| largest = largest.max(length));
        }
        if largest > most {
            met.0.store(true, Ordering::Relaxed);
            return Err(Status::out_of_range("a message is too large"));
        }
        Ok(frame)
    });
    tonic::body::Body::new(StreamBody::new(frames))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passes_that_services_say_to_one_another() {
        let from = HeaderMap::from_iter(
            [
                (CONTENT_TYPE, "application/grpc"),
                (AUTHORIZATION, "Bearer x"),
                (HeaderName::from_static(RELYING_PARTY_HEADER), "p"),
                (HeaderName::from_static("x-nodkey-anything"), "p"),
                (HeaderName::from_static("x-forwarded-for"), "p"),
                (HeaderName::from_static("connection"), "close"),
                (HeaderName::from_static("traceparent"), "p"),
            ]
            .map(|(name, value)| (name, HeaderValue::from_static(value))),
        );
        let names = |bearer| {
            let headers = forwarded_headers(&from, &bearer, Deadline(Some(Duration::from_secs(2))));
            headers.keys().map(|name| name.as_str().to_owned()).collect::<std::collections::BTreeSet<_>>()
        };
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(names(Bearer::Nobody), of(&["content-type", "grpc-timeout", "te"]));
        assert_eq!(names(Bearer::Operator), of(&["authorization", "content-type", "grpc-timeout", "te", RELYING_PARTY_HEADER]));
    }
}
