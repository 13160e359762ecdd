//! The edge: phones and backends over HTTP. Stateless; every fact is asked of its owner.

mod auth;
mod body;
mod config;
mod console;
mod edge;
mod extract;
mod layers;
mod openapi;
mod problem;
mod rate;
mod replay;
mod reply;
mod routes;
mod wait;

use std::sync::Arc;

use nodkey_db::Migrations;
use nodkey_kernel::service_key::ServiceName;
use nodkey_runtime::{CredentialResolver, Deps, Parts, Service};
use tokio::sync::Semaphore;

pub use config::Config;
use edge::{Edge, Inner};
use rate::Rates;
use replay::Replays;

/// The service.
#[derive(Debug)]
pub struct Gateway;

impl Service for Gateway {
    const NAME: ServiceName = ServiceName::Gateway;

    type Config = Config;

    fn migrations() -> Option<Migrations> {
        None
    }

    async fn build(config: Config, deps: Deps) -> anyhow::Result<Parts> {
        let rates = [config.credential_rate, config.device_rate, config.address_rate, config.challenge_rate];
        let rates = rates.map(|rate| Arc::new(Rates::per_second(rate)));
        let jobs = vec![rate::forgetting(rates.to_vec())];
        let [credential_rates, device_rates, address_rates, challenge_rates] = rates;
        let Deps { bus, peers, clock, deployment, stopping, .. } = deps;
        let cookie_keys = console::cookie_keys(&config, &deployment)?;
        let edge = Edge(Arc::new(Inner {
            resolver: CredentialResolver::new(peers.registry().clone()),
            replays: Replays::new(config.remembered_proofs),
            credential_rates,
            device_rates,
            address_rates,
            challenge_rates,
            address_header: config.address_header,
            place_header: config.place_header,
            cookie_keys,
            in_flight: Arc::new(Semaphore::new(usize::try_from(config.max_in_flight)?)),
            waiting: Arc::new(Semaphore::new(usize::try_from(config.max_waiting)?)),
            started_at: clock.now(),
            peers,
            bus,
            clock,
            deployment,
            stopping,
        }));
        let console = if config.console { console::routes() } else { console::Routes::default() };
        Ok(Parts { http: routes::routes(edge, console.working, console.waiting), jobs, ..Parts::default() })
    }
}

/// The OpenAPI 3.1 document of everything the gateway serves, as JSON.
#[must_use]
pub fn openapi() -> String {
    routes::document()
}
