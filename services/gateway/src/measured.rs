//! HTTP requests as they are measured: by method, route and status. How long a request takes says nothing where it may wait.

use std::{collections::HashSet, sync::Arc};

use axum::{extract::MatchedPath, extract::Request};
use http::{Method, StatusCode};
use nodkey_metrics::SharedString;
use nodkey_runtime::{trace, waits};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    metrics::{HTTP_REQUESTS, HTTP_SECONDS},
    state::AppState,
};

/// Where the console calls gRPC methods: what follows is the path of one.
const CONSOLE_RPC: &str = "/console/api/rpc";
/// Where a browser begins to sign in at the console, and waits for it.
pub const SIGN_IN: &str = "/console/api/sign_in";
/// The route of everything that matches none: a client can invent any path.
const OTHER: &str = "other";

/// The templates of routes whose GET may wait. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Waiting(Arc<HashSet<String>>);

impl Waiting {
    /// Those of these routers, and others.
    pub fn of<'a>(routers: impl IntoIterator<Item = &'a OpenApiRouter<AppState>>, others: &[&str]) -> Self {
        let documented = routers.into_iter().flat_map(|router| router.get_openapi().paths.paths.keys().cloned());
        Self(Arc::new(documented.chain(others.iter().map(ToString::to_string)).collect()))
    }
}

/// A request that is being answered.
pub struct Measured {
    method: &'static str,
    route: Option<MatchedPath>,
    waits: bool,
    since: Instant,
}

impl Measured {
    /// Begins now.
    pub fn begin(request: &Request, waiting: &Waiting) -> Self {
        let route = request.extensions().get::<MatchedPath>().cloned();
        let path = request.uri().path();
        let called = path.strip_prefix(CONSOLE_RPC).or_else(|| path.starts_with("/nodkey.").then_some(path));
        let long_poll = || request.method() == Method::GET && route.as_ref().is_some_and(|route| waiting.0.contains(route.as_str()));
        let waits = called.map_or_else(long_poll, waits);
        Self { method: trace::method(request.method()), route, waits, since: Instant::now() }
    }

    /// Records that the response is ready.
    pub fn answered(self, status: StatusCode) {
        let method = SharedString::from(self.method);
        // Shared by both: cloning it copies no text.
        let route = self.route.map_or_else(|| OTHER.into(), |route| SharedString::from(Arc::<str>::from(route.as_str())));
        if !self.waits {
            HTTP_SECONDS.with([method.clone(), route.clone()]).record(self.since.elapsed());
        }
        HTTP_REQUESTS.with([method, route, status.as_str().to_owned().into()]).increment(1);
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Mutex};

    use axum::{Router, body::Body, response::Response, routing::any};
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    /// The route and whether it may wait, of a request to a router with these routes.
    async fn measured(method: Method, path: &str) -> (Option<String>, bool) {
        let waiting = Waiting(Arc::new(HashSet::from(["/api/{id}/waits".to_owned()])));
        let found = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&found);
        let look = tower::layer::layer_fn(move |_inner| {
            let (waiting, seen) = (waiting.clone(), Arc::clone(&seen));
            service_fn(move |request: Request| {
                let measured = Measured::begin(&request, &waiting);
                *seen.lock().unwrap() = Some((measured.route.map(|route| route.as_str().to_owned()), measured.waits));
                async { Ok::<_, Infallible>(Response::new(Body::empty())) }
            })
        });
        let templates = ["/api/{id}/waits", "/api/{id}", "/console/api/rpc/{service}/{method}", "/{*rest}"];
        let router = templates.into_iter().fold(Router::new(), |router, template| router.route(template, any(|| async {})));
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        router.layer(look).oneshot(request).await.unwrap();
        found.lock().unwrap().take().unwrap()
    }

    #[tokio::test]
    async fn what_may_wait_is_known_by_route_method_and_the_method_that_is_called() {
        let route = |route: &str| Some(route.to_owned());
        assert_eq!(measured(Method::GET, "/api/secret/waits").await, (route("/api/{id}/waits"), true));
        assert_eq!(measured(Method::DELETE, "/api/secret/waits").await, (route("/api/{id}/waits"), false));
        assert_eq!(measured(Method::GET, "/api/secret").await, (route("/api/{id}"), false));
        let service = "nodkey.trusonafication.v1.TrusonaficationService";
        let console = "/console/api/rpc/{service}/{method}";
        for (rpc, waits) in [("GetTrusonafication", true), ("WatchResults", true), ("ListTrusonafications", false)] {
            assert_eq!(measured(Method::POST, &format!("/{service}/{rpc}")).await.1, waits, "{rpc}");
            assert_eq!(measured(Method::POST, &format!("/console/api/rpc/{service}/{rpc}")).await, (route(console), waits), "{rpc}");
        }
    }
}
