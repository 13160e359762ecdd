//! One service as a separate process.

use std::{io::Write as _, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use nodkey_bus::{Bus, Identity};
use nodkey_db::Db;
use nodkey_kernel::{error::plain, random::Random, service_key::ServiceName, time::Clock};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::{
    arguments::{Command, help},
    config::{Config, DeploymentConfig, ServerConfig},
    connection::Audience,
    dead_letters::{DeadLetters, Owner},
    gauges,
    given::Given,
    health::{Health, HealthApi},
    lifecycle::Running,
    listener::Listener,
    metrics,
    opening::Opening,
    process_status::{Database, Reporter},
    reseal::Resealer,
    server::{self, Own},
    service::{Deps, Service},
    telemetry::{self, LogFormat, Otlp},
    tls,
};
use crate::{
    call::{admission::Admission, channel::Channel},
    identity::{auth::Authenticator, deployment::Deployment, peers::Peers},
};

/// Runs a service until it is stopped. The `main` of its binary.
#[must_use]
pub fn main<S: Service + 'static>() -> ExitCode {
    install_crypto_provider();
    let run = match Command::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => {
            say(&help::<S>());
            return ExitCode::SUCCESS;
        }
        Ok(Command::Version) => {
            say(&format!("nodkey-{} {}", S::NAME, env!("CARGO_PKG_VERSION")));
            return ExitCode::SUCCESS;
        }
        Ok(command) => command,
        Err(wrong) => {
            eprintln!("nodkey-{}: {wrong}", S::NAME);
            return ExitCode::from(2);
        }
    };
    let environment = |name| std::env::vars_os().find(|(n, _)| n == name).map(|(_, value)| value);
    let text = |name| environment(name).and_then(|v| v.into_string().ok());
    let named = text("NODKEY_LOG_FORMAT");
    let format = if named.as_deref() == Some("pretty") { LogFormat::Pretty } else { LogFormat::Json };
    let otlp = match run {
        Command::Run => Otlp::of_environment(&format!("nodkey-{}", S::NAME)),
        _ => Otlp::wanted().map(|_| Otlp::default()),
    };
    let otlp = match otlp {
        Ok(otlp) => otlp,
        Err(refused) => {
            eprintln!("nodkey-{}: configuration: {refused:#}", S::NAME);
            return ExitCode::FAILURE;
        }
    };
    telemetry::init(format, text("NODKEY_LOG").as_deref().unwrap_or("info"), &otlp);
    if named.is_some_and(|named| !["json", "pretty", ""].contains(&named.as_str())) {
        warn!("NODKEY_LOG_FORMAT is neither json nor pretty: json is used");
    }
    let file = environment("NODKEY_CONFIG").map(PathBuf::from);
    let outcome = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("runtime").and_then(|runtime| {
        runtime.block_on(async {
            let given = Given::read(file.as_deref(), std::env::vars_os()).context("configuration")?;
            if run == Command::HealthCheck {
                return health_check(&given.section("server")).await;
            }
            if run == Command::PrintConfig {
                say(&given.to_toml::<Config<S::Config>>());
            }
            let config = Config::<S::Config>::of(&given, S::migrations().is_some(), S::required)?;
            S::check(&config.service).map_err(|e| anyhow::anyhow!("configuration: service.{e}"))?;
            if run == Command::PrintConfig {
                return Ok(());
            }
            if run == Command::CheckConfig {
                check_keys(S::NAME, S::migrations().is_some(), &config.deployment, config.db.is_some())?;
                config.deployment.into_deployment(S::NAME)?;
                say("the settings are valid");
                return Ok(());
            }
            warn_of_what_has_no_effect::<S>(&given);
            serve::<S>(config).await
        })
    });
    otlp.end();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("nodkey-{}: {}", S::NAME, plain(&format!("{e:#}")));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line to standard output. Whoever reads it may have seen enough (`| head`).
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Warns about settings that have no effect here.
fn warn_of_what_has_no_effect<S: Service>(given: &Given) {
    for stray in given.strays::<Config<S::Config>>() {
        warn!("{stray}");
    }
    // `deployment.*` and `bus.*` are the same for all services and are not reported.
    let stateless: &[&str] = if S::migrations().is_none() { &["server.max_calls"] } else { &[] };
    for name in stateless.iter().filter(|name| given.has(name)) {
        warn!(setting = name, "this setting has no effect on {}", S::NAME);
    }
    if given.has("bus.password") && !given.has("bus.user") {
        warn!(setting = "bus.password", "this setting has no effect without bus.user");
    }
    if !given.has("bus.url") {
        warn!("bus.url is not set, so no event leaves this process, and none reaches it: set NODKEY_BUS__URL");
    }
}

/// Tells rustls which of the providers from the dependencies to use. Call it first in `main`.
pub fn install_crypto_provider() {
    // Fails only if it was already installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The key that this process signs events with, and those that it verifies others' by.
fn identity(deployment: &Deployment, clock: &Clock) -> Option<Identity> {
    let keys = || Arc::new(deployment.service_keys.clone());
    deployment.service_key.clone().map(|key| Identity { key, keys: keys(), clock: clock.clone() })
}

async fn serve<S: Service>(config: Config<S::Config>) -> anyhow::Result<()> {
    // Before the first metric: what is recorded earlier is lost.
    metrics::start(&[S::metrics()]);
    // Bound before anything else is touched: a second instance fails here, not half way through.
    let listener = Listener::bind(config.server.listen).await?;
    let metrics_listener = match config.server.metrics_listen {
        Some(address) => Some(Listener::bind(address).await?),
        None => None,
    };
    let (limits, drain) = (config.server.connection_limits(), config.server.drain());
    let admission = Admission::new(config.server.max_calls);
    let (tls, certificate) = tls::load(config.server.tls).await?;
    let authority = match &config.peers.ca_certificate {
        Some(path) => Some(tokio::fs::read(path).await.with_context(|| format!("cannot read {}", path.display()))?),
        None => None,
    };
    let clock = Clock::system();
    check_keys(S::NAME, S::migrations().is_some(), &config.deployment, config.db.is_some())?;
    let vault = config.deployment.vault()?.map(Arc::new);
    let deployment = Arc::new(Deployment { serves_tls: tls.is_some(), ..config.deployment.into_deployment(S::NAME)? });
    let identity = identity(&deployment, &clock);
    let bus = Bus::connect_as(&config.bus, identity).await?;
    let db = match (S::migrations(), config.db) {
        (None, _) => None,
        (Some(_), None) => anyhow::bail!("this service needs a database: set NODKEY_DB__URL"),
        (Some(migrations), Some(config)) => {
            let db = Db::connect(&config).await.with_context(|| format!("cannot use {}", config.server()))?;
            db.migrate(&migrations).await?;
            bus.check(S::NAME.as_str()).await?;
            Some(db)
        }
    };
    let peers = Peers::new(S::NAME, &deployment, &clock, |name| {
        Channel::remote(name, config.peers.url(name).with_context(|| format!("no service calls {name}"))?, authority.as_deref())
    })?;
    let registry = peers.registry().clone();
    let authenticator = Authenticator::new(Arc::clone(&deployment), &registry, clock.clone());
    let mut running = Running::new(bus.clone());
    let deps = Deps {
        db: db.clone(),
        bus,
        peers,
        clock: clock.clone(),
        random: Random::system(),
        vault: vault.clone(),
        deployment,
        stopping: running.stopping(),
    };
    let parts = S::build(config.service, deps).await?;
    let databases: Vec<_> = db.iter().map(|db| (S::NAME.as_str(), db.clone())).collect();
    let mut opening = vault.as_ref().map(Opening::new).unwrap_or_default();
    if let Some(db) = &db {
        opening.add(S::NAME.as_str(), db, parts.sealed);
    }
    let gauges = gauges::job(Vec::clone(&databases));
    let health = Health::new(databases, opening);
    let owned = db.iter().cloned().zip(S::migrations()).map(|(db, schema)| Database { service: S::NAME.as_str(), db, schema }).collect();
    let reporter = Reporter::new(vec![S::NAME.as_str()], health.clone(), owned, &clock);
    let limits = limits.behind_proxy(parts.proxied);
    // A service with HTTP routes faces the public, which must not reach metrics or gRPC.
    let (audience, routes) = match (&db, vault) {
        (Some(db), Some(vault)) => {
            let mut resealer = Resealer::new(vault, Random::system());
            resealer.add(S::NAME.as_str(), db, parts.sealed);
            let api = HealthApi::new(health.clone(), server::names_of(S::NAME).collect(), true);
            let here = Owner { service: S::NAME.as_str(), db: db.clone(), consumers: parts.consumers.clone() };
            let dead_letters = DeadLetters::new(vec![here], running.bus(), &registry, &clock);
            let own = Own { process: reporter, vault: resealer, dead_letters };
            let routes = server::grpc(parts.grpc, authenticator, admission, own, api)?;
            (Audience::Services, routes.merge(server::metrics()))
        }
        _ => (Audience::Public, parts.http.merge(server::public_health(&health, parts.passes_on, parts.proxied))),
    };
    if let Some(db) = db {
        running.consumers(&db, &clock, parts.consumers).await?;
        running.relay(S::NAME.as_str(), db, &clock);
    }
    running.jobs(parts.jobs);
    running.jobs(vec![telemetry::upkeep(), health.watch(), gauges]);
    running.jobs(certificate.into_iter().collect());
    if let Some(listener) = metrics_listener {
        let routes = server::metrics().merge(health.clone().routes());
        running.server(|stop| listener.with_limits(limits).serve(routes, stop));
    }
    let address = listener.local_addr()?;
    let served = routes.merge(health.clone().routes());
    running.server(|stop| listener.with_tls(tls).with_limits(limits).for_audience(audience).serve(served, stop));
    info!(service = S::NAME.as_str(), %address, "listening");
    health.started();
    let failed = wait(&running).await?;
    health.stopping();
    // Nothing is worth waiting for once a part has failed.
    let drain = if failed { Duration::ZERO } else { drain };
    let stop = async {
        tokio::time::sleep(drain).await;
        running.stop().await;
    };
    tokio::select! {
        () = stop => {}
        // A second signal stops immediately.
        () = signalled()? => anyhow::bail!("aborted by a second signal"),
    }
    anyhow::ensure!(!failed, "a part of the service failed; see the log");
    Ok(())
}

/// Refuses secrets that a process does not need. Where services still share a key, warns about them and about that key.
fn check_keys(name: ServiceName, stateful: bool, config: &DeploymentConfig, database: bool) -> anyhow::Result<()> {
    let mut needless = config.needless(stateful);
    needless.extend((!stateful && database).then_some("db.url"));
    if stateful && (config.operator_key.is_some() || config.previous_operator_key.is_some()) {
        warn!(
            "deployment.operator_key is symmetric, so this service can say what `nodkey admin` says; it goes with the next version: see \
             docs/operations/older-keys.md"
        );
    }
    if config.internal_key.is_some() {
        warn!(
            "deployment.internal_key lets every process act as any other, and will be removed in the next version: see \
             docs/operations/older-keys.md"
        );
        if !needless.is_empty() {
            warn!(settings = needless.join(", "), "{name} does not need these secrets, and an attacker who compromises it gets them");
        }
        return Ok(());
    }
    anyhow::ensure!(needless.is_empty(), "{name} must not have {}: an attacker who compromises it would get them", needless.join(", "));
    Ok(())
}

/// Resolves on a signal or a failure; true for a failure.
async fn wait(running: &Running) -> anyhow::Result<bool> {
    tokio::select! {
        () = signalled()? => Ok(false),
        () = running.failed() => Ok(true),
    }
}

/// Resolves on SIGINT or SIGTERM.
pub(crate) fn signalled() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

async fn health_check(server: &ServerConfig) -> anyhow::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    anyhow::ensure!(
        server.tls.is_none() || server.metrics_listen.is_some(),
        "with TLS the health check needs an address without: set NODKEY_SERVER__METRICS_LISTEN"
    );
    let address = server.metrics_listen.unwrap_or(server.listen);
    let address = if address.ip().is_unspecified() { ([127, 0, 0, 1], address.port()).into() } else { address };
    let mut stream = tokio::net::TcpStream::connect(address).await.with_context(|| format!("nothing runs at {address}"))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer).await?;
    anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "not ready: {}", answer.lines().last().unwrap_or_default());
    Ok(())
}
