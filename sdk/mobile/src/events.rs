//! The stream of events.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt as _};

use crate::{Error, PhoneEvent};

/// Challenges as they arrive, from [`Phone::events`](crate::Phone::events).
///
/// Ends after the first error: events after it may be missing.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Events(Pin<Box<dyn Stream<Item = Result<PhoneEvent, Error>> + Send>>);

impl Events {
    pub(crate) fn new(events: impl Stream<Item = Result<PhoneEvent, Error>> + Send + 'static) -> Self {
        Self(Box::pin(events))
    }

    /// The next event; `None` when the stream has ended. For apps that do not otherwise use `futures`.
    pub async fn next(&mut self) -> Option<Result<PhoneEvent, Error>> {
        self.0.next().await
    }
}

impl Stream for Events {
    type Item = Result<PhoneEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}
