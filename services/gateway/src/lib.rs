//! The edge: phones and backends over HTTP. Stateless; every fact is asked of its owner.

mod auth;
mod config;
mod console;
mod extract;
mod layers;
mod openapi;
mod problem;
mod routes;
mod wait;

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use nodkey_bus::Bus;
use nodkey_db::Migrations;
use nodkey_kernel::time::{Clock, Timestamp};
use nodkey_runtime::{CredentialResolver, Deployment, Deps, Parts, Peers, Service};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use config::Config;
use problem::Problem;

/// The largest body that is read: 1 MiB of custom fields, and room for the rest.
const MAX_BODY: usize = (1 << 20) + (64 << 10);
/// The largest message another service answers with.
const MAX_MESSAGE: usize = 8 << 20;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// The service.
#[derive(Debug)]
pub struct Gateway;

/// What handlers share. Cheap to clone.
#[derive(Clone, Debug)]
struct Edge(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    peers: Peers,
    bus: Bus,
    clock: Clock,
    deployment: Arc<Deployment>,
    resolver: CredentialResolver,
    replays: auth::Replays,
    credential_rates: Arc<auth::Rates>,
    device_rates: Arc<auth::Rates>,
    address_rates: Arc<auth::Rates>,
    address_header: Option<String>,
    place_header: Option<String>,
    in_flight: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    started_at: Timestamp,
    stopping: CancellationToken,
}

impl std::ops::Deref for Edge {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Service for Gateway {
    const NAME: &'static str = "gateway";

    type Config = Config;

    fn migrations() -> Option<Migrations> {
        None
    }

    async fn build(config: Config, deps: Deps) -> anyhow::Result<Parts> {
        let rates = [config.credential_rate, config.device_rate, config.address_rate].map(|rate| Arc::new(auth::Rates::per_second(rate)));
        let jobs = vec![auth::forgetting(rates.to_vec())];
        let [credential_rates, device_rates, address_rates] = rates;
        let Deps { bus, peers, clock, deployment, stopping, .. } = deps;
        let edge = Edge(Arc::new(Inner {
            resolver: CredentialResolver::new(peers.registry().clone()),
            replays: auth::Replays::new(config.remembered_proofs),
            credential_rates,
            device_rates,
            address_rates,
            address_header: config.address_header,
            place_header: config.place_header,
            in_flight: Arc::new(Semaphore::new(usize::try_from(config.max_in_flight)?)),
            waiting: Arc::new(Semaphore::new(usize::try_from(config.max_waiting)?)),
            started_at: clock.now(),
            peers,
            bus,
            clock,
            deployment,
            stopping,
        }));
        Ok(Parts { http: routes::routes(edge, config.console), jobs, ..Parts::default() })
    }
}

/// The OpenAPI 3.1 document of everything the gateway serves, as JSON.
#[must_use]
pub fn openapi() -> String {
    routes::document()
}

/// An answer in JSON, its type spelled as existing clients hash it.
fn reply(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(json) => {
            let json_type = HeaderValue::from_static("application/json; charset=utf-8");
            (status, [(CONTENT_TYPE, json_type)], json).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Reads a body, up to a size and for a time.
async fn read_body(body: Body) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(e)) if e.is::<LengthLimitError>() => {
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", "the body is larger than 1 MB"))
        }
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "BODY_INCOMPLETE", "the body ended too early")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW", "the body took too long")),
    }
}
