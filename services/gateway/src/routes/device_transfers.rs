//! Transfers: a phone lets a new phone replace it, or adds one for the same user.

use axum::{extract::State, http::StatusCode, response::Response};
use nodkey_proto::binding::v1::{BindingState, TransferBindingRequest, binding_service_client::BindingServiceClient};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::devices::rfc3339;
use crate::{auth::phone::Phone, extract::Json, problem::Problem, reply::reply, state::AppState};

/// The statements signed by the two phones, at most 4096 characters each.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TransferDevice {
    /// JWS by the device key of the calling phone, with `typ` `nodkey-transfer+jwt` and these claims: `iss`, its device identifier; `sub`, the
    /// new phone's device identifier; `aud`, the gateway's public URL; `act`, `replace` or `add`; `nonce`, created with
    /// `POST /api/v2/device_challenges`; and `iat`.
    statement: String,
    /// JWS over the same claims by a presence key of the calling phone that counts.
    signature: String,
    /// JWS by the device key of the new phone, with `typ` `nodkey-transfer-request+jwt` and these claims: `iss`, its device identifier;
    /// `aud`; and `nonce`, chosen by the new phone.
    request: String,
}

/// The new phone.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransferredDevice {
    /// The new phone's device identifier.
    device_identifier: String,
    /// True unless it has been deactivated since.
    is_active: bool,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    activated_at: Option<String>,
}

/// Replaces the calling phone with a new one, or adds a new phone.
/// With `act` `replace`, the calling phone is retired. With `add`, which the relying party has to allow, it stays active. The new phone is
/// active immediately, for the same user. Idempotent.
#[utoipa::path(post, path = "/api/v2/device_transfers", operation_id = "transferDevice", tag = "phones", request_body = TransferDevice, responses(
    (status = 201, description = "The new phone is bound and active", body = TransferredDevice),
    (status = 403, description = "`TRANSFER_PRESENCE_REQUIRED`, `TRANSFER_NOT_ALLOWED`, `DEVICE_NOT_BOUND`, `DEVICE_NOT_ACTIVE` or `DEVICE_RETIRED`", body = Problem),
    (status = 404, description = "The new phone is not registered", body = Problem),
    (status = 409, description = "`DEVICE_ALREADY_BOUND`: the new phone is bound already; or `DEVICE_CHALLENGE_USED`", body = Problem),
    (status = 410, description = "`DEVICE_CHALLENGE_EXPIRED`: create a new challenge", body = Problem),
    (status = 422, description = "Invalid request, `TRANSFER_STATEMENT_INVALID`, `TRANSFER_REQUEST_INVALID`, `DEVICE_CHALLENGE_UNKNOWN` or `TOO_MANY_DEVICES`", body = Problem)))]
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
