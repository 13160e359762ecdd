//! An answer on its way to the caller, with what it holds until it is there.

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

/// What ends an answer before it ends itself.
pub struct Ends(Option<BoxFuture<'static, Status>>);

impl Ends {
    /// Nothing does.
    pub const fn by_itself() -> Self {
        Self(None)
    }

    /// Its deadline, or the stop of this process.
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

/// The same answer, with an end, holding something until it is read.
pub fn guarded(answer: http::Response<tonic::body::Body>, ends: Ends, held: impl Send + 'static) -> Response {
    // One without a body says so in its headers, and clients want these to be the end.
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
            // Told as a status: a stream that just breaks off tells its caller nothing.
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
        // A status of ours has no text that a header may not hold.
        let written = status.add_header(&mut trailers);
        Poll::Ready(Some(written.map(|()| Frame::trailers(trailers))))
    }
}
