//! A phone hands its place to a new one, or lets it in beside itself.

use axum::{extract::State, http::StatusCode, response::Response};
use nodkey_proto::binding::v1::{BindingState, TransferBindingRequest, binding_service_client::BindingServiceClient};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::devices::rfc3339;
use crate::{auth::phone::Phone, extract::Json, problem::Problem, reply::reply, state::AppState};

/// What two phones signed, each at most 4096 characters.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TransferDevice {
    /// JWS by the device key of the phone that calls, `typ` `nodkey-transfer+jwt`: `iss` its device identifier, `sub` that of the new phone, `aud`
    /// the gateway's public URL, `act` `replace` or `add`, `nonce` of `POST /api/v2/device_challenges`, `iat`.
    statement: String,
    /// The same claims signed by a presence key of it that counts (JWS).
    signature: String,
    /// JWS by the device key of the new phone, `typ` `nodkey-transfer-request+jwt`: `iss` its device identifier, `aud`, and a `nonce` of its own.
    request: String,
}

/// What became of the new phone.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransferredDevice {
    /// The new phone.
    device_identifier: String,
    /// True unless it was deactivated since.
    is_active: bool,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    activated_at: Option<String>,
}

/// The phone hands its place to a new one and is retired (`act` `replace`), or lets it in beside itself (`add`, where the relying party
/// allows it). The new phone is active at once, for the same user. Idempotent.
#[utoipa::path(post, path = "/api/v2/device_transfers", operation_id = "transferDevice", tag = "phones", request_body = TransferDevice, responses(
    (status = 201, description = "The new phone is bound and active", body = TransferredDevice),
    (status = 403, description = "`TRANSFER_PRESENCE_REQUIRED`, `TRANSFER_NOT_ALLOWED`, `DEVICE_NOT_BOUND`, `DEVICE_NOT_ACTIVE`, `DEVICE_RETIRED`", body = Problem),
    (status = 404, description = "The new phone is not registered", body = Problem),
    (status = 409, description = "`DEVICE_ALREADY_BOUND`, `DEVICE_CHALLENGE_USED`", body = Problem),
    (status = 410, description = "`DEVICE_CHALLENGE_EXPIRED`", body = Problem),
    (status = 422, description = "Not valid, `TRANSFER_STATEMENT_INVALID`, `TRANSFER_REQUEST_INVALID`, `DEVICE_CHALLENGE_UNKNOWN`, `TOO_MANY_DEVICES`", body = Problem)))]
pub async fn create(State(state): State<AppState>, phone: Phone, Json(body): Json<TransferDevice>) -> Result<Response, Problem> {
    let TransferDevice { statement, signature, request } = body;
    let mut bindings = BindingServiceClient::new(state.peers.binding().on_behalf_of(phone.relying_party));
    let request = TransferBindingRequest { device_identifier: phone.device.to_string(), statement, signature, request };
    let binding = bindings.transfer_binding(request).await?.into_inner();
    let is_active = binding.state() == BindingState::Active;
    let activated_at = rfc3339(binding.activated_at.as_ref());
    let transferred = TransferredDevice { device_identifier: binding.device_identifier, is_active, activated_at };
    Ok(reply(StatusCode::CREATED, &transferred))
}
