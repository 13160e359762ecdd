//! A connection with time limits for sending requests and for reading responses, and a way to end that leaves the last one readable.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::stream::{Activity, UNTAKEN};

/// How long a connection may take to send its first byte.
const SILENCE: Duration = Duration::from_mins(1);
/// Time limit for the 24 bytes that begin HTTP/2 (RFC 9113, section 3.4).
const PREFACE_TIME: Duration = Duration::from_secs(3);
/// Time limit for the head of an HTTP/1.1 request, from its first byte.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long the rest of a request is read after the last response of an HTTP/1.1 connection, and how many bytes of it. A client that is
/// still sending a body that was refused would otherwise be told that the connection is broken, and not why (RFC 9112, section 9.6).
const FAREWELL: Duration = Duration::from_secs(2);
const UNREAD: usize = 8 << 20;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes showed.
#[derive(Clone, Copy, Debug)]
enum Opening {
    Silent,
    Preface(usize),
    Http1,
    Http2,
}

/// A stream with time limits in both directions.
#[derive(Debug)]
pub(super) struct Timed<S> {
    stream: S,
    activity: Arc<Activity>,
    opening: Opening,
    /// Since when the client has been sending its request, and the number of requests before.
    since: (Instant, u64),
    /// Whether it has begun to send, and there is no request yet.
    asking: bool,
    reading: Limit,
    writing: Limit,
    /// Since when nothing is sent any more, and how many bytes have been discarded.
    closed: Option<(Instant, usize)>,
}

impl<S> Timed<S> {
    /// Starts the time limits now.
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        let (reading, writing) = (Limit::default(), Limit::default());
        Self { stream, activity, opening: Opening::Silent, since: (Instant::now(), 0), asking: false, reading, writing, closed: None }
    }

    /// Records what the client sent.
    fn heard(&mut self, bytes: &[u8]) {
        let (begun, open) = self.activity.requests();
        if !open && (!self.asking || begun != self.since.1) {
            self.since = (Instant::now(), begun);
            self.asking = true;
        }
        let seen = match self.opening {
            Opening::Silent => 0,
            Opening::Preface(seen) => seen,
            Opening::Http1 | Opening::Http2 => return,
        };
        let expected = &PREFACE[seen..];
        let length = bytes.len().min(expected.len());
        self.opening = match seen + length {
            _ if bytes[..length] != expected[..length] => Opening::Http1,
            length if length == PREFACE.len() => {
                self.activity.http2.store(true, Ordering::Relaxed);
                Opening::Http2
            }
            length => Opening::Preface(length),
        };
    }

    /// The deadline for what the client is sending.
    fn too_late(&mut self) -> Option<Instant> {
        let (begun, open) = self.activity.requests();
        if open || begun != self.since.1 {
            self.asking = false;
        }
        match self.opening {
            Opening::Silent => Some(self.since.0 + SILENCE),
            Opening::Preface(_) => Some(self.since.0 + PREFACE_TIME),
            Opening::Http1 if self.asking => Some(self.since.0 + HEAD_TIME),
            Opening::Http1 | Opening::Http2 => None,
        }
    }
}

/// A timer that exists only while something is waited for: connections are many.
#[derive(Debug, Default)]
struct Limit(Option<Pin<Box<Sleep>>>);

impl Limit {
    /// Fails when the deadline has passed.
    fn check(&mut self, cx: &mut Context<'_>, too_late: Instant) -> io::Result<()> {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(too_late)));
        if timer.deadline() != too_late {
            timer.as_mut().reset(too_late);
        }
        if timer.as_mut().poll(cx).is_ready() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    /// Fails after `limit`, counted from the first call of this wait.
    fn check_from_now(&mut self, cx: &mut Context<'_>, limit: Duration) -> io::Result<()> {
        let too_late = self.0.as_ref().map_or_else(|| Instant::now() + limit, |timer| timer.deadline());
        self.check(cx, too_late)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        let this = &mut *self;
        if read.is_pending() {
            match this.too_late() {
                Some(too_late) => this.reading.check(cx, too_late)?,
                None => this.reading.0 = None,
            }
        } else if into.filled().len() > before {
            this.heard(&into.filled()[before..]);
        }
        read
    }
}

impl<S: AsyncRead + Unpin> Timed<S> {
    /// Resolves when the client ends its side as well, or exceeds a limit.
    fn discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((since, mut discarded)) = self.closed else { return Poll::Ready(()) };
        let mut room = [MaybeUninit::uninit(); 8 << 10];
        while discarded < UNREAD {
            let mut into = ReadBuf::uninit(&mut room);
            match Pin::new(&mut self.stream).poll_read(cx, &mut into) {
                Poll::Ready(Ok(())) if !into.filled().is_empty() => discarded += into.filled().len(),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    self.closed = Some((since, discarded));
                    return if self.reading.check(cx, since + FAREWELL).is_err() { Poll::Ready(()) } else { Poll::Pending };
                }
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncWrite + Unpin> Timed<S> {
    fn written<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_pending() {
            self.writing.check_from_now(cx, UNTAKEN)?;
        } else {
            self.writing.0 = None;
        }
        done
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, done)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.written(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(cx, done)
    }

    /// Ends the sending side, and then discards what an HTTP/1.1 client is still sending, within limits.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closed.is_none() {
            let done = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.written(cx, done))?;
            self.closed = Some((Instant::now(), 0));
            self.reading.0 = None;
        }
        if matches!(self.opening, Opening::Http1) { self.discard(cx).map(Ok) } else { Poll::Ready(Ok(())) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// How long the server waits for a client that sends this and no more. Time advances by itself where there is nothing else to do.
    async fn patience(said: &[u8]) -> Duration {
        let (server, mut client) = duplex(64);
        let mut timed = Timed::new(server, Arc::default());
        client.write_all(said).await.unwrap();
        let begun = Instant::now();
        let failed = timed.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn who_begins_to_ask_must_go_on() {
        let second = Duration::from_secs(1);
        for (said, limit) in [(&b""[..], SILENCE), (b"PRI", PREFACE_TIME), (b"PRI * HTTP/2.0\r\n", PREFACE_TIME), (b"GET /", HEAD_TIME)] {
            let waited = patience(said).await;
            assert!((limit..limit + second).contains(&waited), "{waited:?} after {:?}", String::from_utf8_lossy(said));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_an_answer_may_be_silent_and_who_takes_none_is_left() {
        let (server, mut client) = duplex(64);
        let activity = Arc::new(Activity::default());
        let mut timed = Timed::new(server, Arc::clone(&activity));
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let _request = (timed.read(&mut [0; 64]).await.unwrap(), activity.begin());
        let hours = tokio::time::timeout(Duration::from_hours(2), timed.read(&mut [0; 64])).await;
        assert!(hours.is_err(), "still listened to");
        let begun = Instant::now();
        let failed = timed.write_all(&[0; 1 << 10]).await.unwrap_err();
        assert_eq!((failed.kind(), begun.elapsed().as_secs()), (io::ErrorKind::TimedOut, UNTAKEN.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_response_can_be_read_by_a_client_that_is_still_sending_and_who_never_ends_is_left() {
        for (body, ends) in [(1 << 20, true), (1 << 20, false), (UNREAD + (1 << 20), false)] {
            let (server, client) = duplex(4 << 10);
            let mut timed = Timed::new(server, Arc::default());
            let (mut read, mut write) = tokio::io::split(client);
            write.write_all(b"POST / HTTP/1.1\r\n\r\n").await.unwrap();
            assert_ne!(timed.read(&mut [0; 64]).await.unwrap(), 0);
            timed.write_all(b"413").await.unwrap();
            let sending = tokio::spawn(async move {
                let sent = write.write_all(&vec![0; body]).await;
                if ends {
                    write.shutdown().await.unwrap();
                }
                (sent.is_ok(), write)
            });
            let begun = Instant::now();
            timed.shutdown().await.unwrap();
            drop(timed);
            let (sent, _write) = sending.await.unwrap();
            assert_eq!(sent, body < UNREAD);
            let waited = begun.elapsed();
            assert_eq!(waited >= FAREWELL, !ends && sent, "{waited:?}");
            let mut answer = String::new();
            read.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "413");
        }
    }
}
