//! Trusona IDs: the identifiers of users in another system.

use axum::{
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::Response,
};
use nodkey_proto::binding::v1::{
    Identifier, ListIdentifiersRequest, RegisterIdentifierRequest, identifier_service_client::IdentifierServiceClient,
};
use nodkey_runtime::{Actor, PeerChannel};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{auth::backend::Backend, extract::Json, problem::Problem, reply::reply, state::AppState};

/// A user and their Trusona ID.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RegisterIdentifier {
    /// 1 to 255 characters.
    #[schema(required, value_type = String, min_length = 1, max_length = 255)]
    identifier: Option<String>,
    /// 1 to 255 characters, opaque.
    #[schema(required, value_type = String, min_length = 1, max_length = 255)]
    trusona_id: Option<String>,
}

/// A registered user and their Trusona ID.
#[derive(Debug, Serialize, ToSchema)]
pub struct Registered {
    identifier: String,
    trusona_id: String,
}

impl From<Identifier> for Registered {
    fn from(found: Identifier) -> Self {
        Self { identifier: found.identifier, trusona_id: found.trusona_id }
    }
}

/// Registers the Trusona ID of a user. Trusonafications can name the user by it from then on. The same pair again returns the same result.
#[utoipa::path(post, path = "/api/v2/user_identifiers", operation_id = "registerIdentifier", tag = "compatibility", request_body = RegisterIdentifier, responses(
    (status = 201, description = "The user and their Trusona ID", body = Registered),
    (status = 409, description = "`IDENTIFIER_TAKEN`: registered with another Trusona ID", body = Problem),
    (status = 422, description = "Invalid request", body = Problem)))]
pub async fn register(State(state): State<AppState>, backend: Backend, Json(body): Json<RegisterIdentifier>) -> Result<Response, Problem> {
    create(&state, &backend, String::new(), body).await
}

/// Returns the Trusona ID of a user.
#[utoipa::path(get, path = "/api/v2/user_identifiers/{identifier}", operation_id = "getIdentifier", tag = "compatibility", params(("identifier" = String, Path)), responses(
    (status = 200, description = "The user and their Trusona ID", body = Registered),
    (status = 404, description = "No Trusona ID is registered for the user", body = Problem)))]
pub async fn get(State(state): State<AppState>, backend: Backend, Path(identifier): Path<String>) -> Result<Response, Problem> {
    let request = ListIdentifiersRequest { identifiers: vec![identifier], ..ListIdentifiersRequest::default() };
    let found = list(&state, &backend, request).await?.into_iter().next().ok_or_else(Problem::not_found)?;
    Ok(reply(StatusCode::OK, &Registered::from(found)))
}

/// Registers the Trusona ID of a user by their name in an integration, such as a Windows account.
#[utoipa::path(post, path = "/api/v2/integrations/{integration_id}/accounts", operation_id = "registerAccount", tag = "compatibility", request_body = RegisterIdentifier,
    params(("integration_id" = String, Path)), responses(
    (status = 201, description = "The user and their Trusona ID", body = Registered),
    (status = 409, description = "`IDENTIFIER_TAKEN`: registered with another Trusona ID", body = Problem),
    (status = 422, description = "Invalid request", body = Problem)))]
pub async fn register_account(
    State(state): State<AppState>,
    backend: Backend,
    Path(integration_id): Path<String>,
    Json(body): Json<RegisterIdentifier>,
) -> Result<Response, Problem> {
    create(&state, &backend, integration_id, body).await
}

/// Returns which of these names are registered with the integration.
#[utoipa::path(get, path = "/api/v2/integrations/{integration_id}/accounts", operation_id = "listAccounts", tag = "compatibility",
    params(("integration_id" = String, Path), ("identifier[]" = Vec<String>, Query, description = "The names to look up, at most 100. May also be called `identifier`")),
    responses((status = 200, description = "The registered ones, in the order of the request", body = Vec<Registered>),
        (status = 422, description = "Invalid request", body = Problem)))]
pub async fn accounts(
    State(state): State<AppState>,
    backend: Backend,
    Path(integration_id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let identifiers: Vec<_> = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "identifier[]" || name == "identifier")
        .map(|(_, value)| value.into_owned())
        .collect();
    if identifiers.is_empty() {
        return Err(Problem::field("identifier[]", "must not be blank"));
    }
    let request = ListIdentifiersRequest { integration_id, identifiers, trusona_id: String::new() };
    let found = list(&state, &backend, request).await?;
    Ok(reply(StatusCode::OK, &found.into_iter().map(Registered::from).collect::<Vec<_>>()))
}

/// Always refused: credentials for an integration's own machines are not issued, because each could act for every user.
#[utoipa::path(post, path = "/api/v2/integrations/{integration_id}/credentials", operation_id = "createCredentials", tag = "compatibility",
    params(("integration_id" = String, Path)),
    responses((status = 422, description = "`INTEGRATIONS_NOT_SUPPORTED`: let the backend make the request", body = Problem)))]
pub async fn credentials(_: Backend) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "INTEGRATIONS_NOT_SUPPORTED",
        "no credentials are issued for the machines of an integration; let your backend make the request",
    )
}

/// The users of a Trusona ID, oldest first. The Trusona ID stands for the first.
pub async fn users_of(state: &AppState, backend: &Backend, trusona_id: String) -> Result<Vec<String>, Problem> {
    let request = ListIdentifiersRequest { trusona_id, ..ListIdentifiersRequest::default() };
    Ok(list(state, backend, request).await?.into_iter().map(|found| found.identifier).collect())
}

/// Lists the identifiers that match a request.
pub async fn list(state: &AppState, backend: &Backend, request: ListIdentifiersRequest) -> Result<Vec<Identifier>, Problem> {
    Ok(client(state, backend).list_identifiers(request).await?.into_inner().identifiers)
}

async fn create(state: &AppState, backend: &Backend, integration_id: String, body: RegisterIdentifier) -> Result<Response, Problem> {
    let request = RegisterIdentifierRequest {
        identifier: body.identifier.unwrap_or_default(),
        trusona_id: body.trusona_id.unwrap_or_default(),
        integration_id,
    };
    let registered = client(state, backend).register_identifier(request).await?.into_inner();
    Ok(reply(StatusCode::CREATED, &Registered::from(registered)))
}

fn client(state: &AppState, by: impl Into<Actor>) -> IdentifierServiceClient<PeerChannel> {
    IdentifierServiceClient::new(state.peers.binding().on_behalf_of(by))
}
