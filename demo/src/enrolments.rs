//! Enrols a phone for a user, by a ticket. The ticket stands for the bank's own identity check: a real bank sends it by letter, or hands it
//! to somebody whom it has identified.

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
};
use axum_extra::extract::CookieJar;
use nodkey_server_sdk::{proto::binding::v1::ListBindingsRequest, verify_device_identifier};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Backend, Site, bank, problem::Problem, session::Session};

/// A request for a ticket.
#[derive(Deserialize)]
pub struct Wanted {
    user: String,
}

/// A phone that has registered.
#[derive(Deserialize)]
pub struct Registered {
    device_identifier_jwt: String,
}

/// Issues a ticket: for a name that nobody has, or for the user who is signed in.
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

/// What a ticket was issued for.
#[derive(Clone, Debug)]
pub struct Ticket {
    user: String,
    /// Whether the person has proven to be that user.
    own: bool,
}

/// Returns what the bank's app would be shipped with. For a new phone of a user whose old phone transfers its place.
pub async fn app(State(site): State<Site>) -> Result<Json<Value>, Problem> {
    let backend = site.backend()?;
    Ok(Json(json!({"relying_party": bank::NAME, "gateway": backend.gateway, "mobile": mobile(backend)})))
}

fn mobile(backend: &Backend) -> Value {
    json!({"token": backend.mobile_token, "secret": backend.mobile_secret.expose_secret()})
}

/// Returns what the phone is enrolled for, and what the bank's app would be shipped with.
pub async fn show(State(site): State<Site>, Path(ticket): Path<String>) -> Result<Json<Value>, Problem> {
    let (backend, Ticket { user, .. }) = (site.backend()?, find(&site, &ticket)?);
    Ok(Json(json!({"relying_party": bank::NAME, "user": user, "gateway": backend.gateway, "mobile": mobile(backend)})))
}

/// Binds the phone to the user, after the deployment's JWT has proven its device identifier. The ticket is valid for that phone only.
pub async fn finish(
    State(site): State<Site>,
    Path(ticket): Path<String>,
    registered: Result<Json<Registered>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(registered) = registered?;
    let backend = site.backend()?;
    let Ticket { user, own } = find(&site, &ticket)?;
    let (jwks, now) = (backend.nodkey.jwks().await?, site.0.clock.now());
    let device = verify_device_identifier(&registered.device_identifier_jwt, &jwks, &backend.gateway, &backend.relying_party_id, now)
        .map_err(|_| Problem::field("device_identifier_jwt", "is not one of a phone of this bank"))?
        .sub;
    let _turn = site.0.enrolling.lock().await;
    let bound = backend.nodkey.user_devices(&user).await?;
    if !bound.iter().any(|binding| binding.device_identifier == device) {
        if !own && has_had_a_phone(&site, &user).await? {
            return Err(taken(&user));
        }
        let binding = backend.nodkey.create_binding(&user, &device).await?;
        backend.nodkey.activate_binding(&binding.id).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn find(site: &Site, ticket: &str) -> Result<Ticket, Problem> {
    site.0.tickets.get(ticket).ok_or_else(|| Problem::not_found("invitation"))
}

async fn ensure_free(site: &Site, user: &str) -> Result<(), Problem> {
    if has_had_a_phone(site, user).await? { Err(taken(user)) } else { Ok(()) }
}

/// Whether the user has ever had a phone. A user who has lost the last one keeps the name: nobody else can take it.
async fn has_had_a_phone(site: &Site, user: &str) -> Result<bool, Problem> {
    let any = ListBindingsRequest { user_identifier: user.to_owned(), page_size: 1, ..ListBindingsRequest::default() };
    Ok(!site.backend()?.nodkey.list_bindings(any).await?.bindings.is_empty())
}

fn taken(user: &str) -> Problem {
    let text = format!("{user} has, or had, a phone: choose another name, or sign in as {user} to add a phone");
    Problem::new(StatusCode::CONFLICT, "USER_EXISTS", text)
}
