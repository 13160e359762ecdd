//! The API of the operator console. It is stateless, too: a browser holds the id and the secret of its session, and every call to a service
//! is signed with them, so it has the operator's rights and not the gateway's.

mod claim;
mod cookie;
mod enrolments;
mod messages;
mod rpc;
mod session;
mod sign_in;
mod status;

use axum::{
    Router,
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
pub use sign_in::cookie_keys;

use crate::{
    measured::SIGN_IN,
    problem::{Challenge, Problem},
    state::AppState,
};

/// The name of the console's own relying party, the same as in its row in the registry.
const NAME: &str = "Nodkey console";

/// Everything below `/console/api`, separated by whether it holds its caller. The console's HTTP API is not a public interface. The gRPC
/// methods that it calls are.
#[derive(Default)]
pub struct Routes {
    /// Answered immediately.
    pub working: Router<AppState>,
    /// Held until something happens.
    pub waiting: Router<AppState>,
}

/// The pages and the API that they call.
pub fn routes(state: &AppState) -> Routes {
    let api = |router: Router<AppState>| router.route_layer(from_fn(same_origin));
    // Outermost: a request by another host name is refused before anything else is examined.
    let named = |router: Router<AppState>| router.route_layer(from_fn_with_state(state.clone(), own_name));
    Routes {
        working: named(
            api(Router::new()
                .route("/console/api/session", get(session::show).delete(session::end))
                .route(SIGN_IN, post(sign_in::begin))
                .route("/console/api/enrolments/{token}", get(enrolments::show).post(enrolments::accept))
                .route("/console/api/status", get(status::show)))
            .merge(pages())
            .merge(nodkey_web::phone("/console/phone")),
        ),
        waiting: named(api(Router::new().route(SIGN_IN, get(sign_in::wait)).route("/console/api/rpc/{service}/{method}", post(rpc::call)))),
    }
}

fn pages() -> Router<AppState> {
    Router::new().route("/console", get(session::page)).route("/console/{*view}", get(session::page))
}

/// Refuses requests from pages of other sites, which would carry the cookies: browsers say where a request comes from, and a page elsewhere
/// cannot send JSON without a preflight. A client that is not a browser has no cookies to abuse.
async fn same_origin(request: Request, next: Next) -> Response {
    if is_foreign(&request) {
        let text = "only the console's own pages may call this, with a JSON body";
        return Problem::new(StatusCode::FORBIDDEN, "NOT_SAME_ORIGIN", text).into_response();
    }
    next.run(request).await
}

/// Refuses requests by another host name, which would make this origin that host's, too.
async fn own_name(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let url = &state.deployment.public_url;
    if nodkey_web::is_own_name(&request, url) {
        return next.run(request).await;
    }
    let text = format!("the console is only available at {url}/console; a proxy must pass on the Host header");
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "WRONG_HOST", text).into_response()
}

fn is_foreign(request: &Request) -> bool {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    // Exactly this value: a page elsewhere could send neither it nor a variant without a preflight, and our own pages need no variant.
    let json = header("content-type") == Some("application/json");
    header("sec-fetch-site").is_some_and(|site| site != "same-origin") || (request.method() == Method::POST && !json)
}

fn signed_out() -> Problem {
    // No scheme is registered for cookies, and browsers prompt nobody for a password by a scheme that they do not know.
    Problem::unauthorized(Challenge::SignIn, "UNAUTHENTICATED", "you are signed out: sign in again")
}
