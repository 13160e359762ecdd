//! Looks up a user by Trusona ID, as some existing backends do.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use nodkey_proto::{
    binding::v1::{Binding, BindingState, ListIdentifiersRequest, ListUserDevicesRequest, user_service_client::UserServiceClient},
    registry::v1::{
        GetDeviceRequest, ListIdentityDocumentsRequest, device_service_client::DeviceServiceClient,
        identity_document_service_client::IdentityDocumentServiceClient,
    },
    rest,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::identifiers;
use crate::{auth::backend::Backend, extract::Json, problem::Problem, reply::reply, state::AppState};

/// The user to look up.
#[derive(Debug, Deserialize, ToSchema)]
pub struct LookUp {
    /// A user identifier that was registered with a Trusona ID.
    #[schema(required, value_type = String, min_length = 1, max_length = 255)]
    email: Option<String>,
}

/// A user. Nodkey stores no names, so those are always null.
#[derive(Debug, Serialize, ToSchema)]
pub struct Account {
    trusona_id: String,
    /// `active` while the user has an active device, otherwise `inactive`.
    #[schema(schema_with = statuses)]
    status: &'static str,
    #[schema(required)]
    first_name: Option<String>,
    #[schema(required)]
    last_name: Option<String>,
    #[schema(required)]
    nickname: Option<String>,
    #[schema(required)]
    handle: Option<String>,
    /// The first of `emails`.
    #[schema(required)]
    email: Option<String>,
    emails: Vec<Address>,
    metadata: Metadata,
}

/// A user identifier that looks like an email address.
#[derive(Debug, Serialize, ToSchema)]
pub struct Address {
    #[schema(required)]
    id: Option<String>,
    email: String,
    /// Always false, because Nodkey verifies no email addresses.
    verified: bool,
}

/// The levels and devices of the user.
#[derive(Debug, Serialize, ToSchema)]
pub struct Metadata {
    /// `entry`, `essential` or `executive`.
    #[schema(schema_with = levels)]
    max_level: &'static str,
    /// UUIDs of the active bindings.
    #[schema(format = Uuid)]
    devices: Vec<String>,
    tokens: [String; 0],
    roles: [String; 0],
}

fn statuses() -> utoipa::openapi::Object {
    rest::names(["active", "inactive"])
}

fn levels() -> utoipa::openapi::Object {
    rest::names(["entry", "essential", "executive"])
}

/// Looks a user up by Trusona ID.
#[utoipa::path(get, path = "/internal/v1/users/{trusona_id}", operation_id = "getAccount", tag = "compatibility", params(("trusona_id" = String, Path)), responses(
    (status = 200, description = "The user", body = Account), (status = 404, description = "No such user", body = Problem)))]
pub async fn get(State(state): State<AppState>, backend: Backend, Path(trusona_id): Path<String>) -> Result<Response, Problem> {
    Ok(reply(StatusCode::OK, &account(&state, &backend, trusona_id).await?))
}

/// Looks a user up by address.
#[utoipa::path(post, path = "/internal/v1/account_lookups", operation_id = "lookUpAccount", tag = "compatibility", request_body = LookUp, responses(
    (status = 200, description = "The user", body = Account), (status = 404, description = "No such user", body = Problem),
    (status = 422, description = "Invalid request", body = Problem)))]
pub async fn look_up(State(state): State<AppState>, backend: Backend, Json(body): Json<LookUp>) -> Result<Response, Problem> {
    let email = body.email.filter(|email| !email.trim().is_empty()).ok_or_else(|| Problem::field("email", "must not be blank"))?;
    let request = ListIdentifiersRequest { identifiers: vec![email], ..ListIdentifiersRequest::default() };
    let found = identifiers::list(&state, &backend, request).await?.into_iter().next().ok_or_else(Problem::not_found)?;
    Ok(reply(StatusCode::OK, &account(&state, &backend, found.trusona_id).await?))
}

/// If several users have the Trusona ID, the one registered first counts, as for trusonafications.
async fn account(state: &AppState, backend: &Backend, trusona_id: String) -> Result<Account, Problem> {
    let users = identifiers::users_of(state, backend, trusona_id.clone()).await?;
    let user_identifier = users.first().cloned().ok_or_else(Problem::not_found)?;
    let mut bound = UserServiceClient::new(state.peers.binding().on_behalf_of(backend));
    let bindings =
        bound.list_user_devices(ListUserDevicesRequest { user_identifier: user_identifier.clone() }).await?.into_inner().bindings;
    let active: Vec<_> = bindings.into_iter().filter(|b| b.state() == BindingState::Active).collect();
    let emails: Vec<_> = users.into_iter().filter(|u| u.contains('@')).map(|email| Address { id: None, email, verified: false }).collect();
    Ok(Account {
        trusona_id,
        status: if active.is_empty() { "inactive" } else { "active" },
        first_name: None,
        last_name: None,
        nickname: None,
        handle: None,
        email: emails.first().map(|e| e.email.clone()),
        emails,
        metadata: Metadata {
            max_level: max_level(state, backend, user_identifier, &active).await?,
            devices: active.into_iter().map(|b| b.id).collect(),
            tokens: [],
            roles: [],
        },
    })
}

async fn max_level(state: &AppState, backend: &Backend, user_identifier: String, active: &[Binding]) -> Result<&'static str, Problem> {
    let mut documents = IdentityDocumentServiceClient::new(state.peers.registry().on_behalf_of(backend));
    let one = ListIdentityDocumentsRequest { user_identifier, page_size: 1, counting: true, ..ListIdentityDocumentsRequest::default() };
    if !documents.list_identity_documents(one).await?.into_inner().identity_documents.is_empty() {
        return Ok("executive");
    }
    let mut devices = DeviceServiceClient::new(state.peers.registry().on_behalf_of(backend));
    for binding in active {
        let device = devices.get_device(GetDeviceRequest { device_id: binding.device_identifier.clone() }).await?.into_inner();
        if device.presence_keys.iter().any(|key| key.counts.unwrap_or(true)) {
            return Ok("essential");
        }
    }
    Ok("entry")
}
