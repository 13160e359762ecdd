//! gRPC calls as they are measured: by method, and by the code of their status, which comes with the trailers.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{LazyLock, OnceLock},
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    middleware::Next,
    response::Response,
};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use metrics::{Counter, Histogram};
use nodkey_proto::{
    access::ACCESS,
    code::{CODES, code_name},
};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::{
    call::metrics::{GRPC_REQUESTS, GRPC_SECONDS},
    identity::admit::waits,
};

/// Methods that every process has, besides those of `proto/`.
const EVERYWHERE: [&str; 5] = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/List",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// The name of all methods that are not served: a client can invent any.
const OTHER: &str = "other";

/// The metrics of a method. Each is looked up once.
struct Method {
    name: &'static str,
    /// `None` for a method that may wait or stream: how long it takes says nothing.
    seconds: Option<OnceLock<Histogram>>,
    codes: [OnceLock<Counter>; CODES.len()],
}

impl Method {
    fn new(path: &'static str) -> Self {
        let lasts = waits(path) || path.starts_with("/grpc.");
        Self {
            name: path.strip_prefix('/').unwrap_or(path),
            seconds: (!lasts).then(OnceLock::new),
            codes: [const { OnceLock::new() }; CODES.len()],
        }
    }

    fn record(&self, since: Instant, code: Code) {
        let name = self.name;
        self.codes[code as usize].get_or_init(|| GRPC_REQUESTS.with([name, code_name(code)])).increment(1);
        if let Some(seconds) = &self.seconds {
            seconds.get_or_init(|| GRPC_SECONDS.with([name])).record(since.elapsed());
        }
    }
}

static METHODS: LazyLock<HashMap<&'static str, Method>> = LazyLock::new(|| {
    let known = ACCESS.iter().map(|(path, _)| *path).chain(EVERYWHERE);
    known.map(|path| (path, Method::new(path))).collect()
});
static UNKNOWN: LazyLock<Method> = LazyLock::new(|| Method::new(OTHER));

/// Measures calls, whether they arrive over the network or from within the process. A call that its caller abandons is `CANCELLED`.
pub(super) async fn middleware(request: Request, next: Next) -> Response {
    let method = METHODS.get(request.uri().path()).unwrap_or(&UNKNOWN);
    let mut call = Call { method, since: Instant::now(), code: Code::Cancelled };
    let response = next.run(request).await;
    if let Some(status) = Status::from_header_map(response.headers()) {
        call.code = status.code();
        return response;
    }
    response.map(|body| Body::new(Measured { body, call }))
}

/// A call, recorded when it is over.
struct Call {
    method: &'static Method,
    since: Instant,
    code: Code,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.method.record(self.since, self.code);
    }
}

/// The body of a response, whose trailers have the status.
struct Measured {
    body: Body,
    call: Call,
}

impl HttpBody for Measured {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(status) = frame.trailers_ref().and_then(Status::from_header_map) {
                    self.call.code = status.code();
                }
            }
            Poll::Ready(Some(Err(_))) => self.call.code = Code::Unknown,
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_last_have_no_duration_and_what_is_invented_is_one_method() {
        let times = |path: &str| METHODS[path].seconds.is_some();
        assert!(times("/nodkey.registry.v1.DeviceService/GetDevice"));
        assert!(!times("/nodkey.trusonafication.v1.TrusonaficationService/GetTrusonafication"), "it may wait for the end");
        assert!(!times("/grpc.health.v1.Health/Watch"));
        assert!(!METHODS.contains_key("/nodkey.registry.v1.DeviceService/Invented"));
    }
}
