//! gRPC services as routes.

use std::convert::Infallible;

use axum::{Router, extract::Request, middleware, response::IntoResponse, routing::any_service};
use nodkey_proto::reflect;
use tonic::server::NamedService;
use tower::Service;

use super::received;

/// Adds a generated gRPC server to a router.
pub fn mount<S>(router: Router, service: S) -> Router
where
    S: Service<Request, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    // Repeated requests are compared by the bytes that were received.
    let router = reflect::repeatable(S::NAME)
        .fold(router, |router, path| router.route(&path, any_service(service.clone()).layer(middleware::from_fn(received::middleware))));
    router.route_service(&format!("/{}/{{*rest}}", S::NAME), service)
}
