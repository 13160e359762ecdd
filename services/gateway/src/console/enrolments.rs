//! Enrols a phone as an operator's, by an invitation.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use nodkey_proto::{
    convert::role,
    registry::v1::{AcceptInvitationRequest, ResolveInvitationRequest, operator_service_client::OperatorServiceClient},
};
use serde::Deserialize;
use serde_json::json;

use super::NAME;
use crate::{extract::Json, limits::network::Source, problem::Problem, reply::reply, state::AppState};

/// A phone that has registered.
#[derive(Deserialize)]
pub struct Registered {
    device_identifier_jwt: String,
}

/// Returns the operator that an invitation is for, and what the phone needs to register.
pub async fn show(State(state): State<AppState>, source: Source, Path(token): Path<String>) -> Result<Response, Problem> {
    state.address_rates.check_source(&source)?;
    let mut operators = OperatorServiceClient::new(state.peers.registry().unscoped());
    let opened = operators.resolve_invitation(ResolveInvitationRequest { token }).await?.into_inner();
    let operator = opened.operator.ok_or_else(|| Problem::because("another service returned no operator"))?;
    let role = role(operator.role()).ok_or_else(|| Problem::because("another service returned no role"))?;
    let body = json!({
        "relying_party": NAME,
        "user": operator.name,
        "role": role.as_str(),
        "gateway": state.deployment.public_url,
        "mobile": {"token": opened.mobile_token, "secret": opened.mobile_secret},
    });
    Ok(reply(StatusCode::OK, &body))
}

/// Makes the phone the operator's.
pub async fn accept(
    State(state): State<AppState>,
    source: Source,
    Path(token): Path<String>,
    Json(body): Json<Registered>,
) -> Result<StatusCode, Problem> {
    state.address_rates.check_source(&source)?;
    let mut operators = OperatorServiceClient::new(state.peers.registry().unscoped());
    operators.accept_invitation(AcceptInvitationRequest { token, device_identifier_jwt: body.device_identifier_jwt }).await?;
    Ok(StatusCode::NO_CONTENT)
}
