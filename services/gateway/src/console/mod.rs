//! The operator console's door. It is stateless, too: a browser holds its session's id and secret, and every call to a service is
//! signed with them, so it has the operator's rights and not the gateway's.

mod claim;
mod cookie;
mod enrolments;
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
    problem::{Challenge, Problem},
    state::AppState,
};

/// What the console's own relying party is called; its row in the registry says the same.
const NAME: &str = "Nodkey console";

/// Everything below `/console/api`, by whether it holds its caller. The console is no public interface: what is public of it are the
/// gRPC methods it calls.
#[derive(Default)]
pub struct Routes {
    /// Answered at once.
    pub working: Router<AppState>,
    /// Held until something happens.
    pub waiting: Router<AppState>,
}

/// The pages, and what they ask.
pub fn routes(state: &AppState) -> Routes {
    let api = |router: Router<AppState>| router.route_layer(from_fn(same_origin));
    // Outermost: what comes by another name is refused before anything else is looked at.
    let named = |router: Router<AppState>| router.route_layer(from_fn_with_state(state.clone(), own_name));
    Routes {
        working: named(
            api(Router::new()
                .route("/console/api/session", get(session::show).delete(session::end))
                .route("/console/api/sign_in", post(sign_in::begin))
                .route("/console/api/enrolments/{token}", get(enrolments::show).post(enrolments::accept))
                .route("/console/api/status", get(status::show)))
            .merge(pages())
            .merge(nodkey_web::phone("/console/phone")),
        ),
        waiting: named(api(Router::new()
            .route("/console/api/sign_in", get(sign_in::wait))
            .route("/console/api/rpc/{service}/{method}", post(rpc::call)))),
    }
}

fn pages() -> Router<AppState> {
    Router::new().route("/console", get(session::page)).route("/console/{*view}", get(session::page))
}

/// Refuses what a page of another site would send, cookies and all: browsers say where a request comes from, and a page elsewhere can
/// not say JSON without asking first. What is no browser has no cookie to lend.
async fn same_origin(request: Request, next: Next) -> Response {
    if is_foreign(&request) {
        let text = "the console's own pages alone may ask this, in JSON";
        return Problem::new(StatusCode::FORBIDDEN, "NOT_SAME_ORIGIN", text).into_response();
    }
    next.run(request).await
}

/// Refuses to be opened by a name that is another's, which would make this origin another's, too.
async fn own_name(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let url = &state.deployment.public_url;
    if nodkey_web::is_own_name(&request, url) {
        return next.run(request).await;
    }
    let text = format!("the console is at {url}/console and by no other name; a proxy must pass the Host header on");
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "WRONG_HOST", text).into_response()
}

fn is_foreign(request: &Request) -> bool {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    // Exactly: a page elsewhere could say neither this nor any variant of it without asking first, and our own pages need no variant.
    let json = header("content-type") == Some("application/json");
    header("sec-fetch-site").is_some_and(|site| site != "same-origin") || (request.method() == Method::POST && !json)
}

fn signed_out() -> Problem {
    // No scheme is registered for cookies, and browsers ask nobody for a password by one that they do not know.
    Problem::unauthorized(Challenge::SignIn, "UNAUTHENTICATED", "you are signed out: sign in again")
}
