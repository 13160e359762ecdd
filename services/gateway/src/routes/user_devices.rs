//! Bindings, as backends create and activate them.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use nodkey_proto::binding::v1::{
    ActivateBindingRequest, Binding, BindingState, CreateBindingRequest, binding_service_client::BindingServiceClient,
};
use nodkey_runtime::{Actor, PeerChannel};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder, schema::Type},
};

use super::trusonafications::not_an_answer;
use crate::{
    auth::backend::Backend,
    extract::{IdempotencyKey, Json},
    problem::Problem,
    reply::reply,
    state::AppState,
};

/// A device and its user.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateUserDevice {
    #[schema(required, value_type = String, min_length = 1, max_length = 255)]
    user_identifier: Option<String>,
    #[schema(required, value_type = String, pattern = "^[A-Za-z0-9_-]{43}$")]
    device_identifier: Option<String>,
    /// A member of responses. If present, it must be null.
    #[schema(ignore)]
    id: Option<IgnoredAny>,
}

/// An activation.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ActivateUserDevice {
    #[schema(required, schema_with = only_true)]
    active: Option<bool>,
    /// If present, the same as in the path.
    #[schema(ignore)]
    id: Option<String>,
    /// Never accepted: a binding belongs to one user and one device.
    #[schema(ignore)]
    user_identifier: Option<Value>,
    /// Never accepted, likewise.
    #[schema(ignore)]
    device_identifier: Option<Value>,
}

/// The only accepted value, because an activation cannot be undone.
fn only_true() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true])).build()
}

/// A device and its user.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserDevice {
    /// UUID; the activation code.
    #[schema(format = Uuid)]
    id: String,
    user_identifier: String,
    device_identifier: String,
    active: bool,
}

impl From<Binding> for UserDevice {
    fn from(binding: Binding) -> Self {
        let active = binding.state() == BindingState::Active;
        Self { id: binding.id, user_identifier: binding.user_identifier, device_identifier: binding.device_identifier, active }
    }
}

/// Binds a device to a user. The binding is inactive until it is activated. The same pair again returns the same binding.
#[utoipa::path(post, path = "/api/v2/user_devices", operation_id = "createUserDevice", tag = "devices", request_body = CreateUserDevice, params(("Idempotency-Key" = Option<String>, Header)), responses(
    (status = 201, description = "The inactive binding. Its `id` is the activation code", body = UserDevice),
    (status = 409, description = "`DEVICE_ALREADY_BOUND`: to another user", body = Problem),
    (status = 422, description = "Invalid request", body = Problem),
    (status = 424, description = "`DEVICE_NOT_FOUND`: no such device, or retired", body = Problem)))]
pub async fn create(
    State(state): State<AppState>,
    backend: Backend,
    IdempotencyKey(request_id): IdempotencyKey,
    Json(body): Json<CreateUserDevice>,
) -> Result<Response, Problem> {
    not_an_answer(&[("id", body.id.is_some())])?;
    let request = CreateBindingRequest {
        request_id,
        user_identifier: body.user_identifier.unwrap_or_default(),
        device_identifier: body.device_identifier.unwrap_or_default(),
    };
    let binding = bindings(&state, &backend).create_binding(request).await?.into_inner();
    Ok(reply(StatusCode::CREATED, &UserDevice::from(binding)))
}

/// Activates a binding. Idempotent.
#[utoipa::path(patch, path = "/api/v2/user_devices/{id}", operation_id = "activateUserDevice", tag = "devices", request_body = ActivateUserDevice,
    params(("id" = String, Path, description = "The activation code")), responses(
    (status = 200, description = "The active binding", body = UserDevice), (status = 404, description = "No such activation code", body = Problem),
    (status = 422, description = "Invalid request", body = Problem)))]
pub async fn activate(
    State(state): State<AppState>,
    backend: Backend,
    Path(id): Path<String>,
    Json(body): Json<ActivateUserDevice>,
) -> Result<Response, Problem> {
    let other_id = body.id.is_some_and(|named| !named.eq_ignore_ascii_case(&id));
    let changes =
        [("id", other_id), ("user_identifier", body.user_identifier.is_some()), ("device_identifier", body.device_identifier.is_some())];
    if let Some((field, _)) = changes.iter().find(|(_, changes)| *changes) {
        return Err(Problem::field(field, "cannot be changed: create a new binding with POST /api/v2/user_devices"));
    }
    if body.active != Some(true) {
        return Err(Problem::field("active", "must be true; to deactivate a user, call DELETE /api/v2/users/{user_identifier}"));
    }
    let binding = bindings(&state, &backend).activate_binding(ActivateBindingRequest { id }).await?.into_inner();
    Ok(reply(StatusCode::OK, &UserDevice::from(binding)))
}

/// Answers calls with a blank activation code, which old clients send.
pub async fn without_code(_: Backend) -> Problem {
    Problem::field("id", "must not be blank")
}

fn bindings(state: &AppState, by: impl Into<Actor>) -> BindingServiceClient<PeerChannel> {
    BindingServiceClient::new(state.peers.binding().on_behalf_of(by))
}
