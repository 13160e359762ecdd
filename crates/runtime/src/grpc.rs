//! gRPC services as routes.

use std::convert::Infallible;

use axum::{Router, extract::Request, response::IntoResponse};
use tonic::server::NamedService;
use tower::Service;

/// Adds a generated gRPC server to a router.
pub fn mount<S>(router: Router, service: S) -> Router
where
    S: Service<Request, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    router.route_service(&format!("/{}/{{*rest}}", S::NAME), service)
}
