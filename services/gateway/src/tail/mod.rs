//! The requests of a relying party, live, for whoever develops or operates its backend. Nothing is kept, and while nobody listens, a request
//! costs one read of a counter.

mod entry;
mod request;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use nodkey_kernel::id::{CredentialId, RelyingPartyId};
use nodkey_runtime::counts::{Counts, Full};
use tokio::sync::mpsc::{self, error::TryRecvError};

pub use self::{
    entry::TailedRequest,
    request::{Found, Watched, finding, proven, refused},
};

/// How many entries wait for a listener that is slow. It loses those beyond, and learns how many.
const QUEUE: usize = 256;
/// The maximum number of listeners of a relying party at this gateway.
pub const PER_PARTY: u64 = 8;

/// Who listens to what. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tail(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The number of listeners, read by every request.
    listening: AtomicUsize,
    listeners: Mutex<Listeners>,
}

#[derive(Debug, Default)]
struct Listeners {
    all: Vec<Listener>,
    parties: Counts<RelyingPartyId>,
    /// The number of the next listener.
    next: u64,
}

#[derive(Debug)]
struct Listener {
    number: u64,
    scope: Scope,
    since: Instant,
    lost: Arc<AtomicU64>,
    queue: mpsc::Sender<Queued>,
}

impl Listener {
    /// Whether it gets a request that names this credential and began then. Those that began before it listened, its own included, it does
    /// not get.
    fn includes(&self, credential: CredentialId, party: Option<RelyingPartyId>, began: Instant) -> bool {
        began >= self.since && self.scope.includes(credential, party)
    }
}

/// An entry as JSON, and how many were lost before it.
type Queued = (u64, Arc<str>);

/// The requests that a listener sees.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Those that name this credential of the relying party: the listener holds its secret.
    Credential(RelyingPartyId, CredentialId),
    /// Those that name any credential of the relying party. A request whose signature is wrong only names one: these are known.
    Party(RelyingPartyId, HashSet<CredentialId>),
}

impl Scope {
    /// The relying party.
    pub const fn party(&self) -> RelyingPartyId {
        match self {
            Self::Credential(party, _) | Self::Party(party, _) => *party,
        }
    }

    /// Whether it includes a request that names this credential, which is one of this relying party if that is known.
    fn includes(&self, credential: CredentialId, party: Option<RelyingPartyId>) -> bool {
        match self {
            Self::Credential(_, own) => *own == credential,
            Self::Party(own, known) => party == Some(*own) || known.contains(&credential),
        }
    }
}

impl Tail {
    /// Listens from now on, unless the relying party has as many listeners as it may have.
    pub fn listen(&self, scope: Scope) -> Result<Listening, Full> {
        let (queue, arriving) = mpsc::channel(QUEUE);
        let (lost, party) = (Arc::new(AtomicU64::new(0)), scope.party());
        let mut listeners = self.listeners();
        listeners.parties.add(party, 1, PER_PARTY)?;
        let number = listeners.next;
        listeners.next += 1;
        listeners.all.push(Listener { number, scope, since: Instant::now(), lost: Arc::clone(&lost), queue });
        self.0.listening.store(listeners.all.len(), Ordering::Relaxed);
        drop(listeners);
        Ok(Listening { tail: self.clone(), number, party, arriving, lost, next: None })
    }

    /// Whether anybody listens.
    fn has_listeners(&self) -> bool {
        self.0.listening.load(Ordering::Relaxed) > 0
    }

    /// Whether anybody listens to a request that names this credential and began then.
    fn has_listener_for(&self, credential: CredentialId, party: Option<RelyingPartyId>, began: Instant) -> bool {
        self.listeners().all.iter().any(|listener| listener.includes(credential, party, began))
    }

    /// Sends it to the listeners. A slow one loses it.
    fn publish(&self, credential: CredentialId, party: Option<RelyingPartyId>, began: Instant, entry: &Arc<str>) {
        for listener in &self.listeners().all {
            if !listener.includes(credential, party, began) {
                continue;
            }
            match listener.queue.try_reserve() {
                Ok(place) => place.send((listener.lost.swap(0, Ordering::Relaxed), Arc::clone(entry))),
                Err(_) => drop(listener.lost.fetch_add(1, Ordering::Relaxed)),
            }
        }
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, Listeners> {
        self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listener, until dropped.
#[derive(Debug)]
pub struct Listening {
    tail: Tail,
    number: u64,
    party: RelyingPartyId,
    arriving: mpsc::Receiver<Queued>,
    lost: Arc<AtomicU64>,
    /// What follows the notice of lost entries.
    next: Option<Arc<str>>,
}

/// What a listener gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// A request, as JSON.
    Request(Arc<str>),
    /// So many requests were lost here, because the listener was slow.
    Lost(u64),
}

impl Listening {
    /// Waits for the next request.
    pub async fn next(&mut self) -> Update {
        if let Some(entry) = self.next.take() {
            return Update::Request(entry);
        }
        let arrived = match self.arriving.try_recv() {
            Ok(arrived) => arrived,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                // Nothing is lost while the queue has space, so these are the last.
                let lost = self.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    return Update::Lost(lost);
                }
                match self.arriving.recv().await {
                    Some(arrived) => arrived,
                    // The sender is dropped after this.
                    None => std::future::pending().await,
                }
            }
        };
        match arrived {
            (0, entry) => Update::Request(entry),
            (lost, entry) => {
                self.next = Some(entry);
                Update::Lost(lost)
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut listeners = self.tail.listeners();
        listeners.all.retain(|listener| listener.number != self.number);
        listeners.parties.remove(&self.party, 1);
        self.tail.0.listening.store(listeners.all.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
