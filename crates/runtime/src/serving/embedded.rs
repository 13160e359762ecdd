//! All services in one process: SQLite files, events in memory, calls as function calls. Used by `nodkey dev`, small installations, and the
//! scenario tests.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context as _;
use axum::Router;
use futures_util::future::BoxFuture;
use nodkey_bus::{Bus, BusConfig};
use nodkey_db::{Db, DbConfig, Migrations};
use nodkey_kernel::{
    random::Random,
    service_key::{ServiceKey, ServiceName},
    time::Clock,
    vault::Vault,
};
use nodkey_metrics::List;

use super::{
    config::ServerConfig,
    connection::Audience,
    data_dir::DataDir,
    dead_letters::{DeadLetters, Owner},
    gauges,
    health::{Health, HealthApi},
    lifecycle::Running,
    listener::Listener,
    metrics,
    opening::Opening,
    places::ConnectionLimits,
    process::signalled,
    process_status::{Database, Reporter},
    reseal::Resealer,
    server::{self, Own},
    service::{Deps, Parts, Service},
    telemetry,
    tls::{self, TlsFiles},
};
use crate::{
    call::{admission::Admission, channel::Channel},
    identity::{
        auth::Authenticator,
        deployment::{Deployment, public_url},
        peers::Peers,
    },
};

/// Settings for running embedded.
#[derive(Debug)]
pub struct EmbeddedConfig {
    /// Folder of the SQLite files, one per service.
    pub data_dir: DataDir,
    /// Address on which the gateway listens.
    pub http: SocketAddr,
    /// Address on which backends call gRPC.
    pub grpc: SocketAddr,
    /// Enables TLS on both listeners.
    pub tls: Option<TlsFiles>,
    /// The gateway's public URL. `None`: `http://` or `https://` and the address on which it listens.
    pub public_url: Option<String>,
    /// Facts about the deployment. Its `public_url` is replaced by the one above, and its service keys by those below.
    pub deployment: Deployment,
    /// The keys that the services sign with, one each; see [`ServiceKey::all`].
    pub service_keys: Vec<ServiceKey>,
    /// Key that seals secrets at rest.
    pub master_key: [u8; 32],
    /// Other master keys that open them: usually predecessors.
    pub previous_master_keys: Vec<[u8; 32]>,
    /// Source of the current time.
    pub clock: Clock,
    /// Source of randomness.
    pub random: Random,
}

type Build = Box<dyn FnOnce(Deps) -> BoxFuture<'static, anyhow::Result<Parts>> + Send>;

struct Entry {
    name: ServiceName,
    migrations: Option<Migrations>,
    metrics: List,
    build: Build,
}

/// All services, not yet started.
pub struct Embedded {
    config: EmbeddedConfig,
    services: Vec<Entry>,
    routes: Router,
    limits: ConnectionLimits,
    ready_on_request: bool,
    max_calls: usize,
    operators_tls: bool,
    drain: Duration,
}

/// All services, running.
pub struct Handle {
    running: Running,
    health: Health,
    drain: Duration,
    /// Last, so that the folder is released only when nothing here uses it any more.
    _data_dir: DataDir,
    /// Address on which the gateway listens.
    pub http: SocketAddr,
    /// Address on which backends call gRPC.
    pub grpc: SocketAddr,
    /// The gateway's public URL.
    pub public_url: String,
}

impl Embedded {
    /// Creates a process without services.
    #[must_use]
    pub fn new(config: EmbeddedConfig) -> Self {
        Self {
            config,
            services: Vec::new(),
            routes: Router::new(),
            limits: ConnectionLimits::default(),
            ready_on_request: false,
            max_calls: ServerConfig::default().max_calls,
            operators_tls: true,
            drain: Duration::ZERO,
        }
    }

    /// Makes the process ready only when [`Handle::ready`] is called, and not as soon as it serves: there is more to do first.
    #[must_use]
    pub fn ready_on_request(self) -> Self {
        Self { ready_on_request: true, ..self }
    }

    /// Sets the connection limits of each listener, in place of the defaults.
    #[must_use]
    pub fn connections(self, limits: ConnectionLimits) -> Self {
        Self { limits, ..self }
    }

    /// Serves operators without TLS, on an address that only this machine reaches.
    #[must_use]
    pub fn plain_operators(self) -> Self {
        Self { operators_tls: false, ..self }
    }

    /// Sets the maximum number of concurrent gRPC calls of backends and operators, in place of the default.
    #[must_use]
    pub fn max_calls(self, max_calls: usize) -> Self {
        Self { max_calls, ..self }
    }

    /// Goes on serving for this long after it was told to stop, see [`ServerConfig::drain`].
    #[must_use]
    pub fn drain(self, drain: Duration) -> Self {
        Self { drain, ..self }
    }

    /// Serves these routes in addition to the gateway's.
    #[must_use]
    pub fn routes(self, routes: Router) -> Self {
        Self { routes, ..self }
    }

    /// Adds a service.
    #[must_use]
    pub fn with<S: Service + 'static>(mut self, config: S::Config) -> Self
    where
        S::Config: 'static,
    {
        let build: Build = Box::new(move |deps| {
            Box::pin(async move {
                S::check(&config)?;
                S::build(config, deps).await
            })
        });
        self.services.push(Entry { name: S::NAME, migrations: S::migrations(), metrics: S::metrics(), build });
        self
    }

    /// Builds and starts every service. Returns once all of them serve.
    pub async fn start(self) -> anyhow::Result<Handle> {
        // Before the first metric: what is recorded earlier is lost.
        metrics::start(&self.services.iter().map(|entry| entry.metrics).collect::<Vec<_>>());
        let mut config = self.config;
        let http = Listener::bind(config.http).await?;
        let grpc = Listener::bind(config.grpc).await?;
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let (tls, certificate) = tls::load(config.tls).await?;
        let public_url = match config.public_url {
            Some(url) => public_url(&url)?,
            None => format!("{scheme}://{}", http.local_addr()?),
        };
        config.data_dir.set_url(&public_url)?;
        let service_keys = config.service_keys.iter().collect();
        let deployment = Deployment { public_url: public_url.clone(), service_keys, serves_tls: tls.is_some(), ..config.deployment };
        // Each service has its own key, as in a separate process.
        let deployment = |name: ServiceName| {
            let key = config.service_keys.iter().find(|key| key.name() == name).with_context(|| format!("{name} has no key"))?;
            anyhow::Ok(Arc::new(deployment.seen_by(key)))
        };
        let vault = Arc::new(Vault::new(&config.master_key).opening(&config.previous_master_keys));
        let mut resealer = Resealer::new(Arc::clone(&vault), config.random.clone());
        let mut opening = Opening::new(&vault);
        let bus = Bus::connect(&BusConfig::default()).await?;
        let clock = config.clock;
        let routes = Arc::new(OnceLock::new());
        let channel = Channel::InProcess(Arc::clone(&routes));

        let mut running = Running::new(bus.clone());
        let (mut all_grpc, mut all_http) = (Router::new(), self.routes);
        let (mut databases, mut owned, mut letters) = (Vec::new(), Vec::new(), Vec::new());
        let mut limits = self.limits;
        let mut jobs = Vec::new();
        let (mut served, mut passed_on, mut proxied) = (BTreeSet::new(), Vec::new(), false);
        let names = self.services.iter().map(|entry| entry.name.as_str()).collect();
        for entry in self.services {
            let db = match &entry.migrations {
                None => None,
                Some(migrations) => {
                    let url = format!("sqlite:{}", config.data_dir.database(entry.name.as_str())?.display());
                    let db = Db::connect(&DbConfig::new(url)).await?;
                    db.migrate(migrations).await.with_context(|| format!("the data of {} is not usable", entry.name))?;
                    Some(db)
                }
            };
            let deployment = deployment(entry.name)?;
            let peers = Peers::new(entry.name, &deployment, &clock, |_| Ok(channel.clone()))?;
            let deps = Deps {
                db: db.clone(),
                bus: bus.clone(),
                peers,
                clock: clock.clone(),
                random: config.random.clone(),
                vault: Some(Arc::clone(&vault)),
                deployment,
                stopping: running.stopping(),
            };
            let parts = (entry.build)(deps).await.with_context(|| format!("cannot build {}", entry.name))?;
            all_grpc = all_grpc.merge(parts.grpc);
            all_http = all_http.merge(parts.http);
            jobs.extend(parts.jobs);
            limits = limits.behind_proxy(parts.proxied);
            proxied |= parts.proxied;
            served.extend(server::names_of(entry.name));
            passed_on.extend(parts.passes_on);
            if let Some(db) = db {
                resealer.add(entry.name.as_str(), &db, parts.sealed);
                opening.add(entry.name.as_str(), &db, parts.sealed);
                letters.push(Owner { service: entry.name.as_str(), db: db.clone(), consumers: parts.consumers.clone() });
                running.consumers(&db, &clock, parts.consumers).await?;
                owned.extend(entry.migrations.map(|schema| Database { service: entry.name.as_str(), db: db.clone(), schema }));
                databases.push((entry.name.as_str(), db));
            }
        }
        // All services share one listener. It queries the registry with the registry's own identity.
        let deployment = deployment(ServiceName::Registry)?;
        let peers = Peers::new(ServiceName::Registry, &deployment, &clock, |_| Ok(channel.clone()))?;
        let health = Health::new(databases.clone(), opening);
        let reporter = Reporter::new(names, health.clone(), owned, &clock);
        let authenticator = Authenticator::new(deployment, peers.registry(), clock.clone());
        let admission = Admission::new(self.max_calls);
        let api = HealthApi::new(health.clone(), served.into_iter().collect(), proxied);
        let dead_letters = DeadLetters::new(letters, bus, peers.registry(), &clock);
        let own = Own { process: reporter, vault: resealer, dead_letters };
        let all_grpc = server::grpc(all_grpc, authenticator, admission, own, api)?;
        // From here on services can call each other.
        routes.set(all_grpc.clone()).map_err(|_| anyhow::anyhow!("started twice"))?;
        // Only after every consumer is subscribed: in process, an event reaches only existing consumers.
        for (name, db) in &databases {
            running.relay(name, db.clone(), &clock);
        }
        jobs.extend([telemetry::upkeep(), health.watch(), gauges::job(databases)]);
        jobs.extend(certificate);
        running.jobs(jobs);
        let (http_health, checks) = (server::public_health(&health, passed_on, proxied), health.clone().routes());
        let addresses = (http.local_addr()?, grpc.local_addr()?);
        let http = http.with_tls(tls.clone()).with_limits(limits);
        let grpc = grpc.with_tls(tls.filter(|_| self.operators_tls)).with_limits(limits).for_audience(Audience::Services);
        running.server(|stop| http.serve(all_http.merge(http_health).merge(checks.clone()), stop));
        running.server(|stop| grpc.serve(all_grpc.merge(checks).merge(server::metrics()), stop));
        if !self.ready_on_request {
            health.started();
        }
        Ok(Handle { running, health, drain: self.drain, _data_dir: config.data_dir, http: addresses.0, grpc: addresses.1, public_url })
    }
}

impl Handle {
    /// Resolves on SIGINT, SIGTERM or a failure; false for a failure.
    pub async fn until_stopped(&self) -> anyhow::Result<bool> {
        tokio::select! {
            () = signalled()? => Ok(true),
            () = self.running.failed() => Ok(false),
        }
    }

    /// Marks the process as ready: everything that users need is there.
    pub fn ready(&self) {
        self.health.started();
    }

    /// Why it is not ready, as in `/readyz`; empty when it is.
    pub async fn problems(&self) -> Vec<String> {
        self.health.problems().await
    }

    /// Stops in order, once it has been drained; a signal ends that. Requests in flight are completed, and outboxes are sent.
    pub async fn stop(self) {
        self.health.stopping();
        if !self.drain.is_zero()
            && let Ok(again) = signalled()
        {
            let _ = tokio::time::timeout(self.drain, again).await;
        }
        self.running.stop().await;
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("http", &self.http).field("grpc", &self.grpc).finish_non_exhaustive()
    }
}
