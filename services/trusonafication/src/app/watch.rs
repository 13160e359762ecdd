//! Waiting for the end of a trusonafication, and subscribing to all of them. [`super::changes_job`] makes up for lost wakes.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use nodkey_bus::Listener;
use nodkey_kernel::id::{RelyingPartyId, TrusonaficationId};
use nodkey_runtime::rows;

use super::{App, Listing, all_topic, topic};
use crate::{domain::Trusonafication, error::Error, store};

/// How long after its expiry a trusonafication is read without a wake. It has ended by then, and ending it sends a wake.
const OVERDUE: Duration = Duration::from_secs(2);
/// How many of the newest are watched.
const WATCHED: i64 = 100;
/// How many of the changed ones are read at once.
const CHUNK: usize = 16;
/// How long changes are collected before the next look, which limits its rate.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits for one trusonafication.
#[derive(Debug)]
pub struct Watch {
    app: App,
    party: RelyingPartyId,
    id: TrusonaficationId,
    listener: Listener,
}

impl App {
    /// Begins to watch. No change from here on is missed.
    #[must_use]
    pub fn watch(&self, party: RelyingPartyId, id: TrusonaficationId) -> Watch {
        Watch { app: self.clone(), party, id, listener: self.bus.listen(&topic(id)) }
    }

    /// Returns a trusonafication once it has ended, or in its current state after `patience`.
    pub async fn get_within(&self, party: RelyingPartyId, id: TrusonaficationId, patience: Duration) -> Result<Trusonafication, Error> {
        let mut watch = self.watch(party, id);
        let now = watch.now().await?;
        if now.is_terminal() || patience.is_zero() {
            return Ok(now);
        }
        match tokio::time::timeout(patience, watch.end(now)).await {
            Ok(Err(Error::Stopping)) | Err(_) => watch.now().await,
            Ok(end) => end,
        }
    }
}

impl Watch {
    /// Returns its current state.
    pub async fn now(&self) -> Result<Trusonafication, Error> {
        self.app.get(self.party, self.id).await
    }

    /// Returns it once it has ended. `found` is its state since the watch began. [`Error::Stopping`] if this process is about to stop.
    pub async fn end(&mut self, mut found: Trusonafication) -> Result<Trusonafication, Error> {
        while !found.is_terminal() {
            let due = self.app.now().until(found.ask.expires_at) + OVERDUE;
            // It may be a megabyte, and there are many waiters.
            drop(found);
            tokio::select! {
                _ = self.listener.notified() => {}
                () = tokio::time::sleep(due) => {}
                () = self.app.stopping.cancelled() => return Err(Error::Stopping),
            }
            found = self.now().await?;
        }
        Ok(found)
    }
}

/// A subscription to the newest trusonafications of a relying party. Ids and versions show what changed; only that is read.
#[derive(Debug)]
pub struct Subscriber {
    app: App,
    party: RelyingPartyId,
    user: String,
    device: String,
    listener: Listener,
    /// The versions that were delivered.
    delivered: HashMap<TrusonaficationId, i64>,
    /// Changes still to be read, oldest first.
    changed: VecDeque<TrusonaficationId>,
}

impl App {
    /// Subscribes to the trusonafications of a user, of a device, or to all if both are empty. Existing ones are not delivered.
    pub async fn subscribe(&self, party: RelyingPartyId, user: String, device: String) -> Result<Subscriber, Error> {
        let listener = self.bus.listen(&all_topic(party));
        let (delivered, changed) = (HashMap::new(), VecDeque::new());
        let mut subscriber = Subscriber { app: self.clone(), party, user, device, listener, delivered, changed };
        subscriber.look().await?;
        subscriber.changed.clear();
        Ok(subscriber)
    }
}

impl Subscriber {
    /// Returns what was created or changed, oldest first; [`Error::Stopping`] if this process is about to stop.
    pub async fn next(&mut self) -> Result<Vec<Trusonafication>, Error> {
        loop {
            if self.changed.is_empty() {
                tokio::select! {
                    _ = self.listener.notified() => tokio::time::sleep(PAUSE).await,
                    () = self.app.stopping.cancelled() => return Err(Error::Stopping),
                }
                self.look().await?;
            }
            let updates = self.read().await?;
            if !updates.is_empty() {
                return Ok(updates);
            }
        }
    }

    /// Records what changed since it was last delivered.
    async fn look(&mut self) -> Result<(), Error> {
        let listing = Listing { user: named(&self.user), device: named(&self.device), ..Listing::newest(WATCHED) };
        let heads = store::heads(&self.app.db, self.party, &listing, self.app.now()).await?;
        let changed = heads.iter().filter(|head| self.delivered.get(&head.id) != Some(&head.version));
        self.changed = changed.rev().map(|head| head.id).collect();
        self.delivered = heads.into_iter().map(|head| (head.id, head.version)).collect();
        Ok(())
    }

    /// Reads some of the changes, up to a total size.
    async fn read(&mut self) -> Result<Vec<Trusonafication>, Error> {
        let (now, mut updates, mut bytes) = (self.app.now(), Vec::new(), 0);
        while updates.len() < CHUNK
            && bytes < store::MAX_BYTES
            && let Some(id) = self.changed.pop_front()
        {
            // An unreadable one does not hide others; a deleted one is skipped.
            if let Some(found) = rows::found(store::get(&self.app.db, self.party, id).await)? {
                bytes += found.ask.custom_fields.as_ref().map_or(0, String::len);
                updates.push(found.effective_at(now));
            }
        }
        Ok(updates)
    }
}

/// Treats an empty name as absent.
fn named(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty())
}
