//! The gateway: the HTTP API of phones and backends. It is stateless and reads every fact from the service that owns it.

mod address;
mod addressee;
mod auth;
mod body;
mod class;
mod config;
mod console;
mod devices;
mod extract;
mod given;
mod grpc;
mod layers;
mod limits;
mod measured;
mod metrics;
mod named;
mod openapi;
mod operators;
mod plain;
mod problem;
mod replay;
mod reply;
mod routes;
mod state;
mod strict;
mod tail;
mod wait;

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use nodkey_db::Migrations;
use nodkey_kernel::service_key::ServiceName;
use nodkey_metrics::List;
use nodkey_runtime::{CredentialResolver, Deps, Parts, Service, admission::Admission};
use tokio::sync::Semaphore;

use body::Bodies;
pub use config::Config;
use devices::Devices;
use given::Given;
use limits::{
    network::UnnamedProxy,
    permits::{Limits, Permits},
    rate::{self, Rates},
    registrations::Registrations,
    shares::Shares,
    strangers::Strangers,
};
use operators::Operators;
use replay::Replays;
use state::{AppState, Inner};
use tail::Tail;
use wait::looks;

/// The maximum number of streams from services for all relying parties together: half of what the connections to one service carry.
const STREAMS: u32 = 12_800;
/// How many credentials are remembered as proven within the hour.
const PROVEN_TOKENS: u64 = 100_000;
/// How many first reads for waits on streams of many results run at the same time.
const FIRST_LOOKS: usize = 64;

/// The gateway service.
#[derive(Debug)]
pub struct Gateway;

impl Service for Gateway {
    const NAME: ServiceName = ServiceName::Gateway;

    type Config = Config;

    fn metrics() -> List {
        metrics::METRICS
    }

    fn migrations() -> Option<Migrations> {
        None
    }

    fn required(config: &Config) -> &'static [&'static str] {
        if config.console && config.previous_cookie_key.is_none() { &["service.cookie_key"] } else { &[] }
    }

    fn check(config: &Config) -> anyhow::Result<()> {
        config.check()
    }

    async fn build(config: Config, deps: Deps) -> anyhow::Result<Parts> {
        let rates = [config.credential_rate, config.device_rate, config.address_rate, config.challenge_rate];
        let rates = rates.map(|rate| Arc::new(Rates::per_second(rate)));
        let mut jobs = vec![rate::forgetting(rates.to_vec())];
        let [credential_rates, device_rates, address_rates, challenge_rates] = rates;
        let Deps { bus, peers, clock, random, deployment, stopping, .. } = deps;
        let proxied = config.address_header.is_some();
        let operators = Operators::of(config.console, config.operator_grpc);
        let cookie_keys = console::cookie_keys(&config, &deployment)?;
        let state = AppState(Arc::new(Inner {
            tail: Tail::default(),
            resolver: CredentialResolver::new(peers.registry().clone()),
            replays: Replays::new(config.remembered_proofs),
            repeated: Replays::new(config.remembered_proofs),
            proven_tokens: Cache::builder().max_capacity(PROVEN_TOKENS).time_to_idle(Duration::from_hours(1)).build(),
            credential_rates,
            device_rates,
            address_rates,
            challenge_rates,
            operators,
            streams: Shares::new(config.streams_per_party, STREAMS),
            first_looks: Arc::new(Semaphore::new(FIRST_LOOKS)),
            address_header: config.address_header,
            trusted_hops: usize::try_from(config.trusted_hops)?,
            place_header: config.place_header,
            security_contact: config.security_contact,
            cookie_keys,
            admission: Admission::new(usize::try_from(config.max_in_flight)?),
            bodies: Bodies::default(),
            waits: Permits::new(Limits {
                all: config.max_waiting,
                per_address: config.max_waiting_per_address,
                per_party: config.max_waiting_per_party,
            }),
            given: Given::new(),
            devices: Devices::new(),
            strangers: Strangers::new(config.unknown_device_rate),
            registrations: Registrations::new(config.registration_rate),
            unnamed_proxy: UnnamedProxy::new(),
            random,
            started_at: clock.now(),
            peers,
            bus,
            clock,
            deployment,
            stopping,
        }));
        jobs.push(looks::job(state.clone(), Duration::from_secs(config.look_seconds.into())));
        let console = if config.console { console::routes(&state) } else { console::Routes::default() };
        let grpc = grpc::routes(operators != Operators::Nobody);
        let passes_on = grpc::services(operators != Operators::Nobody);
        Ok(Parts { http: routes::routes(state, console.working, console.waiting, grpc), passes_on, jobs, proxied, ..Parts::default() })
    }
}

/// The OpenAPI 3.1 document of everything the gateway serves, as JSON.
#[must_use]
pub fn openapi() -> String {
    routes::document("/").to_string()
}
