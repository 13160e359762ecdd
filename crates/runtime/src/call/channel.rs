//! Switch 3: how one service reaches another. A function call or HTTP/2, the same generated client on top of both.

use std::{
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tower::{BoxError, Service, ServiceExt as _};

use super::deadline::deadline_exceeded;

/// A way to a service.
#[derive(Clone, Debug)]
pub enum Channel {
    /// In this process. Set once all services are built, so that they may call one another in circles.
    InProcess(Arc<OnceLock<axum::Router>>),
    /// Over the network; connects when first used and again when the connection is lost.
    Http2(tonic::transport::Channel),
}

/// Tells whether the client's own clock ended a call; the server's answer to the same may come a moment later.
fn is_deadline(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<tonic::TimeoutExpired>() || error.source().is_some_and(is_deadline)
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::InProcess(_) => Poll::Ready(Ok(())),
            Self::Http2(channel) => channel.poll_ready(cx).map_err(Into::into),
        }
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
            Self::Http2(channel) => {
                let answer = channel.call(request);
                Box::pin(async move { answer.await.map_err(|e| if is_deadline(&e) { deadline_exceeded().into() } else { e.into() }) })
            }
        }
    }
}
