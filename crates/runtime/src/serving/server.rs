//! What listeners serve: gRPC and plain HTTP on one router.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use nodkey_kernel::{error::Kind, service_key::ServiceName};
use nodkey_proto::{
    access::{ACCESS, owner},
    status::v1::{
        dead_letter_service_server::DeadLetterServiceServer, status_service_server::StatusServiceServer,
        vault_service_server::VaultServiceServer,
    },
};
use tokio::sync::Semaphore;
use tonic::{Status, server::NamedService as _};

use super::{
    dead_letters::DeadLetters,
    health::{Health, HealthApi},
    measured,
    process_status::Reporter,
    reseal::Resealer,
    telemetry,
};
use crate::{
    call::{
        admission::{Admission, until_written},
        deadline,
        grpc::mount,
        refusal::Refusal,
        refusals::refused,
        status, trace,
    },
    identity::{
        admit,
        auth::{self, Authenticator},
    },
};

/// Maximum number of concurrent reflection calls and streams: anyone who reaches the port can open them.
const OPEN_CALLS: usize = 64;

/// What every process with a database serves for itself.
pub(crate) struct Own {
    pub(crate) process: Reporter,
    pub(crate) vault: Resealer,
    pub(crate) dead_letters: DeadLetters,
}

/// gRPC services behind authentication, admission and deadlines, with health and reflection.
pub(crate) fn grpc(
    services: Router,
    authenticator: Authenticator,
    admission: Admission,
    own: Own,
    health: HealthApi,
) -> anyhow::Result<Router> {
    let described = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(nodkey_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let reflection = mount(Router::new(), described().build_v1().context("reflection")?);
    // Used by tools from before 2023, and some later ones.
    let reflection = mount(reflection, described().build_v1alpha().context("reflection")?);
    let services = mount(mount(services, StatusServiceServer::new(own.process)), VaultServiceServer::new(own.vault));
    let services = mount(services, DeadLetterServiceServer::new(own.dead_letters));
    let open = middleware::from_fn_with_state(Arc::new(Semaphore::new(OPEN_CALLS)), few);
    let open = reflection.layer(open);
    Ok(mount(services, health.server())
        .merge(open)
        .fallback(|| async { Status::unimplemented("no such method").into_http::<axum::body::Body>() })
        .layer(middleware::from_fn_with_state(admission, admit::middleware))
        .layer(middleware::from_fn_with_state(authenticator, auth::middleware))
        .layer(middleware::from_fn(deadline::middleware))
        .layer(middleware::from_fn(trace::middleware))
        .layer(middleware::from_fn(measured::middleware)))
}

/// Health of the gRPC services that a public listener forwards, open to anyone: a check is cheap, and the number of watches is limited.
pub(crate) fn public_health(health: &Health, names: Vec<String>, proxied: bool) -> Router {
    mount(Router::new(), HealthApi::new(health.clone(), names, proxied).server())
}

/// The full names of a service's own gRPC services, and of those that every process has.
pub(crate) fn names_of(service: ServiceName) -> impl Iterator<Item = String> {
    let everywhere =
        [StatusServiceServer::<Reporter>::NAME, VaultServiceServer::<Resealer>::NAME, DeadLetterServiceServer::<DeadLetters>::NAME];
    let own = ACCESS.iter().filter(move |(path, _)| owner(path) == Some(service)).filter_map(|(path, _)| path.split('/').nth(1));
    own.chain(everywhere).map(ToOwned::to_owned).collect::<BTreeSet<_>>().into_iter()
}

/// Refuses calls beyond a small number of concurrent ones.
async fn few(State(permits): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(permit) = permits.try_acquire_owned() else {
        refused(Refusal::Reflection);
        return status::new(Kind::Exhausted, "OVERLOADED", "too many concurrent calls of this kind", &[]).into_http();
    };
    until_written(next.run(request).await, permit)
}

/// `/metrics`, for listeners that are not public.
pub(crate) fn metrics() -> Router {
    Router::new().route("/metrics", get(|| async { telemetry::metrics() }))
}
