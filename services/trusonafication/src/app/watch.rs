//! Waiting for the end of one, and looking on at all. A wake that is lost is made up for by [`super::changes_job`].

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use nodkey_bus::Listener;
use nodkey_kernel::id::{RelyingPartyId, TrusonaficationId};
use nodkey_runtime::rows;

use super::{App, Listing, all_topic, topic};
use crate::{domain::Trusonafication, error::Error, store};

/// How long after its expiry it is looked at without a wake: it is ended by then, and whoever ends it wakes.
const OVERDUE: Duration = Duration::from_secs(2);
/// How many of the newest are looked on at.
const WATCHED: i64 = 100;
/// How many of those that changed are read at once.
const CHUNK: usize = 16;
/// How long changes are collected before it is looked again: however many there are, so often at most.
const PAUSE: Duration = Duration::from_millis(100);

/// Somebody who waits for one trusonafication.
#[derive(Debug)]
pub struct Watch {
    app: App,
    party: RelyingPartyId,
    id: TrusonaficationId,
    listener: Listener,
}

impl App {
    /// Begins to watch. What changes from here on is not missed.
    #[must_use]
    pub fn watch(&self, party: RelyingPartyId, id: TrusonaficationId) -> Watch {
        Watch { app: self.clone(), party, id, listener: self.bus.listen(&topic(id)) }
    }

    /// Returns one once it is over, or as it stands after `patience`.
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
    /// Returns it as it stands.
    pub async fn now(&self) -> Result<Trusonafication, Error> {
        self.app.get(self.party, self.id).await
    }

    /// Returns it once it is over, from how it stood since the watch began; [`Error::Stopping`] when this process is to stop before.
    pub async fn end(&mut self, mut found: Trusonafication) -> Result<Trusonafication, Error> {
        while !found.is_terminal() {
            let due = self.app.now().until(found.ask.expires_at) + OVERDUE;
            // It may be a megabyte, and there are many who wait.
            drop(found);
            tokio::select! {
                () = self.listener.notified() => {}
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
    /// What was delivered, by its version.
    delivered: HashMap<TrusonaficationId, i64>,
    /// What changed and is still to be read, oldest first.
    changed: VecDeque<TrusonaficationId>,
}

impl App {
    /// Begins to look on at those of a user, of a device, or of all where these are empty. What is there now is not delivered.
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
    /// Returns what came or changed, oldest first; [`Error::Stopping`] when this process is to stop.
    pub async fn next(&mut self) -> Result<Vec<Trusonafication>, Error> {
        loop {
            if self.changed.is_empty() {
                tokio::select! {
                    () = self.listener.notified() => tokio::time::sleep(PAUSE).await,
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

    /// Notes what changed since it was delivered.
    async fn look(&mut self) -> Result<(), Error> {
        let listing = Listing { user: named(&self.user), device: named(&self.device), ..Listing::newest(WATCHED) };
        let heads = store::heads(&self.app.db, self.party, &listing, self.app.now()).await?;
        let changed = heads.iter().filter(|head| self.delivered.get(&head.id) != Some(&head.version));
        self.changed = changed.rev().map(|head| head.id).collect();
        self.delivered = heads.into_iter().map(|head| (head.id, head.version)).collect();
        Ok(())
    }

    /// Reads some of what changed, until it weighs enough.
    async fn read(&mut self) -> Result<Vec<Trusonafication>, Error> {
        let (now, mut updates, mut bytes) = (self.app.now(), Vec::new(), 0);
        while updates.len() < CHUNK
            && bytes < store::MAX_BYTES
            && let Some(id) = self.changed.pop_front()
        {
            // One that cannot be read hides no other; one that was deleted is gone.
            if let Some(found) = rows::found(store::get(&self.app.db, self.party, id).await)? {
                bytes += found.ask.custom_fields.as_ref().map_or(0, String::len);
                updates.push(found.effective_at(now));
            }
        }
        Ok(updates)
    }
}

/// An empty name is nobody's.
fn named(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty())
}
