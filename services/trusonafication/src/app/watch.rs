//! Waiting for the end of one, and looking on at all.

use std::{collections::HashMap, time::Duration};

use nodkey_bus::Listener;
use nodkey_kernel::id::{RelyingPartyId, TrusonaficationId};

use super::{App, Listing, all_topic, topic};
use crate::{domain::Trusonafication, error::Error};

/// A wake is a hint that may get lost; this often it is looked without one.
const RECHECK: Duration = Duration::from_secs(10);

/// How many of the newest are looked on at.
const WATCHED: i64 = 100;
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
        match tokio::time::timeout(patience, watch.end()).await {
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

    /// Returns it once it is over; [`Error::Stopping`] when this process is to stop before.
    pub async fn end(&mut self) -> Result<Trusonafication, Error> {
        loop {
            let found = self.now().await?;
            if found.is_terminal() {
                return Ok(found);
            }
            let due = self.app.now().until(found.ask.expires_at).min(RECHECK);
            tokio::select! {
                () = self.listener.notified() => {}
                () = tokio::time::sleep(due) => {}
                () = self.app.stopping.cancelled() => return Err(Error::Stopping),
            }
        }
    }
}

/// Somebody who looks on at the newest of a relying party.
#[derive(Debug)]
pub struct Onlooker {
    app: App,
    party: RelyingPartyId,
    user: String,
    device: String,
    listener: Listener,
    /// What was told, by its version.
    told: HashMap<TrusonaficationId, i64>,
}

impl App {
    /// Begins to look on at those of a user, of a device, or of all where these are empty. What is there now is not told.
    pub async fn look_on(&self, party: RelyingPartyId, user: String, device: String) -> Result<Onlooker, Error> {
        let listener = self.bus.listen(&all_topic(party));
        let mut onlooker = Onlooker { app: self.clone(), party, user, device, listener, told: HashMap::new() };
        onlooker.news().await?;
        Ok(onlooker)
    }
}

impl Onlooker {
    /// Returns what came or changed, oldest first; [`Error::Stopping`] when this process is to stop.
    pub async fn next(&mut self) -> Result<Vec<Trusonafication>, Error> {
        loop {
            tokio::select! {
                () = self.listener.notified() => tokio::time::sleep(PAUSE).await,
                () = tokio::time::sleep(RECHECK) => {}
                () = self.app.stopping.cancelled() => return Err(Error::Stopping),
            }
            let news = self.news().await?;
            if !news.is_empty() {
                return Ok(news);
            }
        }
    }

    async fn news(&mut self) -> Result<Vec<Trusonafication>, Error> {
        let listing = Listing { user: &self.user, device: &self.device, limit: WATCHED, ..Listing::newest() };
        let mut now = self.app.list(self.party, &listing).await?;
        let told = now.iter().map(|t| (t.id, t.version)).collect();
        now.retain(|t| self.told.get(&t.id) != Some(&t.version));
        now.reverse();
        self.told = told;
        Ok(now)
    }
}
