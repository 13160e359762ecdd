//! Listeners: HTTP/1.1 and HTTP/2 on one port, gRPC and plain HTTP on one router.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::{Router, extract::connect_info::IntoMakeServiceWithConnectInfo, middleware, routing::get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{auth, auth::Authenticator, deadline, grpc::mount, telemetry, trace};

/// gRPC services behind authentication and deadlines, with health and reflection.
pub(crate) async fn grpc(services: Router, authenticator: Authenticator) -> anyhow::Result<Router> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(nodkey_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .context("reflection")?;
    Ok(mount(mount(services, health), reflection)
        .fallback(|| async { Status::unimplemented("no such method").into_http::<axum::body::Body>() })
        .layer(middleware::from_fn_with_state(authenticator, auth::middleware))
        .layer(middleware::from_fn(deadline::middleware))
        .layer(middleware::from_fn(trace::middleware)))
}

/// `/metrics`, for listeners that are not public.
pub(crate) fn metrics() -> Router {
    telemetry::handle();
    Router::new().route("/metrics", get(|| async { telemetry::metrics() }))
}

/// Binds a listener.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}; is another nodkey running?"))
}

/// Serves until the token is cancelled, then finishes what is in flight.
pub(crate) async fn serve(listener: TcpListener, routes: Router, shutdown: CancellationToken) -> anyhow::Result<()> {
    let service: IntoMakeServiceWithConnectInfo<Router, SocketAddr> = routes.into_make_service_with_connect_info();
    axum::serve(
        axum::serve::ListenerExt::tap_io(listener, |tcp| {
            // Answers are small: none may wait for the one before to be acknowledged.
            let _ = tcp.set_nodelay(true);
        }),
        service,
    )
    .with_graceful_shutdown(shutdown.cancelled_owned())
    .await
    .context("serving")
}
