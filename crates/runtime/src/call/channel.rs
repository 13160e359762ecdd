//! Switch 3: how one service reaches another, by function call or over HTTP/2. The same generated client works on both.

use std::{
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use nodkey_kernel::service_key::ServiceName;
use tonic::body::Body;
use tower::{BoxError, Service, ServiceExt as _};

use super::{
    deadline::{deadline_exceeded, requested},
    pool::Pool,
};

/// A channel to a service.
#[derive(Clone, Debug)]
pub enum Channel {
    /// In this process. Set once all services are built, so that they may depend on each other in cycles.
    InProcess(Arc<OnceLock<axum::Router>>),
    /// Over the network.
    Http2(Remote),
}

/// Several connections to a service over the network, opened on first use and replaced when they are lost.
#[derive(Clone, Debug)]
pub struct Remote(Arc<Pool>);

impl Channel {
    /// Creates a channel over the network. With `https` it trusts the authority in this PEM, or the system's. Connects on first use.
    pub fn remote(name: ServiceName, url: &str, authority: Option<&[u8]>) -> anyhow::Result<Self> {
        Ok(Self::Http2(Remote(Arc::new(Pool::new(name, url, authority)?))))
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self {
            Self::InProcess(routes) => {
                let routes = Arc::clone(routes);
                Box::pin(async move {
                    let routes = routes.get().ok_or("called before all services were built")?.clone();
                    let response = routes.oneshot(request).await.unwrap_or_else(|never| match never {});
                    Ok(response.map(Body::new))
                })
            }
            Self::Http2(Remote(pool)) => {
                // It does not matter which clock expires first: the other service reports the same a moment later.
                let limit = requested(request.headers());
                let answer = Arc::clone(pool).call(request);
                Box::pin(async move {
                    let answer = match limit {
                        None => answer.await,
                        Some(limit) => tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| Err(deadline_exceeded())),
                    };
                    Ok(answer?)
                })
            }
        }
    }
}
