//! Checks paths and queries: no control characters, and for strict callers, no unknown parameters.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use axum::{
    extract::{RawPathParams, Request, State},
    http::{Method, Uri},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use utoipa::openapi::{
    RefOr,
    path::{Operation, ParameterIn, PathItem},
};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    class,
    problem::Problem,
    state::AppState,
    strict::{Strict, UNKNOWN},
};

/// The query parameters of each route that has any, from the OpenAPI document.
#[derive(Clone, Debug)]
pub struct Known(Arc<HashMap<(Method, String), Vec<String>>>);

impl Known {
    /// Collects those of these routes.
    pub fn of(routes: &OpenApiRouter<AppState>) -> Self {
        let documented = &routes.get_openapi().paths.paths;
        Self(Arc::new(documented.iter().flat_map(|(path, item)| parameters(path, item)).collect()))
    }

    fn has(&self, method: &Method, route: &str, name: &str) -> bool {
        // HEAD is answered as GET is.
        let method = if method == Method::HEAD { Method::GET } else { method.clone() };
        self.0.get(&(method, route.to_owned())).is_some_and(|names| names.iter().any(|known| known == name))
    }
}

fn parameters(path: &str, item: &PathItem) -> Vec<((Method, String), Vec<String>)> {
    let operations = [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::PATCH, &item.patch),
    ];
    let of = |(method, operation): (Method, &Option<Operation>)| {
        let parameters = operation.as_ref()?.parameters.iter().flatten().filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        });
        let names = parameters.filter(|parameter| parameter.parameter_in == ParameterIn::Query).map(|parameter| parameter.name.clone());
        Some(((method, path.to_owned()), names.collect()))
    };
    operations.into_iter().filter_map(of).collect()
}

/// Refuses control characters in paths and queries: no stored name contains one, and not every database accepts one in a query. Refuses
/// unknown query parameters of [`Strict`] callers, too, so that a misspelled one is reported and not ignored.
pub async fn middleware(State(known): State<Known>, path: RawPathParams, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let is_strict = parts.extensions.get::<Strict>().is_some();
    let names = pairs(&parts.uri).map(|(name, _)| name.into_owned());
    let unknown = names.filter(|_| is_strict).find(|name| !known.has(&parts.method, class::route(&parts), name));
    let refused = match unknown {
        Some(name) => Err(Problem::field(&name, UNKNOWN)),
        None => check(&path, &parts.uri),
    };
    match refused {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(path: &RawPathParams, uri: &Uri) -> Result<(), Problem> {
    let refused = |name: &str| Problem::field(name, "must not hold control characters");
    let is_plain = |text: &str| !text.chars().any(char::is_control);
    if let Some((name, _)) = path.iter().find(|(_, value)| !is_plain(value)) {
        return Err(refused(name));
    }
    match pairs(uri).find(|(name, value)| !is_plain(name) || !is_plain(value)) {
        Some((name, _)) => Err(refused(&name)),
        None => Ok(()),
    }
}

fn pairs(uri: &Uri) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
}
