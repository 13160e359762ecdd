//! All routes, grouped by their callers. The OpenAPI document is generated from the same list, so it is always complete and right about
//! security.

mod accounts;
mod app_links;
mod device_challenges;
mod device_transfers;
mod devices;
mod documents;
mod freezes;
mod identifiers;
mod pending;
mod prompts;
mod public;
mod requests;
mod trucodes;
pub mod trusonafications;
mod user_bindings;
mod user_devices;
mod users;
mod verifications;

use std::time::Duration;

use axum::{
    Extension, Router,
    body::Bytes,
    http::{
        Method, StatusCode,
        header::{CONTENT_TYPE, DATE, RETRY_AFTER},
    },
    middleware,
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, options, patch, post},
};
use nodkey_web::Page;
use serde_json::Value;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{Any, CorsLayer},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use trucodes::place;

use crate::{
    auth::{backend, phone},
    grpc,
    layers::{self, Common},
    measured::{SIGN_IN, Waiting},
    openapi::{self, Scheme},
    plain::{self, Known},
    problem::Problem,
    state::AppState,
    strict::Strict,
};

/// How long browsers cache a preflight response.
const CORS_MAX_AGE: Duration = Duration::from_hours(1);

/// The routes, grouped by their callers.
struct Routers {
    public: OpenApiRouter<AppState>,
    browsers: OpenApiRouter<AppState>,
    waiting_browsers: OpenApiRouter<AppState>,
    registration: OpenApiRouter<AppState>,
    keys: OpenApiRouter<AppState>,
    phones: OpenApiRouter<AppState>,
    waiting_phones: OpenApiRouter<AppState>,
    backends: OpenApiRouter<AppState>,
    waiting_backends: OpenApiRouter<AppState>,
    listeners: OpenApiRouter<AppState>,
}

fn routers() -> Routers {
    Routers {
        public: openapi::secured(
            OpenApiRouter::new()
                .routes(routes!(public::jwks))
                .routes(routes!(public::jwks_archive))
                .routes(routes!(public::security))
                .routes(routes!(app_links::android))
                .routes(routes!(app_links::apple))
                .routes(routes!(app_links::page)),
            Scheme::Public,
        ),
        browsers: openapi::secured(OpenApiRouter::new().routes(routes!(trucodes::create)).routes(routes!(trucodes::pair)), Scheme::Public),
        waiting_browsers: openapi::secured(OpenApiRouter::new().routes(routes!(trucodes::status)), Scheme::Public),
        registration: openapi::secured(OpenApiRouter::new().routes(routes!(devices::register)), Scheme::Registration),
        keys: openapi::secured(OpenApiRouter::new().routes(routes!(device_challenges::create)), Scheme::Key),
        phones: openapi::secured(
            OpenApiRouter::new()
                .routes(routes!(devices::status))
                .routes(routes!(devices::update, devices::retire))
                .routes(routes!(devices::push_options))
                .routes(routes!(devices::put_push_registration, devices::delete_push_registration))
                .routes(routes!(pending::next))
                .routes(routes!(pending::respond))
                .routes(routes!(pending::reject))
                .routes(routes!(trucodes::context))
                .routes(routes!(device_transfers::create))
                .routes(routes!(documents::register))
                .routes(routes!(freezes::freeze_own)),
            Scheme::Phone,
        ),
        waiting_phones: openapi::secured(OpenApiRouter::new().routes(routes!(pending::list)), Scheme::Phone),
        backends: openapi::secured(
            OpenApiRouter::new()
                .routes(routes!(devices::get))
                .routes(routes!(devices::approve_keys))
                .routes(routes!(user_devices::create))
                .routes(routes!(user_devices::activate))
                .route("/api/v2/user_devices/", patch(user_devices::without_code))
                .routes(routes!(user_bindings::create))
                .routes(routes!(freezes::get, users::deactivate))
                .routes(routes!(freezes::freeze, freezes::release))
                .routes(routes!(users::devices))
                .routes(routes!(prompts::get))
                .routes(routes!(prompts::release))
                .routes(routes!(trucodes::pairing))
                .routes(routes!(documents::list))
                .routes(routes!(documents::get))
                .routes(routes!(documents::register_for_device))
                .routes(routes!(identifiers::register))
                .routes(routes!(identifiers::get))
                .routes(routes!(identifiers::register_account, identifiers::accounts))
                .routes(routes!(identifiers::credentials))
                .routes(routes!(accounts::get))
                .routes(routes!(accounts::look_up))
                .routes(routes!(verifications::create))
                .routes(routes!(verifications::get))
                .routes(routes!(trusonafications::create))
                .routes(routes!(trusonafications::cancel))
                .routes(routes!(trusonafications::evidence)),
            Scheme::Backend,
        ),
        waiting_backends: openapi::secured(OpenApiRouter::new().routes(routes!(trusonafications::get)), Scheme::Backend),
        listeners: openapi::secured(OpenApiRouter::new().routes(routes!(requests::tail)), Scheme::Listener),
    }
}

/// Everything the gateway serves: these routes, others that are answered immediately or hold their callers, and gRPC.
pub fn routes(state: AppState, working: Router<AppState>, waiting: Router<AppState>, grpc: Router<AppState>) -> Router {
    let routers = routers();
    let may_wait =
        Waiting::of([&routers.waiting_phones, &routers.waiting_backends, &routers.waiting_browsers, &routers.listeners], &[SIGN_IN]);
    let others = (OpenApiRouter::from(working), OpenApiRouter::from(waiting));
    let shared = || state.clone();
    let backends = || middleware::from_fn_with_state(shared(), backend::middleware);
    let phones = || middleware::from_fn_with_state(shared(), phone::middleware);
    // Inside the authentication layer: an unauthenticated caller learns nothing else.
    let plain = |routes: OpenApiRouter<AppState>| {
        let known = Known::of(&routes);
        routes.route_layer(middleware::from_fn_with_state(known, plain::middleware))
    };
    let admitted = || middleware::from_fn_with_state(shared(), layers::anonymous);
    // Requests that wait hold no permit for working. Their handlers take permits themselves.
    let anonymous = plain(routers.public)
        // The handler verifies the proof itself: the device may not be registered yet.
        .merge(plain(routers.keys).route_layer(Extension(Strict)))
        .merge(others.0)
        .route_layer(admitted());
    // Some clients add a trailing slash.
    let browsers = plain(routers.browsers)
        .route("/api/v2/trucodes", preflight())
        .route("/api/v2/trucodes/", post(trucodes::create).merge(preflight()))
        .route("/api/v2/paired_trucodes", preflight())
        .route("/api/v2/paired_trucodes/", post(trucodes::pair).merge(preflight()))
        .route_layer(admitted())
        // Outside: a page that may not read a refusal takes it for a broken network.
        .layer(cors());
    let working = anonymous
        .merge(browsers)
        .merge(plain(routers.registration).route_layer(middleware::from_fn_with_state(shared(), backend::registration)))
        .merge(plain(routers.phones).route_layer(phones()))
        .merge(plain(routers.backends).route_layer(backends()));
    let waiting = plain(routers.waiting_phones)
        .route_layer(phones())
        .merge(plain(routers.waiting_backends).route_layer(backends()))
        .merge(plain(routers.listeners).route_layer(middleware::from_fn_with_state(shared(), requests::middleware)))
        .merge(plain(routers.waiting_browsers).route("/api/v2/trucodes/{id}", preflight()).layer(cors()))
        .merge(others.1);
    let (router, _) = working.merge(waiting).split_for_parts();
    let document = Bytes::from(document(&state.deployment.public_url).to_string());
    let common = Common { strict_transport: layers::strict_transport(&state.deployment), waiting: may_wait, state: Some(state.clone()) };
    router
        .merge(nodkey_web::assets())
        .merge(nodkey_web::sdk())
        .merge(nodkey_web::page("/", Page::Home))
        .merge(nodkey_web::page("/docs", Page::Docs))
        .merge(grpc)
        .route("/openapi.json", axum::routing::get(move || async move { public::openapi(document) }))
        .fallback(grpc::unknown)
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "this path has no such method")
        })
        .with_state(state)
        .layer((middleware::from_fn_with_state(common, layers::common), CatchPanicLayer::custom(panicked)))
}

/// Answers for a handler that panicked. The panic message goes to the log of its request.
#[expect(clippy::needless_pass_by_value, reason = "as the layer calls it")]
pub fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Problem::because(format_args!("a handler panicked: {}", said.unwrap_or("without a word"))).into_response()
}

/// Any site's pages may call. The relying party decides which sites may create codes, and a preflight does not name the relying party.
/// Cookies are not used. Pages read when to try again, and the server's time: how long a code lives does not depend on their own clock.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([CONTENT_TYPE])
        .expose_headers([RETRY_AFTER, DATE])
        .max_age(CORS_MAX_AGE)
}

/// The layer around it answers.
fn preflight() -> MethodRouter<AppState> {
    options(|| async { StatusCode::NO_CONTENT })
}

/// The OpenAPI document of a deployment at `server`, a URL.
pub fn document(server: &str) -> Value {
    let Routers { public, browsers, waiting_browsers, registration, keys, phones, waiting_phones, backends, waiting_backends, listeners } =
        routers();
    let all = [browsers, waiting_browsers, registration, keys, phones, waiting_phones, backends, waiting_backends, listeners]
        .into_iter()
        .fold(public, OpenApiRouter::merge);
    openapi::describe(&all.into_openapi(), server)
}
