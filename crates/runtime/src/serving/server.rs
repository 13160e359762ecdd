//! What listeners serve: gRPC and plain HTTP on one router.

use anyhow::Context as _;
use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use metrics::counter;
use nodkey_proto::status::v1::{status_service_server::StatusServiceServer, vault_service_server::VaultServiceServer};
use tonic::Status;

use super::{process_status::Reporter, reseal::Resealer, telemetry};
use crate::{
    call::{deadline, grpc::mount, trace},
    identity::auth::{self, Authenticator},
};

/// gRPC services behind authentication and deadlines, with health and reflection.
pub(crate) async fn grpc(services: Router, authenticator: Authenticator, process: Reporter, vault: Resealer) -> anyhow::Result<Router> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(nodkey_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .context("reflection")?;
    let services = mount(mount(services, StatusServiceServer::new(process)), VaultServiceServer::new(vault));
    Ok(mount(mount(services, health), reflection)
        .fallback(|| async { Status::unimplemented("no such method").into_http::<axum::body::Body>() })
        .layer(middleware::from_fn_with_state(authenticator, auth::middleware))
        .layer(middleware::from_fn(deadline::middleware))
        .layer(middleware::from_fn(trace::middleware))
        .layer(middleware::from_fn(count)))
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
