//! What a service is.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use nodkey_bus::{Bus, Consumer};
use nodkey_db::{Db, Migrations, sealed::SealedColumn};
use nodkey_kernel::{random::Random, service_key::ServiceName, time::Clock, vault::Vault};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::identity::{deployment::Deployment, peers::Peers};

/// One of the services of Nodkey.
pub trait Service {
    /// Which.
    const NAME: ServiceName;

    /// Settings of its own, under `service.` in the configuration.
    type Config: DeserializeOwned + Default + Send;

    /// Which settings of its own it cannot do without, by their names: `service.cookie_key`.
    fn required(_config: &Self::Config) -> &'static [&'static str] {
        &[]
    }

    /// Its schema; `None` for a service without state.
    fn migrations() -> Option<Migrations>;

    /// Puts it together. Starts nothing.
    fn build(config: Self::Config, deps: Deps) -> impl Future<Output = anyhow::Result<Parts>> + Send;
}

/// Everything a service may touch. Nothing here tells how it is deployed.
#[derive(Clone, Debug)]
pub struct Deps {
    /// Its database; `None` for a service without state.
    pub db: Option<Db>,
    /// Events and wakes.
    pub bus: Bus,
    /// The other services.
    pub peers: Peers,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Secrets at rest; `None` for a service without state.
    pub vault: Option<Arc<Vault>>,
    /// Facts about the whole deployment.
    pub deployment: Arc<Deployment>,
    /// Cancelled when the process begins to stop: whoever holds a caller answers now.
    pub stopping: CancellationToken,
}

impl Deps {
    /// The database of a service that has one.
    pub fn db(&self) -> anyhow::Result<Db> {
        self.db.clone().ok_or_else(|| anyhow::anyhow!("this service needs a database: set NODKEY_DB__URL"))
    }

    /// The vault of a service that has a database.
    pub fn vault(&self) -> anyhow::Result<Arc<Vault>> {
        self.vault.clone().ok_or_else(|| anyhow::anyhow!("this service needs a master key: set NODKEY_DEPLOYMENT__MASTER_KEY"))
    }
}

/// What a service hands to the process that runs it.
#[derive(Debug, Default)]
pub struct Parts {
    /// Its gRPC services, see [`crate::mount`].
    pub grpc: axum::Router,
    /// Its HTTP routes. Only the gateway has any.
    pub http: axum::Router,
    /// Full names of the gRPC services of others that those routes pass on: health checks ask for them by name.
    pub passes_on: Vec<String>,
    /// What it consumes.
    pub consumers: Vec<Consumer>,
    /// What it does without being asked.
    pub jobs: Vec<Job>,
    /// Whether a trusted proxy tells it who its clients are: then they all come from one address.
    pub proxied: bool,
    /// Where its database has sealed values, beside the answers that every service keeps.
    pub sealed: &'static [SealedColumn],
}

/// Something a service does without being asked, until told to stop.
pub struct Job {
    pub(crate) name: &'static str,
    pub(crate) run: Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>,
}

impl Job {
    /// Makes a job. It returns soon after the token is cancelled; one that returns before ends the process with an error.
    pub fn new<F, Fut>(name: &'static str, run: F) -> Self
    where
        F: FnOnce(CancellationToken) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self { name, run: Box::new(|token| Box::pin(run(token))) }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("name", &self.name).finish_non_exhaustive()
    }
}
