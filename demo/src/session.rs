//! Sessions of signed-in users.

use axum::{Json, extract::State, http::StatusCode};
use axum_extra::extract::CookieJar;
use nodkey_kernel::time::Timestamp;
use serde_json::{Value, json};

use crate::{Site, bank::OPENING_BALANCE, problem::Problem};

const COOKIE: &str = "acme_session";

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    /// The user identifier.
    pub user: String,
    signed_in_at: Timestamp,
    accepted_level: i32,
    device_identifier: String,
    request_id: String,
}

impl Session {
    /// Returns the session of a browser.
    pub fn of(site: &Site, jar: &CookieJar) -> Result<Self, Problem> {
        jar.get(COOKIE).and_then(|cookie| site.0.sessions.get(cookie.value())).ok_or_else(Problem::not_signed_in)
    }

    /// Begins the session of the user to whom the answering device is bound. The browser gets a new cookie, so that one planted before is
    /// worthless (session fixation).
    pub fn begin(site: &Site, jar: CookieJar, done: &nodkey_client::proto::trusonafication::v1::Trusonafication) -> CookieJar {
        let result = done.result.clone().unwrap_or_default();
        let session = Self {
            user: result.bound_user_identifier,
            signed_in_at: site.0.clock.now(),
            accepted_level: result.accepted_level,
            device_identifier: result.device_identifier,
            request_id: done.id.clone(),
        };
        let id = site.secret();
        site.0.sessions.insert(id.clone(), session);
        jar.add(site.cookie(COOKIE, id))
    }
}

/// Returns the session, null if nobody is signed in.
pub async fn show(State(site): State<Site>, jar: CookieJar) -> Json<Value> {
    let session = Session::of(&site, &jar).ok().map(|session| {
        let balance = site.0.balances.get(&session.user).unwrap_or(OPENING_BALANCE);
        json!({
            "user": session.user,
            "signed_in_at": session.signed_in_at.to_string(),
            "accepted_level": session.accepted_level,
            "device_identifier": session.device_identifier,
            "request_id": session.request_id,
            "balance": balance.to_string(),
        })
    });
    Json(json!({"session": session}))
}

/// Signs out.
pub async fn end(State(site): State<Site>, jar: CookieJar) -> (CookieJar, StatusCode) {
    if let Some(cookie) = jar.get(COOKIE) {
        site.0.sessions.invalidate(cookie.value());
    }
    (jar.remove(site.cookie(COOKIE, String::new())), StatusCode::NO_CONTENT)
}
