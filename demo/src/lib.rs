//! Acme Bank: the site of a relying party, as its backend would implement it. It uses only the server SDK and the public browser API, and
//! Nodkey treats it like any other relying party.
//!
//! A demonstration: sessions and balances are in memory and end with the process.

mod bank;
mod browser;
mod calls;
mod enrolments;
mod problem;
mod requests;
mod session;
mod visitor;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state, map_response},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use axum_extra::extract::{
    CookieJar,
    cookie::{Cookie, SameSite},
};
use moka::sync::Cache;
use nodkey_client::Nodkey;
use nodkey_kernel::{jose::b64u, random::Random, time::Clock};
use nodkey_web::Page;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use bank::Cents;
use calls::{Calls, Entry};
use enrolments::Ticket;
use problem::Problem;
use requests::Pending;
use session::Session;

/// The most sessions, requests and tickets kept, each.
const CAPACITY: u64 = 10_000;
/// The most browsers whose calls are kept.
const MAX_LOGS: u64 = 500;
/// The most browsers that may wait for a result at the same time.
const MAX_WAITING: usize = 1_000;

/// The bank's connection to Nodkey.
#[derive(Debug)]
pub struct Backend {
    /// A client with the relying party's server credential.
    pub nodkey: Nodkey,
    /// The gateway's public URL.
    pub gateway: String,
    /// The bank's relying party.
    pub relying_party_id: String,
    /// Token of the mobile credential that the bank's app ships with.
    pub mobile_token: String,
    /// Secret of the mobile credential.
    pub mobile_secret: SecretString,
}

/// The site. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Site(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    backend: OnceLock<Backend>,
    clock: Clock,
    random: Random,
    sessions: Cache<String, Session>,
    requests: Cache<String, Arc<Pending>>,
    tickets: Cache<String, Ticket>,
    balances: Cache<String, Cents>,
    calls: Calls,
    /// Held while a phone is bound, so that only one of two phones gets a free name.
    enrolling: Mutex<()>,
    waiting: Semaphore,
    closing: CancellationToken,
}

impl Site {
    /// Creates the site. It is closed until [`Site::open`].
    #[must_use]
    pub fn new(clock: Clock, random: Random) -> Self {
        let hours = |hours| Duration::from_hours(hours);
        Self(Arc::new(Inner {
            backend: OnceLock::new(),
            clock,
            random,
            sessions: Cache::builder().max_capacity(CAPACITY).time_to_live(hours(8)).build(),
            requests: Cache::builder().max_capacity(CAPACITY).time_to_live(hours(8)).build(),
            tickets: Cache::builder().max_capacity(CAPACITY).time_to_live(Duration::from_mins(10)).build(),
            balances: Cache::builder().max_capacity(CAPACITY).build(),
            calls: Calls::new(MAX_LOGS, hours(1)),
            enrolling: Mutex::default(),
            waiting: Semaphore::new(MAX_WAITING),
            closing: CancellationToken::new(),
        }))
    }

    /// Opens it. A second backend is ignored.
    pub fn open(&self, backend: Backend) {
        let _ = self.0.backend.set(backend);
    }

    /// Ends all waits, so that the process can stop.
    pub fn close(&self) {
        self.0.closing.cancel();
    }

    /// The pages and their API.
    pub fn routes(&self) -> Router {
        let api = Router::new()
            .route("/site", get(about))
            .route("/calls", get(calls::list))
            .route("/session", get(session::show).delete(session::end))
            .route("/sign_ins", post(requests::sign_in))
            .route("/transfers", post(requests::transfer))
            .route("/requests/{id}", get(requests::show).delete(requests::cancel))
            .route("/requests/{id}/evidence", get(requests::evidence))
            .route("/app", get(enrolments::app))
            .route("/enrolments", post(enrolments::create))
            .route("/enrolments/{ticket}", get(enrolments::show).post(enrolments::finish))
            .layer(map_response(problem::private))
            .with_state(self.clone());
        let routes = nodkey_web::page("/demo", Page::Demo).merge(nodkey_web::phone("/demo/phone")).nest("/demo/api", api);
        routes.route_layer(from_fn_with_state(self.clone(), own_name))
    }

    fn backend(&self) -> Result<&Backend, Problem> {
        self.0.backend.get().ok_or_else(Problem::closed)
    }

    fn cookie(&self, name: &'static str, value: String) -> Cookie<'static> {
        let secure = self.0.backend.get().is_some_and(|backend| backend.gateway.starts_with("https:"));
        Cookie::build((name, value)).path("/demo").http_only(true).same_site(SameSite::Lax).secure(secure).build()
    }

    /// Records a call or an event for a browser.
    fn record(&self, browser: &str, entry: Entry) {
        self.0.calls.record(browser, self.0.clock.now(), entry);
    }

    /// Returns 256 random bits.
    fn secret(&self) -> String {
        b64u(&self.0.random.bytes::<32>())
    }
}

/// Refuses requests under a foreign host name, which would make this origin another site's (DNS rebinding).
async fn own_name(State(site): State<Site>, request: Request, next: Next) -> Response {
    let gateway = site.0.backend.get().map_or("", |backend| backend.gateway.as_str());
    if nodkey_web::is_own_name(&request, gateway) { next.run(request).await } else { Problem::wrong_host(gateway).into_response() }
}

/// Returns what the page needs to create codes itself, like any page of a relying party.
async fn about(State(site): State<Site>, jar: CookieJar) -> Result<(CookieJar, Json<Value>), Problem> {
    let backend = site.backend()?;
    let about = json!({"relying_party_id": backend.relying_party_id, "name": bank::NAME, "gateway": backend.gateway});
    let (_, jar) = browser::ensure_id(&site, jar);
    Ok((jar, Json(about)))
}
