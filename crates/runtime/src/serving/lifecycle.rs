//! Starting everything, and stopping it in order.

use std::{future::Future, time::Duration};

use nodkey_bus::{Bus, CONSUMERS, Consumer, consume, relay};
use nodkey_db::Db;
use nodkey_kernel::time::Clock;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::service::Job;

/// Maximum duration of requests in flight during shutdown.
const GRACE: Duration = Duration::from_secs(10);

/// Tasks that stop together. If one ends before it was told to stop, the process ends.
struct Group {
    name: &'static str,
    tasks: JoinSet<&'static str>,
    stop: CancellationToken,
}

impl Group {
    fn new(name: &'static str) -> Self {
        Self { name, tasks: JoinSet::new(), stop: CancellationToken::new() }
    }

    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static, failed: &CancellationToken) {
        let (stop, failed) = (self.stop.clone(), failed.clone());
        self.tasks.spawn(async move {
            // Dropped by a panic as well as by a return: in either case this work is no longer done.
            let guard = failed.drop_guard();
            task.await;
            if stop.is_cancelled() {
                guard.disarm();
            } else {
                error!(task = name, "ended before it was told to");
            }
            name
        });
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        let finished = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Err(e) = ended {
                    error!(group = self.name, error = %e, "a task failed");
                }
            }
        };
        if tokio::time::timeout(GRACE, finished).await.is_err() {
            warn!(group = self.name, "did not stop in time, aborting");
            self.tasks.shutdown().await;
        }
    }
}

/// Everything that runs in a process, in the order in which it stops.
pub(crate) struct Running {
    servers: Group,
    consumers: Group,
    jobs: Group,
    relays: Group,
    failed: CancellationToken,
    bus: Bus,
    databases: Vec<Db>,
}

impl Running {
    pub(crate) fn new(bus: Bus) -> Self {
        Self {
            servers: Group::new("servers"),
            consumers: Group::new("consumers"),
            jobs: Group::new("jobs"),
            relays: Group::new("relays"),
            failed: CancellationToken::new(),
            bus,
            databases: Vec::new(),
        }
    }

    /// Subscribes and starts consumers. Call this for every service before any relay is started.
    pub(crate) async fn consumers(&mut self, db: &Db, clock: &Clock, consumers: Vec<Consumer>) -> anyhow::Result<()> {
        for consumer in consumers {
            let name = consumer.name();
            debug_assert!(CONSUMERS.contains(&(name, consumer.subject())), "its service's NATS user may not create {name}");
            let run = consume(&self.bus, db.clone(), clock.clone(), consumer, self.consumers.stop.clone()).await?;
            self.consumers.spawn(name, run, &self.failed);
        }
        Ok(())
    }

    /// Starts the relay of a service.
    pub(crate) fn relay(&mut self, service: &'static str, db: Db, clock: &Clock) {
        let run = relay(service, self.bus.clone(), db.clone(), clock.clone(), self.relays.stop.clone());
        self.relays.spawn("relay", run, &self.failed);
        self.databases.push(db);
    }

    /// Starts jobs.
    pub(crate) fn jobs(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            let run = (job.run)(self.jobs.stop.clone());
            self.jobs.spawn(job.name, run, &self.failed);
        }
    }

    /// Starts a server; `serve` receives the token that stops it.
    pub(crate) fn server<F>(&mut self, serve: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let serving = serve(self.servers.stop.clone());
        let run = async move {
            if let Err(e) = serving.await {
                error!(error = format!("{e:#}"), "a server failed");
            }
        };
        self.servers.spawn("server", run, &self.failed);
    }

    /// The bus of the process.
    pub(crate) fn bus(&self) -> Bus {
        self.bus.clone()
    }

    /// Canceled when the process begins to stop.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.servers.stop.clone()
    }

    /// Resolves when something ended that should not have.
    pub(crate) async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Stops in order: new requests, requests in flight, consumers, jobs, a last flush of the relays, the bus, and the databases.
    pub(crate) async fn stop(mut self) {
        info!("stopping");
        self.servers.stop().await;
        self.consumers.stop().await;
        self.jobs.stop().await;
        self.relays.stop().await;
        self.bus.close().await;
        for db in &self.databases {
            db.close().await;
        }
    }
}
