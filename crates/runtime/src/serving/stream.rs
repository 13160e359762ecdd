//! Answers on their way: produced piece by piece as they are taken, and given up when nobody takes them.

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

use crate::call::refusals::refused;

/// How long a client may leave a piece of its answer untaken.
pub(super) const UNTAKEN: Duration = Duration::from_secs(10);
/// The most of an answer that is handed to a connection at once: one frame of HTTP/2.
const PIECE: usize = 16 << 10;
/// An answer that is no longer is handed over whole. A frame that is smaller and not the last costs its receiver more than it carries, and
/// there are clients (h2) that end connections over a hundred such frames that nobody has read yet.
const SMALL: usize = 256;

tokio::task_local! {
    /// Since when a piece of the answer that this task writes is there and not taken.
    static UNTAKEN_SINCE: Cell<Option<Instant>>;
}

/// What happens on a connection.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Whether the client speaks HTTP/2.
    pub(super) http2: AtomicBool,
    /// How many requests there were.
    begun: AtomicU64,
    /// How many of them are not answered to the end.
    open: AtomicUsize,
    changed: Notify,
}

impl Activity {
    /// Counts a request until what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Open {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
        Open(Arc::clone(self))
    }

    /// How many requests there were, and whether one of them is not answered to the end.
    pub(super) fn requests(&self) -> (u64, bool) {
        (self.begun.load(Ordering::Relaxed), self.open.load(Ordering::Relaxed) > 0)
    }

    /// Resolves when an HTTP/2 connection has asked nothing for so long; never on HTTP/1.1, where hyper looks after that.
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

/// A request that is not answered to the end.
#[derive(Debug)]
pub(super) struct Open(Arc<Activity>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_one();
    }
}

/// The body of an answer, in pieces.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    rest: Bytes,
    _open: Open,
}

impl Answer {
    /// Makes an answer one that is written in pieces.
    pub(super) fn of(response: Response<Body>, open: Open) -> Response<Self> {
        response.map(|body| Self { body, rest: Bytes::new(), _open: open })
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // What was there before has been taken, or this would not be asked.
        note(None);
        if self.rest.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else { return Poll::Ready(None) };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        // The last byte of the last piece goes alone: the transport takes a whole piece where its client has room for a byte of it, and what
        // it has taken is no longer seen here. So whoever takes nothing but a byte is noticed, too. Where more is to come, or trailers,
        // that is what is not taken.
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

/// On HTTP/1.1 one task writes one answer after the other, and the connection sees who takes nothing.
fn note(since: Option<Instant>) {
    let _ = UNTAKEN_SINCE.try_with(|cell| cell.set(since));
}

/// Runs the streams of HTTP/2 connections. One whose answer is not taken is reset: pings tell that a client is there, not that it reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        // Boxed before it is captured: a future is kept twice otherwise, as it was captured and as it runs.
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
                refused("answer not taken");
                return Poll::Ready(());
            }
            Poll::Pending
        });
        tokio::spawn(UNTAKEN_SINCE.scope(Cell::new(None), run));
    }
}
