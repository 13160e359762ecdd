//! Responses in transit: produced piece by piece as the client reads them, and abandoned when it does not.

use std::{
    cell::Cell,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use hyper::{
    body::{Body as HttpBody, Frame, SizeHint},
    rt::Executor,
};
use tokio::{
    sync::Notify,
    time::{Instant, Sleep, sleep, sleep_until},
};

use crate::call::{refusal::Refusal, refusals::refused};

/// How long a client may leave a piece of its response unread.
pub(super) const UNTAKEN: Duration = Duration::from_secs(10);
/// Maximum part of a response that is handed to a connection at a time: one HTTP/2 frame.
const PIECE: usize = 16 << 10;
/// Responses up to this length are handed over whole. A small frame that is not the last costs its receiver more than it carries, and some
/// clients (h2) end connections over a hundred such unread frames.
const SMALL: usize = 256;

tokio::task_local! {
    /// Since when a piece of the response that this task writes has been waiting to be read.
    static UNTAKEN_SINCE: Cell<Option<Instant>>;
}

/// Activity on a connection.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Whether the client speaks HTTP/2.
    pub(super) http2: AtomicBool,
    /// Number of requests so far.
    begun: AtomicU64,
    /// Number of requests whose response is not fully written.
    open: AtomicUsize,
    changed: Notify,
}

impl Activity {
    /// Counts a request until the returned value is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Open {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
        Open(Arc::clone(self))
    }

    /// The number of requests so far, and whether a response is not fully written.
    pub(super) fn requests(&self) -> (u64, bool) {
        (self.begun.load(Ordering::Relaxed), self.open.load(Ordering::Relaxed) > 0)
    }

    /// Resolves when an HTTP/2 connection has made no request for this long. Never resolves on HTTP/1.1, where hyper handles this.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            let (begun, open) = self.requests();
            if open {
                self.changed.notified().await;
                continue;
            }
            sleep(limit).await;
            if self.requests() == (begun, false) && self.http2.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// A request whose response is not fully written.
#[derive(Debug)]
pub(super) struct Open(Arc<Activity>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_one();
    }
}

/// The body of a response, in pieces.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    rest: Bytes,
    _open: Open,
}

impl Answer {
    /// Turns a response into one that is written in pieces.
    pub(super) fn of(response: Response<Body>, open: Open) -> Response<Self> {
        response.map(|body| Self { body, rest: Bytes::new(), _open: open })
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // The previous piece has been taken, otherwise this would not be polled.
        note(None);
        if self.rest.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else { return Poll::Ready(None) };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        // The last byte of the last piece is sent separately. The transport takes a whole piece as soon as the client's window has space
        // for one byte, and what it has taken cannot be observed here. The separate byte reveals a client that reads no more than that.
        // Where more data or trailers follow, those serve the same purpose.
        let piece = match self.rest.len() {
            all if all > PIECE => PIECE,
            all if all > SMALL && self.body.is_end_stream() => all - 1,
            all => all,
        };
        let piece = self.rest.split_to(piece);
        note(Some(Instant::now()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, inner) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// On HTTP/1.1 one task writes one response after the other, and the connection detects a client that does not read.
fn note(since: Option<Instant>) {
    let _ = UNTAKEN_SINCE.try_with(|cell| cell.set(since));
}

/// Runs the streams of HTTP/2 connections. A stream whose response is not read is reset: pings show that a client is there, not that it
/// reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        // Boxed before it is captured: otherwise the future is stored twice, as captured and as it runs.
        let mut stream = Box::pin(stream);
        let mut limit: Option<(Instant, Pin<Box<Sleep>>)> = None;
        let run = std::future::poll_fn(move |cx| {
            if stream.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let Some(since) = UNTAKEN_SINCE.with(Cell::get) else { return Poll::Pending };
            if limit.as_ref().is_none_or(|(of, _)| *of != since) {
                limit = Some((since, Box::pin(sleep_until(since + UNTAKEN))));
            }
            let over = limit.as_mut().is_some_and(|(_, timer)| timer.as_mut().poll(cx).is_ready());
            if over {
                refused(Refusal::Untaken);
                return Poll::Ready(());
            }
            Poll::Pending
        });
        tokio::spawn(UNTAKEN_SINCE.scope(Cell::new(None), run));
    }
}
