//! Use cases.

mod deliveries;
mod endpoints;
mod push_registrations;

use std::{sync::Arc, time::Duration};

use nodkey_db::{
    Db, Tx,
    outbox::{self, EventContext},
};
use nodkey_kernel::{
    id::{EventId, RelyingPartyId},
    random::Random,
    time::{Clock, Timestamp},
    vault::Vault,
};
use nodkey_proto::Event;
use nodkey_runtime::{Deployment, Deps, Peers};
use tokio::sync::mpsc;

pub use self::{
    deliveries::{Listing, Range, Settled},
    endpoints::Change,
};
use crate::{config::Config, error::Error};

/// How often a change is tried again because another was first.
const ATTEMPTS: usize = 8;
/// How many lanes may wait to be worked off at once; more are found by looking.
const KICKS: usize = 1_024;

/// The use cases. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    db: Db,
    clock: Clock,
    random: Random,
    vault: Arc<Vault>,
    deployment: Arc<Deployment>,
    peers: Peers,
    kicks: mpsc::Sender<String>,
    patience: Duration,
}

impl App {
    /// Puts the use cases together. The other half of the answer names lanes in which something has become due.
    pub fn new(config: &Config, deps: Deps) -> anyhow::Result<(Self, mpsc::Receiver<String>)> {
        let db = deps.db()?;
        let Deps { clock, random, vault, deployment, peers, .. } = deps;
        let (kicks, kicked) = mpsc::channel(KICKS);
        let patience = Duration::from_hours(24 * u64::from(config.disable_after_days));
        Ok((Self { db, clock, random, vault, deployment, peers, kicks, patience }, kicked))
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Has a lane worked off once the transaction is committed.
    fn kick(&self, tx: &mut Tx, lane: String) {
        let kicks = self.kicks.clone();
        // Without room it is found by looking.
        tx.after_commit(move || drop(kicks.try_send(lane)));
    }

    async fn publish<E: Event>(&self, tx: &mut Tx, relying_party: RelyingPartyId, version: i64, event: &E) -> Result<(), Error> {
        let now = self.now();
        let id = EventId::generate(now, &self.random);
        Ok(outbox::add(tx, event, &EventContext { id, now, version, relying_party, traceparent: None }).await?)
    }
}
