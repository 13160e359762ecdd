//! The interface of a service.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use nodkey_bus::{Bus, Consumer};
use nodkey_db::{Db, Migrations, sealed::SealedColumn};
use nodkey_kernel::{random::Random, service_key::ServiceName, time::Clock, vault::Vault};
use nodkey_metrics::List;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::identity::{deployment::Deployment, peers::Peers};

/// One of the services of Nodkey.
pub trait Service {
    /// The service's name.
    const NAME: ServiceName;

    /// The service's own settings, under `service.` in the configuration.
    type Config: DeserializeOwned + Default + Send;

    /// The service's own settings that it requires, by name: `service.cookie_key`.
    fn required(_config: &Self::Config) -> &'static [&'static str] {
        &[]
    }

    /// Refuses values that have the right type and are still invalid. The error begins with the name of the setting, without `service.`.
    fn check(_config: &Self::Config) -> anyhow::Result<()> {
        Ok(())
    }

    /// The service's own metrics.
    #[must_use]
    fn metrics() -> List {
        &[]
    }

    /// The database schema; `None` for a stateless service.
    fn migrations() -> Option<Migrations>;

    /// Assembles the service. Starts nothing.
    fn build(config: Self::Config, deps: Deps) -> impl Future<Output = anyhow::Result<Parts>> + Send;
}

/// Everything that a service may use. Nothing here reveals how it is deployed.
#[derive(Clone, Debug)]
pub struct Deps {
    /// The service's database; `None` for a stateless service.
    pub db: Option<Db>,
    /// Events and wakes.
    pub bus: Bus,
    /// The other services.
    pub peers: Peers,
    /// Source of the current time.
    pub clock: Clock,
    /// Source of randomness.
    pub random: Random,
    /// Vault for secrets at rest; `None` for a stateless service.
    pub vault: Option<Arc<Vault>>,
    /// Facts about the whole deployment.
    pub deployment: Arc<Deployment>,
    /// Canceled when the process begins to stop: handlers that keep a caller waiting should answer now.
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

/// The parts that a service hands to the process that runs it.
#[derive(Debug, Default)]
pub struct Parts {
    /// Its gRPC services, see [`crate::mount`].
    pub grpc: axum::Router,
    /// Its HTTP routes. Only the gateway has any.
    pub http: axum::Router,
    /// Full names of other services' gRPC services that those routes forward: health checks ask for them by name.
    pub passes_on: Vec<String>,
    /// Consumers of events.
    pub consumers: Vec<Consumer>,
    /// Background jobs.
    pub jobs: Vec<Job>,
    /// Whether a trusted proxy reports its clients: all connections then come from one address.
    pub proxied: bool,
    /// The sealed columns of its database, in addition to the responses that every service stores.
    pub sealed: &'static [SealedColumn],
}

/// Background work of a service, which runs until it is told to stop.
pub struct Job {
    pub(crate) name: &'static str,
    pub(crate) run: Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>,
}

impl Job {
    /// Creates a job. It must return soon after the token is canceled; one that returns earlier ends the process with an error.
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
