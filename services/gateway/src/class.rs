//! Classifies requests by what they do, which decides the order in which overload refuses them.

use std::time::Duration;

use axum::{
    extract::MatchedPath,
    http::{HeaderMap, Method, Uri, header::ACCEPT, request::Parts},
};
use nodkey_runtime::admission::Class;

use crate::problem::Problem;

/// The route for phones' answers.
pub const ANSWERS: &str = "/api/v2/trusonafication_responses";
/// The route where a phone waits for trusonafications.
const PHONES: &str = "/api/v2/devices/{id}/trusonafications";
/// The route where a backend waits for a result.
const RESULTS: &str = "/api/v2/trusonafications/{id}";
/// The longest wait in one call, in seconds.
pub const MAX_WAIT: u32 = 60;
/// The routes of lists.
const LISTS: [&str; 4] = [
    "/api/v2/identity_documents",
    "/api/v2/users/{user_identifier}/devices",
    "/api/v2/integrations/{integration_id}/accounts",
    "/internal/v1/users/{trusona_id}",
];

/// The class of a request from a caller with a credential.
pub fn of(method: &Method, route: &str) -> Class {
    match *method {
        _ if route.starts_with(ANSWERS) => Class::Answer,
        Method::GET | Method::HEAD if LISTS.contains(&route) => Class::List,
        Method::GET | Method::HEAD => Class::Read,
        _ => Class::Create,
    }
}

/// The route of a request: its path, with the names of its parameters.
pub fn route(parts: &Parts) -> &str {
    parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str)
}

/// Whether a request is to be held until something happens. It then holds a permit for waiting, and none for working.
pub fn waits(parts: &Parts) -> bool {
    let route = route(parts);
    let is_ready_to = || patience(&parts.uri).is_ok_and(|patience| !patience.is_zero());
    matches!(parts.method, Method::GET | Method::HEAD)
        && ((route == PHONES && streams(&parts.headers)) || ([PHONES, RESULTS].contains(&route) && is_ready_to()))
}

/// How long the caller of a target is ready to wait.
pub fn patience(target: &Uri) -> Result<Duration, Problem> {
    let query = target.query().unwrap_or_default();
    let Some((_, text)) = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "wait") else {
        return Ok(Duration::ZERO);
    };
    let seconds = text.parse::<u32>().ok().filter(|seconds| *seconds <= MAX_WAIT);
    seconds.map(|seconds| Duration::from_secs(seconds.into())).ok_or_else(|| Problem::field("wait", "must be 0 to 60 seconds"))
}

/// Whether a phone accepts an event stream.
pub fn streams(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| accept.contains("text/event-stream"))
}

/// Every operation of the document.
#[cfg(test)]
pub fn operations() -> Vec<(Method, String)> {
    let document: serde_json::Value = serde_json::from_str(&crate::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, methods): (&String, &serde_json::Value)| {
        let methods: Vec<_> = methods.as_object().unwrap().keys().cloned().collect();
        let path = path.clone();
        methods.into_iter().map(move |method| (method.to_uppercase().parse().unwrap(), path.clone()))
    };
    paths.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;

    #[test]
    fn answers_and_reads_of_results_stand_above_creates_and_these_above_lists() {
        let class = |method: Method, route: &str| {
            assert!(operations().contains(&(method.clone(), route.to_owned())), "{method} {route} is served");
            of(&method, route)
        };
        for (method, route) in [(Method::POST, ANSWERS.to_owned()), (Method::DELETE, format!("{ANSWERS}/{{trusonafication_id}}"))] {
            assert_eq!(class(method, &route), Class::Answer);
        }
        for route in ["/api/v2/trusonafications/{id}", "/api/v2/devices/{id}/trusonafications", "/api/v2/trusonafications/next"] {
            assert_eq!(class(Method::GET, route), Class::Read);
        }
        for route in ["/api/v2/trusonafications", "/api/v2/user_bindings", "/api/v2/devices"] {
            assert_eq!(class(Method::POST, route), Class::Create);
        }
        for route in LISTS {
            assert_eq!(class(Method::GET, route), Class::List);
        }
    }

    #[tokio::test]
    async fn who_asks_to_be_held_where_one_can_wait_keeps_no_place_and_nobody_else() {
        let held = async |method: Method, path: &str, accept: &str| {
            let (told, heard) = std::sync::mpsc::channel();
            let note = move |request: axum::extract::Request| {
                told.send(super::waits(&request.into_parts().0)).unwrap();
                std::future::ready(axum::http::StatusCode::OK)
            };
            let routes = [PHONES, RESULTS, "/api/v2/trusonafications"].into_iter();
            let served = routes.fold(axum::Router::new(), |served, route| served.route(route, axum::routing::any(note.clone())));
            let request = axum::http::Request::builder().method(method).uri(path).header(ACCEPT, accept);
            served.oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
            heard.recv().unwrap()
        };
        assert!(held(Method::GET, "/api/v2/trusonafications/x?b=c&wait=30", "*/*").await);
        assert!(held(Method::HEAD, "/api/v2/trusonafications/x?wait=30", "*/*").await, "which is answered as GET is");
        assert!(held(Method::GET, "/api/v2/devices/x/trusonafications", "text/event-stream").await);
        for (method, path) in [
            (Method::GET, "/api/v2/trusonafications/x"),
            (Method::GET, "/api/v2/trusonafications/x?waiting=1"),
            (Method::POST, "/api/v2/trusonafications?wait=30"),
            (Method::DELETE, "/api/v2/trusonafications/x?wait=30"),
        ] {
            assert!(!held(method, path, "application/json").await, "{path}");
        }
        for path in ["/api/v2/trusonafications/x?wait=0", "/api/v2/devices/x/trusonafications?wait=61", "/api/v2/trusonafications/x"] {
            assert_eq!(held(Method::GET, path, "text/event-stream, */*").await, path.contains("devices"), "{path}");
        }
        assert!(!held(Method::GET, "/api/v2/devices/x/trusonafications?wait=61", "*/*").await, "it is refused at once");
    }
}
