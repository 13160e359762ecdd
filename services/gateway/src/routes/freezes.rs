//! Freezes of users, by their backend or by one of their own phones.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use nodkey_kernel::json::null_as_default;
use nodkey_proto::{
    binding::v1::{
        self as binding, FreezeDeviceUserRequest, FreezeUserRequest, FrozenBy, GetUserRequest, ReleaseUserRequest,
        user_service_client::UserServiceClient,
    },
    rest,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{devices::rfc3339, users::users};
use crate::{
    auth::{backend::Backend, phone::Phone},
    extract::{Json, ProvenJson},
    problem::Problem,
    reply::reply,
    state::AppState,
};

/// A request to freeze a user.
#[derive(Debug, Deserialize, ToSchema)]
pub struct FreezeUser {
    /// The reason, for people: at most 200 characters.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schema(value_type = Option<String>, max_length = 200)]
    note: String,
}

/// A phone's request to freeze its user. It has no members.
#[derive(Debug, Deserialize, ToSchema)]
pub struct FreezeOwnUser {}

/// The current state of a user.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "what clients read")]
pub struct User {
    user_identifier: String,
    /// The number of bound devices, active or not.
    devices: i32,
    /// Null unless the user is frozen.
    #[schema(required)]
    freeze: Option<Freeze>,
}

/// A freeze: until the user is released, nobody may prompt them, and answers of their devices are refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct Freeze {
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    frozen_at: Option<String>,
    /// `backend`, `operator` or `device`.
    #[schema(schema_with = freezers)]
    frozen_by: &'static str,
    /// The device that froze its user. Null if it was not a device.
    #[schema(required)]
    device_identifier: Option<String>,
    note: String,
}

fn freezers() -> utoipa::openapi::Object {
    rest::names(["backend", "operator", "device"])
}

/// The freeze of the calling phone's user.
#[derive(Debug, Serialize, ToSchema)]
pub struct Frozen {
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    frozen_at: Option<String>,
}

/// Returns a user: the number of their devices, and whether they are frozen.
#[utoipa::path(get, path = "/api/v2/users/{user_identifier}", operation_id = "getUser", tag = "users", params(("user_identifier" = String, Path)),
    responses((status = 200, description = "The user", body = User), (status = 404, description = "No such user, or deactivated", body = Problem)))]
pub async fn get(State(state): State<AppState>, backend: Backend, Path(user_identifier): Path<String>) -> Result<Response, Problem> {
    let user = users(&state, &backend).get_user(GetUserRequest { user_identifier }).await?.into_inner();
    Ok(reply(StatusCode::OK, &User::from(user)))
}

/// Freezes a user. Open prompts end.
/// Until the user is released, nobody may prompt them, and answers of their devices are refused. Bindings and devices stay. Idempotent: an
/// existing freeze stays as it is.
#[utoipa::path(post, path = "/api/v2/users/{user_identifier}/freeze", operation_id = "freezeUser", tag = "users", params(("user_identifier" = String, Path)),
    request_body = FreezeUser, responses((status = 200, description = "The frozen user", body = User),
    (status = 404, description = "No such user, or deactivated", body = Problem), (status = 422, description = "Invalid request", body = Problem)))]
pub async fn freeze(
    State(state): State<AppState>,
    backend: Backend,
    Path(user_identifier): Path<String>,
    Json(FreezeUser { note }): Json<FreezeUser>,
) -> Result<Response, Problem> {
    let user = users(&state, &backend).freeze_user(FreezeUserRequest { user_identifier, note }).await?.into_inner();
    Ok(reply(StatusCode::OK, &User::from(user)))
}

/// Releases a user. Everything is as it was before the freeze. Idempotent.
#[utoipa::path(delete, path = "/api/v2/users/{user_identifier}/freeze", operation_id = "releaseUser", tag = "users", params(("user_identifier" = String, Path)),
    responses((status = 200, description = "The released user", body = User),
    (status = 404, description = "No such user, or deactivated", body = Problem)))]
pub async fn release(State(state): State<AppState>, backend: Backend, Path(user_identifier): Path<String>) -> Result<Response, Problem> {
    let user = users(&state, &backend).release_user(ReleaseUserRequest { user_identifier }).await?.into_inner();
    Ok(reply(StatusCode::OK, &User::from(user)))
}

/// Freezes the calling phone's user, for people who have lost another phone.
/// The calling phone cannot answer any more either, until the backend has verified who made the call and releases the user. No phone can
/// release its user. Idempotent.
#[utoipa::path(post, path = "/api/v2/user_freezes", operation_id = "freezeOwnUser", tag = "phones", request_body = FreezeOwnUser, responses(
    (status = 200, description = "The freeze", body = Frozen),
    (status = 403, description = "`DEVICE_NOT_BOUND` or `DEVICE_NOT_ACTIVE`", body = Problem)))]
pub async fn freeze_own(
    State(state): State<AppState>,
    phone: Phone,
    ProvenJson(FreezeOwnUser {}, call): ProvenJson<FreezeOwnUser>,
) -> Result<Response, Problem> {
    let mut client = UserServiceClient::new(state.peers.binding().acting_for(phone.relying_party));
    let request = FreezeDeviceUserRequest { device_identifier: phone.device.to_string(), call: Some(call) };
    let user = client.freeze_device_user(request).await?.into_inner();
    Ok(reply(StatusCode::OK, &Frozen { frozen_at: user.freeze.and_then(|freeze| rfc3339(freeze.frozen_at.as_ref())) }))
}

impl From<binding::User> for User {
    fn from(user: binding::User) -> Self {
        Self { user_identifier: user.user_identifier, devices: user.devices, freeze: user.freeze.map(Freeze::from) }
    }
}

impl From<binding::Freeze> for Freeze {
    fn from(freeze: binding::Freeze) -> Self {
        Self {
            frozen_at: rfc3339(freeze.frozen_at.as_ref()),
            frozen_by: match freeze.frozen_by() {
                FrozenBy::Device => "device",
                FrozenBy::Operator => "operator",
                FrozenBy::Backend | FrozenBy::Unspecified => "backend",
            },
            device_identifier: Some(freeze.frozen_by_device).filter(|device| !device.is_empty()),
            note: freeze.note,
        }
    }
}
