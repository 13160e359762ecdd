//! Switch 3: how one service reaches another. A function call or HTTP/2, the same generated client on top of both.

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

/// A way to a service.
#[derive(Clone, Debug)]
pub enum Channel {
    /// In this process. Set once all services are built, so that they may call one another in circles.
    InProcess(Arc<OnceLock<axum::Router>>),
    /// Over the network.
    Http2(Remote),
}

/// Several connections to a service over the network, made when first used and again when they are lost.
#[derive(Clone, Debug)]
pub struct Remote(Arc<Pool>);

impl Channel {
    /// A way over the network; behind `https` it trusts the authority of this PEM, or those of the system. Connects when first used.
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
                // Whose clock is first makes no difference: the other service says the same a moment later.
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
