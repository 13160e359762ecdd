//! Binds a phone to a user. The ticket stands for the bank's own identification of the user: a real bank sends it by letter, or hands it
//! to a person it has identified.

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
};
use axum_extra::extract::CookieJar;
use nodkey_client::{proto::binding::v1::ListBindingsRequest, verify_device_identifier};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Backend, Site, bank, browser, calls::Entry, problem::Problem, session::Session};

/// A request for a ticket.
#[derive(Deserialize)]
pub struct Wanted {
    user: String,
}

/// A registered phone.
#[derive(Deserialize)]
pub struct Registered {
    device_identifier_jwt: String,
}

/// Issues a ticket: for a free name, or for the name of the signed-in user.
pub async fn create(
    State(site): State<Site>,
    jar: CookieJar,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Json(wanted) = wanted?;
    let user = bank::user(&wanted.user).map_err(|fault| Problem::field("user", fault))?;
    let own = Session::of(&site, &jar).is_ok_and(|session| session.user == user);
    if !own {
        ensure_free(&site, &user).await?;
    }
    let ticket = site.secret();
    site.0.tickets.insert(ticket.clone(), Ticket { user, own });
    Ok((StatusCode::CREATED, Json(json!({"path": format!("/demo/api/enrolments/{ticket}")}))))
}

/// A ticket to bind a phone.
#[derive(Clone, Debug)]
pub struct Ticket {
    user: String,
    /// Whether the person is signed in as that user.
    own: bool,
}

/// Returns the configuration that the bank's app would ship with, for a new phone to which the old one transfers the account.
pub async fn app(State(site): State<Site>) -> Result<Json<Value>, Problem> {
    let backend = site.backend()?;
    Ok(Json(json!({"relying_party": bank::NAME, "gateway": backend.gateway, "mobile": mobile(backend)})))
}

fn mobile(backend: &Backend) -> Value {
    json!({"token": backend.mobile_token, "secret": backend.mobile_secret.expose_secret()})
}

/// Returns what a ticket is for, and the configuration that the bank's app would ship with.
pub async fn show(State(site): State<Site>, Path(ticket): Path<String>) -> Result<Json<Value>, Problem> {
    let (backend, Ticket { user, .. }) = (site.backend()?, find(&site, &ticket)?);
    Ok(Json(json!({"relying_party": bank::NAME, "user": user, "gateway": backend.gateway, "mobile": mobile(backend)})))
}

/// Binds the phone to the user, on the deployment's signed statement that the phone is registered. Idempotent for that phone.
pub async fn finish(
    State(site): State<Site>,
    jar: CookieJar,
    Path(ticket): Path<String>,
    registered: Result<Json<Registered>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(registered) = registered?;
    let backend = site.backend()?;
    let Ticket { user, own } = find(&site, &ticket)?;
    let (jwks, now) = (backend.nodkey.jwks().await?, site.0.clock.now());
    let device = verify_device_identifier(&registered.device_identifier_jwt, &jwks, &backend.gateway, &backend.relying_party_id, now)
        .map_err(|_| Problem::field("device_identifier_jwt", "is not that of a phone registered with this bank"))?
        .sub;
    let _turn = site.0.enrolling.lock().await;
    let bound = backend.nodkey.user_devices(&user).await?;
    if !bound.iter().any(|binding| binding.device_identifier == device) {
        if !own && has_had_a_phone(&site, &user).await? {
            return Err(taken(&user));
        }
        let binding = backend.nodkey.create_binding(&user, &device).await?;
        backend.nodkey.activate_binding(&binding.id).await?;
        if let Some(browser) = browser::id(&jar) {
            record(&site, browser, &binding.id, &user, &device);
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Records the two calls that bound a phone.
fn record(site: &Site, browser: &str, code: &str, user: &str, device: &str) {
    let response = |active: bool| Some(json!({"id": code, "user_identifier": user, "device_identifier": device, "active": active}));
    let request = Some(json!({"user_identifier": user, "device_identifier": device}));
    let path = "/api/v2/user_devices".to_owned();
    site.record(browser, Entry::Call { method: "POST", path, request, status: 201, response: response(false) });
    let (path, request) = (format!("/api/v2/user_devices/{code}"), Some(json!({"active": true})));
    site.record(browser, Entry::Call { method: "PATCH", path, request, status: 200, response: response(true) });
}

fn find(site: &Site, ticket: &str) -> Result<Ticket, Problem> {
    site.0.tickets.get(ticket).ok_or_else(|| Problem::not_found("invitation"))
}

async fn ensure_free(site: &Site, user: &str) -> Result<(), Problem> {
    if has_had_a_phone(site, user).await? { Err(taken(user)) } else { Ok(()) }
}

/// A user whose last phone is gone keeps the name: nobody else can take it.
async fn has_had_a_phone(site: &Site, user: &str) -> Result<bool, Problem> {
    let any = ListBindingsRequest { user_identifier: user.to_owned(), page_size: 1, ..ListBindingsRequest::default() };
    Ok(!site.backend()?.nodkey.list_bindings(any).await?.bindings.is_empty())
}

fn taken(user: &str) -> Problem {
    let text = format!("{user} has, or had, a phone: choose another name, or sign in as {user} to add a phone");
    Problem::new(StatusCode::CONFLICT, "USER_EXISTS", text)
}
