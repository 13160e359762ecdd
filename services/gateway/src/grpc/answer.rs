//! gRPC responses on their way to the caller, with the permits they hold until they are read.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    http::HeaderMap,
    response::Response,
};
use futures_util::{FutureExt as _, future::BoxFuture};
use http_body::{Frame, SizeHint};
use nodkey_runtime::deadline::deadline_exceeded;
use tonic::Status;

use super::request::Deadline;
use crate::state::AppState;

/// What ends a response early.
pub struct Ends(Option<BoxFuture<'static, Status>>);

impl Ends {
    /// Nothing ends it early.
    pub const fn by_itself() -> Self {
        Self(None)
    }

    /// The deadline of the call, or the stop of this process.
    pub fn of(state: &AppState, deadline: Deadline) -> Self {
        let stopping = state.stopping.clone().cancelled_owned();
        let ends = async move {
            tokio::select! {
                () = stopping => Status::unavailable("this process stops; call again"),
                () = deadline.over() => deadline_exceeded(),
            }
        };
        Self(Some(ends.boxed()))
    }
}

/// Guards a response: `ends` may end it early, and `held` is dropped once it has been read.
pub fn guarded(answer: http::Response<tonic::body::Body>, ends: Ends, held: impl Send + 'static) -> Response {
    // A response without a body has its status in the headers, and clients expect it to end there.
    if answer.body().is_end_stream() {
        return answer.map(Body::new);
    }
    answer.map(|body| Body::new(Guarded { body, ends: ends.0, over: false, _held: held }))
}

struct Guarded<H> {
    body: tonic::body::Body,
    ends: Option<BoxFuture<'static, Status>>,
    over: bool,
    _held: H,
}

impl<H> Unpin for Guarded<H> {}

impl<H: Send + 'static> http_body::Body for Guarded<H> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Err(status))) = frame {
            // Sent as a status: a stream that just breaks off tells its caller nothing.
            return self.end(&status);
        }
        if frame.is_pending()
            && let Some(ends) = &mut self.ends
            && let Poll::Ready(status) = ends.poll_unpin(cx)
        {
            return self.end(&status);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.ends.is_some() { SizeHint::default() } else { self.body.size_hint() }
    }
}

impl<H> Guarded<H> {
    fn end(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.over = true;
        let mut trailers = HeaderMap::new();
        // Our statuses contain no text that a header cannot hold.
        let written = status.add_header(&mut trailers);
        Poll::Ready(Some(written.map(|()| Frame::trailers(trailers))))
    }
}
