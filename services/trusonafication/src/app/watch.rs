//! Waiting for the end.

use std::time::Duration;

use nodkey_bus::Listener;
use nodkey_kernel::id::{RelyingPartyId, TrusonaficationId};

use super::{App, topic};
use crate::{domain::Trusonafication, error::Error};

/// A wake is a hint that may get lost; this often it is looked without one.
const RECHECK: Duration = Duration::from_secs(10);

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
