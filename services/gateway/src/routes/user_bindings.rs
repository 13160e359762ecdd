//! Binds the phone that scanned a secure QR code to a user.

use axum::{extract::State, http::StatusCode};
use nodkey_kernel::error::{Classify as _, Kind};
use nodkey_proto::{
    binding::v1::{
        ActivateBindingRequest, BindingState, CreateBindingRequest, GetDeviceBindingRequest, binding_service_client::BindingServiceClient,
    },
    trusonafication::v1::{GetPairingRequest, tru_code_service_client::TruCodeServiceClient},
};
use nodkey_runtime::status::PeerError;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{auth::backend::Backend, extract::Json, problem::Problem, state::AppState};

/// The user, and the code that their phone scanned.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateUserBinding {
    #[schema(required, value_type = String, min_length = 1, max_length = 255)]
    user_identifier: Option<String>,
    /// UUID of a code that was paired.
    #[schema(format = Uuid, required, value_type = String)]
    trucode_id: Option<String>,
}

/// Binds the device that paired a code to a user.
/// The binding is active immediately: the backend vouches for the visitor. A failed call may be repeated, and activates a binding that it
/// left inactive.
#[utoipa::path(post, path = "/api/v2/user_bindings", operation_id = "createUserBinding", tag = "devices", request_body = CreateUserBinding, responses(
    (status = 204, description = "The device is bound and active"),
    (status = 409, description = "`USER_ALREADY_BOUND`: the device is bound already", body = Problem),
    (status = 422, description = "Invalid request", body = Problem),
    (status = 424, description = "`TRUCODE_NOT_PAIRED`: no registered device has paired the code", body = Problem)))]
pub async fn create(State(state): State<AppState>, backend: Backend, Json(body): Json<CreateUserBinding>) -> Result<StatusCode, Problem> {
    let (user_identifier, id) = (body.user_identifier.unwrap_or_default(), body.trucode_id.unwrap_or_default());
    for (field, value) in [("user_identifier", &user_identifier), ("trucode_id", &id)] {
        if value.trim().is_empty() {
            return Err(Problem::field(field, "must not be blank"));
        }
    }
    let mut codes = TruCodeServiceClient::new(state.peers.trusonafication().on_behalf_of(&backend));
    let device_identifier = match codes.get_pairing(GetPairingRequest { id }).await.map_err(PeerError::from) {
        Ok(pairing) => pairing.into_inner().identifier,
        Err(e) if e.kind() == Kind::NotFound => {
            return Err(Problem::new(StatusCode::FAILED_DEPENDENCY, "TRUCODE_NOT_PAIRED", "no phone has paired this code"));
        }
        Err(e) => return Err(e.into()),
    };
    let mut bindings = BindingServiceClient::new(state.peers.binding().on_behalf_of(&backend));
    let known = GetDeviceBindingRequest { device_identifier: device_identifier.clone(), with_user_devices: false };
    match bindings.get_device_binding(known).await.map_err(PeerError::from) {
        // Left over by a call that failed at its second step, or waiting for its activation code. Here the backend vouches, as the code
        // would.
        Ok(found) if found.get_ref().state() == BindingState::Inactive && found.get_ref().user_identifier == user_identifier => {}
        Ok(_) => return Err(Problem::new(StatusCode::CONFLICT, "USER_ALREADY_BOUND", "the phone that scanned the code is already bound")),
        Err(e) if e.kind() == Kind::NotFound => {}
        Err(e) => return Err(e.into()),
    }
    // If the two have an inactive binding, it is returned as it is.
    let request = CreateBindingRequest { request_id: String::new(), user_identifier, device_identifier };
    let binding = bindings.create_binding(request).await?.into_inner();
    bindings.activate_binding(ActivateBindingRequest { id: binding.id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
