//! Users, as far as the relying party identifies them.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use nodkey_proto::{
    binding::v1::{Binding, BindingState, DeactivateUserRequest, ListUserDevicesRequest, user_service_client::UserServiceClient},
    registry::v1::{GetDeviceRequest, Platform, PresenceKind},
};
use nodkey_runtime::{Actor, PeerChannel};
use serde::Serialize;
use utoipa::ToSchema;

use super::devices::{devices as registry, rfc3339};
use crate::{auth::backend::Backend, problem::Problem, reply::reply, state::AppState};

/// How many devices are read at the same time.
const AT_ONCE: usize = 8;

/// One of a user's devices.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceOfUser {
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$")]
    device_identifier: String,
    name: String,
    /// `ios`, `android`, `web`, `cli` or `other`.
    #[schema(value_type = super::devices::Platform)]
    platform: &'static str,
    is_active: bool,
    /// `biometric`, `credential`.
    #[schema(value_type = Vec<super::devices::PresenceKind>)]
    presence_keys: Vec<&'static str>,
    /// True while a key statement by the device names its presence keys. Evidence then proves that they are the device's.
    certified: bool,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    activated_at: Option<String>,
    /// RFC 3339. Recorded at most once an hour.
    #[schema(format = DateTime, required)]
    last_seen_at: Option<String>,
}

/// A user's devices.
#[derive(Debug, Serialize, ToSchema)]
pub struct DevicesOfUser {
    devices: Vec<DeviceOfUser>,
}

/// Deactivates a user. Ends all of their bindings and retires all of their devices.
#[utoipa::path(delete, path = "/api/v2/users/{user_identifier}", operation_id = "deactivateUser", tag = "users", params(("user_identifier" = String, Path)),
    responses((status = 204, description = "The user is deactivated"),
    (status = 404, description = "No such user, or deactivated already", body = Problem)))]
pub async fn deactivate(
    State(state): State<AppState>,
    backend: Backend,
    Path(user_identifier): Path<String>,
) -> Result<StatusCode, Problem> {
    users(&state, &backend).deactivate_user(DeactivateUserRequest { user_identifier }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists a user's devices. Empty for an unknown user.
#[utoipa::path(get, path = "/api/v2/users/{user_identifier}/devices", operation_id = "listUserDevices", tag = "users", params(("user_identifier" = String, Path)),
    responses((status = 200, description = "The devices, oldest binding first", body = DevicesOfUser)))]
pub async fn devices(State(state): State<AppState>, backend: Backend, Path(user_identifier): Path<String>) -> Result<Response, Problem> {
    let bindings = users(&state, &backend).list_user_devices(ListUserDevicesRequest { user_identifier }).await?.into_inner().bindings;
    let described = stream::iter(bindings).map(|binding| describe(&state, &backend, binding)).buffered(AT_ONCE);
    Ok(reply(StatusCode::OK, &DevicesOfUser { devices: described.try_collect().await? }))
}

async fn describe(state: &AppState, backend: &Backend, binding: Binding) -> Result<DeviceOfUser, Problem> {
    let request = GetDeviceRequest { device_id: binding.device_identifier.clone() };
    let device = registry(state, backend).get_device(request).await?.into_inner();
    let kind = |kind| match kind {
        PresenceKind::Biometric => "biometric",
        PresenceKind::Credential | PresenceKind::Unspecified => "credential",
    };
    Ok(DeviceOfUser {
        name: device.name.clone(),
        platform: match device.platform() {
            Platform::Ios => "ios",
            Platform::Android => "android",
            Platform::Web => "web",
            Platform::Cli => "cli",
            Platform::Other | Platform::Unspecified => "other",
        },
        is_active: binding.state() == BindingState::Active,
        presence_keys: device.presence_keys.iter().map(|key| kind(key.kind())).collect(),
        certified: !device.key_statement.is_empty(),
        activated_at: rfc3339(binding.activated_at.as_ref()),
        last_seen_at: rfc3339(device.last_seen_at.as_ref()),
        device_identifier: binding.device_identifier,
    })
}

pub(super) fn users(state: &AppState, by: impl Into<Actor>) -> UserServiceClient<PeerChannel> {
    UserServiceClient::new(state.peers.binding().on_behalf_of(by))
}
