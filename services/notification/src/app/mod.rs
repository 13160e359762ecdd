//! Use cases.

mod deliveries;
mod endpoint_keys;
mod endpoints;
mod mirror;
mod push_configurations;
mod pushes;

use std::{sync::Arc, time::Duration};

use nodkey_bus::Bus;
use nodkey_db::{
    Db, Tx,
    outbox::{self, EventContext},
};
use nodkey_kernel::{
    egress::Egress,
    id::RelyingPartyId,
    random::Random,
    time::{Clock, Timestamp},
    vault::Vault,
};
use nodkey_proto::Event;
use nodkey_runtime::{Deployment, Deps, Peers};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use self::{
    deliveries::{CallbackTo, Fact, Listing, Range, Settled},
    endpoints::Change,
    mirror::{Mirrored, Mirrors},
};
use crate::{config::Config, error::Error};

/// How often a change is attempted when concurrent changes win.
const ATTEMPTS: usize = 8;
/// Maximum number of queued wakes of receiver queues; further ones are found by polling.
const WAKES: usize = 1_024;

/// Names of receiver queues with something due.
#[derive(Debug)]
pub struct Woken {
    /// Queues of webhook deliveries.
    pub webhooks: mpsc::Receiver<String>,
    /// Queues of pushes.
    pub pushes: mpsc::Receiver<String>,
}

/// The use cases. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    db: Db,
    clock: Clock,
    random: Random,
    vault: Arc<Vault>,
    deployment: Arc<Deployment>,
    /// Where addresses that phones name may lead.
    push_egress: Egress,
    peers: Peers,
    bus: Bus,
    stopping: CancellationToken,
    mirrors: Mirrors,
    wakes: mpsc::Sender<String>,
    push_wakes: mpsc::Sender<String>,
    patience: Duration,
    retention: Duration,
}

impl App {
    /// Creates the use cases.
    pub fn new(config: &Config, deps: Deps) -> anyhow::Result<(Self, Woken)> {
        let (db, vault) = (deps.db()?, deps.vault()?);
        let Deps { bus, clock, random, deployment, peers, stopping, .. } = deps;
        let (wakes, webhooks) = mpsc::channel(WAKES);
        let (push_wakes, pushes) = mpsc::channel(WAKES);
        let patience = Duration::from_hours(24 * u64::from(config.disable_after_days));
        let retention = Duration::from_hours(24 * u64::from(config.retention_days));
        let push_egress = config.push.egress(&deployment.egress);
        let mirrors = Mirrors::default();
        let app = Self {
            db,
            clock,
            random,
            vault,
            deployment,
            push_egress,
            peers,
            bus,
            stopping,
            mirrors,
            wakes,
            push_wakes,
            patience,
            retention,
        };
        Ok((app, Woken { webhooks, pushes }))
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn publish<E: Event>(&self, tx: &mut Tx, relying_party: RelyingPartyId, version: i64, event: &E) -> Result<(), Error> {
        let now = self.now();
        Ok(outbox::add(tx, event, &EventContext { now, version, relying_party }).await?)
    }
}

/// Wakes a receiver queue once the transaction is committed.
fn wake(wakes: &mpsc::Sender<String>, tx: &mut Tx, queue: String) {
    let wakes = wakes.clone();
    // If the channel is full, the queue is found by polling.
    tx.after_commit(move || drop(wakes.try_send(queue)));
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
