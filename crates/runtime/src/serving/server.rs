//! What listeners serve: gRPC and plain HTTP on one router.

use std::sync::Arc;

use anyhow::Context as _;
use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use metrics::counter;
use nodkey_proto::status::v1::{status_service_server::StatusServiceServer, vault_service_server::VaultServiceServer};
use tokio::sync::Semaphore;
use tonic::Status;

use super::{process_status::Reporter, reseal::Resealer, telemetry};
use crate::{
    call::{
        admission::{Admission, until_written},
        deadline,
        grpc::mount,
        refusals::refused,
        trace,
    },
    identity::{
        admit,
        auth::{self, Authenticator},
    },
};

/// How many calls and streams of health and reflection are served at once: they are open to whoever reaches the port.
const OPEN_CALLS: usize = 64;

/// gRPC services behind authentication, admission and deadlines, with health and reflection.
pub(crate) async fn grpc(
    services: Router,
    authenticator: Authenticator,
    admission: Admission,
    process: Reporter,
    vault: Resealer,
) -> anyhow::Result<Router> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(nodkey_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .context("reflection")?;
    let services = mount(mount(services, StatusServiceServer::new(process)), VaultServiceServer::new(vault));
    let open = middleware::from_fn_with_state(Arc::new(Semaphore::new(OPEN_CALLS)), few);
    let open = mount(mount(Router::new(), health), reflection).layer(open);
    Ok(services
        .merge(open)
        .fallback(|| async { Status::unimplemented("no such method").into_http::<axum::body::Body>() })
        .layer(middleware::from_fn_with_state(admission, admit::middleware))
        .layer(middleware::from_fn_with_state(authenticator, auth::middleware))
        .layer(middleware::from_fn(deadline::middleware))
        .layer(middleware::from_fn(trace::middleware))
        .layer(middleware::from_fn(count)))
}

/// Refuses what is more than a few at once.
async fn few(State(room): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(place) = room.try_acquire_owned() else {
        refused("health or reflection call beyond the limit");
        return Status::resource_exhausted("too many calls of this kind at once").into_http();
    };
    until_written(next.run(request).await, place)
}

/// Counts calls, whether they come over the network or from within the process.
async fn count(request: Request, next: Next) -> Response {
    counter!("nodkey_grpc_requests_total").increment(1);
    next.run(request).await
}

/// `/metrics`, for listeners that are not public.
pub(crate) fn metrics() -> Router {
    telemetry::handle();
    Router::new().route("/metrics", get(|| async { telemetry::metrics() }))
}
