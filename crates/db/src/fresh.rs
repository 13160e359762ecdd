//! Events that were just committed, for the relay of this process: it publishes them without reading them back.

use std::{
    mem,
    sync::{Mutex, PoisonError},
};

use nodkey_kernel::time::Timestamp;
use tokio::sync::Notify;

use crate::Message;

/// Maximum number of events kept for the relay, and of bytes in them. It reads the others.
const MAX_EVENTS: usize = 1024;
const MAX_BYTES: usize = 4 << 20;

/// An event in the outbox.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Sequence number in the outbox.
    pub seq: i64,
    /// When it happened.
    pub created_at: Timestamp,
    /// The event.
    pub message: Message,
}

/// An event that was just committed.
#[derive(Clone, Debug)]
pub struct FreshEvent {
    /// The event.
    pub outgoing: Outgoing,
    /// Events that have to be published first: the last one about the same thing that was still in the outbox, and the last one that names
    /// nothing that it is about.
    pub after: [Option<i64>; 2],
}

/// Events that were just committed, oldest first.
#[derive(Debug, Default)]
pub struct Fresh {
    notify: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether a relay takes them.
    open: bool,
    events: Vec<FreshEvent>,
    bytes: usize,
    /// Whether others were committed, and not kept.
    missed: bool,
}

impl Fresh {
    /// Keeps events from now on, or no longer. At first none is kept.
    pub fn open(&self, open: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open != open {
            *state = State { open, missed: true, ..State::default() };
        }
    }

    /// Takes what was committed since the last call, and whether there was more.
    pub fn take(&self) -> (Vec<FreshEvent>, bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bytes = 0;
        (mem::take(&mut state.events), mem::take(&mut state.missed))
    }

    /// Resolves when events were committed since the last time.
    pub async fn notified(&self) {
        self.notify.notified().await;
    }

    pub(crate) fn put(&self, event: FreshEvent) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = state.bytes + event.outgoing.message.payload.len();
        if state.open && state.events.len() < MAX_EVENTS && bytes <= MAX_BYTES {
            state.bytes = bytes;
            state.events.push(event);
        } else {
            state.missed = true;
        }
        drop(state);
        self.notify.notify_one();
    }
}
