//! Devices, as phones register and update them, and as backends read them.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use nodkey_kernel::{
    error::{Classify as _, Kind},
    json::null_as_default,
};
use nodkey_proto::{
    binding::v1::{Binding, BindingState, GetDeviceBindingRequest, binding_service_client::BindingServiceClient},
    convert::from_timestamp,
    notification::v1::{
        DeletePushRegistrationRequest, GetWebPushKeyRequest, PushProvider, PutPushRegistrationRequest,
        push_registration_service_client::PushRegistrationServiceClient,
    },
    registry::v1::{
        self as registry, ApproveDeviceKeysRequest, GetDeviceRequest, IssueDeviceIdentifierJwtRequest, RegisterDeviceRequest,
        RetireDeviceRequest, UpdateDeviceRequest, device_service_client::DeviceServiceClient,
    },
};
use nodkey_runtime::{Actor, PeerChannel, status::PeerError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    auth::{
        backend::{Backend, Registering},
        phone::Phone,
    },
    extract::{Json, Object, ProvenJson},
    problem::Problem,
    reply::reply,
    state::AppState,
};

/// A key that the OS only lets sign after checking the person's biometric or passcode.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PresenceKey {
    kind: PresenceKind,
    /// Public JWK.
    #[schema(value_type = Object)]
    jwk: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceKind {
    Biometric,
    Credential,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    Ios,
    Android,
    Web,
    Cli,
    Other,
}

/// The maximum number of capabilities, and the maximum length of one, in bytes.
const MAX_CAPABILITIES: usize = 20;
const MAX_CAPABILITY: usize = 50;

/// A registration.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RegisterDevice {
    /// Public JWK of the device key, the same as in the DPoP proof.
    #[schema(value_type = Object)]
    device_key: Map<String, Value>,
    #[serde(default, deserialize_with = "null_as_default")]
    #[schema(value_type = Option<Vec<PresenceKey>>, max_items = 2)]
    presence_keys: Vec<Object<PresenceKey>>,
    #[schema(max_length = 100)]
    name: Option<String>,
    platform: Option<Platform>,
    #[schema(max_length = 50)]
    app_version: Option<String>,
    /// JWS by the device key, `typ` `nodkey-keys+jwt`, that names exactly `presence_keys`. Without it the device is not certified.
    #[schema(max_length = 4096)]
    key_statement: Option<String>,
    /// The same claims signed by presence keys (JWS), at most 4.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schema(value_type = Option<Vec<String>>, max_items = 4)]
    key_signatures: Vec<String>,
    /// What the app supports beyond the minimum: `match6`, entering numbers of six digits. At most 20 names. Unknown names are ignored.
    #[schema(max_items = 20)]
    capabilities: Option<Vec<String>>,
}

/// Changes to a device. Members that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdateDevice {
    /// Each replaces the key of its kind.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schema(value_type = Option<Vec<PresenceKey>>, max_items = 2)]
    presence_keys: Vec<Object<PresenceKey>>,
    #[schema(max_length = 100)]
    name: Option<String>,
    #[schema(max_length = 50)]
    app_version: Option<String>,
    /// Names exactly the presence keys that the device has after the change. Without it, a change of keys makes the device not certified.
    #[schema(max_length = 4096)]
    key_statement: Option<String>,
    /// As at registration. The key that is replaced may sign, too. A new key counts once both it and a key that counts have signed.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schema(value_type = Option<Vec<String>>, max_items = 4)]
    key_signatures: Vec<String>,
    /// As at registration.
    #[schema(max_items = 20)]
    capabilities: Option<Vec<String>>,
    /// Never accepted: the device identifier is the key's thumbprint, so a new key is a new device.
    #[schema(ignore)]
    device_key: Option<Value>,
    /// Never accepted.
    #[schema(ignore)]
    platform: Option<Value>,
}

/// Where to push to the phone: what the push provider gave the app.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct PushRegistration {
    provider: Provider,
    /// For `apns` and `fcm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// For `webpush` and `unifiedpush`: a public https URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    /// For `webpush`, and for `unifiedpush` where the distributor provides them.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<SubscriptionKeys>,
    /// From a `PushSubscription`. Ignored.
    #[serde(rename = "expirationTime", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    expiration_time: Option<Value>,
}

/// The keys to encrypt a push message with (RFC 8291 section 2).
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct SubscriptionKeys {
    /// Uncompressed P-256 point, base64url.
    p256dh: String,
    /// 16 bytes, base64url.
    auth: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Provider {
    Apns,
    Fcm,
    Webpush,
    Unifiedpush,
}

/// What an app needs to register for pushes.
#[derive(Debug, Serialize, ToSchema)]
pub struct PushOptions {
    /// With which a browser subscribes (`applicationServerKey`, RFC 8292): base64url. Null: the relying party has not configured Web Push.
    #[schema(required)]
    webpush_public_key: Option<String>,
}

/// The presence keys to approve.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ApproveKeys {
    /// Their thumbprints: 1 or 2.
    #[schema(min_items = 1, max_items = 2)]
    thumbprints: Vec<String>,
}

/// The state of a presence key of a device.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeldKey {
    /// `biometric` or `credential`.
    #[schema(value_type = PresenceKind)]
    kind: &'static str,
    /// RFC 7638 thumbprint.
    thumbprint: String,
    /// Whether an accept by it proves the person's presence. A key that does not count proves level 1.
    counts: bool,
    /// RFC 3339: when the device got the key. Null if that was before this was recorded.
    #[schema(format = DateTime, required)]
    since: Option<String>,
}

/// A device as its own phone sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnDevice {
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$")]
    device_identifier: String,
    /// Its `sub` is the device identifier. Verify it with the JWKS.
    device_identifier_jwt: String,
    /// True while an active binding exists.
    is_active: bool,
    /// True while the user is frozen: the device gets no prompts, and its answers are refused.
    frozen: bool,
    /// True while a key statement names the presence keys.
    certified: bool,
    presence_keys: Vec<HeldKey>,
    /// The known capabilities of the app.
    capabilities: Vec<String>,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    activated_at: Option<String>,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    created_at: Option<String>,
    /// The user's active devices, including this one, in the order of their activation: at most 100. Empty unless this device is active.
    /// Only in the response of `GET /api/v2/devices/{id}/status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_devices: Option<Vec<UserDevice>>,
}

/// One of the user's devices, as far as another device of the user may see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FellowDevice)]
pub struct UserDevice {
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    activated_at: Option<String>,
    /// Whether it is the calling phone.
    is_this: bool,
}

/// A device as a backend sees it.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "what clients read")]
pub struct SeenDevice {
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$")]
    device_identifier: String,
    /// True while an active binding exists.
    is_active: bool,
    /// The same as `is_active`, for clients that read it under this name.
    active: bool,
    /// True while the user is frozen: the device gets no prompts, and its answers are refused.
    frozen: bool,
    /// True while a key statement names the presence keys.
    certified: bool,
    presence_keys: Vec<HeldKey>,
    /// The known capabilities of the app.
    capabilities: Vec<String>,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    activated_at: Option<String>,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    created_at: Option<String>,
}

/// Registers a device, or updates a registered one. Idempotent.
#[utoipa::path(post, path = "/api/v2/devices", operation_id = "registerDevice", tag = "phones", request_body = RegisterDevice, responses(
    (status = 201, description = "The device, now registered", body = OwnDevice),
    (status = 200, description = "The device, registered before", body = OwnDevice),
    (status = 409, description = "`DEVICE_KEY_IN_USE`, `KEY_STATEMENT_OUTDATED` or `DEVICE_CHALLENGE_USED`", body = Problem),
    (status = 410, description = "`DEVICE_CHALLENGE_EXPIRED`: create a new challenge", body = Problem),
    (status = 422, description = "Invalid request or key statement", body = Problem)))]
pub async fn register(
    State(state): State<AppState>,
    registering: Registering,
    ProvenJson(body, call): ProvenJson<RegisterDevice>,
) -> Result<Response, Problem> {
    let party = registering.relying_party;
    let device_key = Value::Object(body.device_key);
    let same = nodkey_kernel::jose::PublicJwk::from_value(&device_key).is_ok_and(|key| key == registering.proof.jwk);
    if !same {
        return Err(Problem::field("device_key", "must be the public key of the DPoP proof"));
    }
    check_capabilities(body.capabilities.as_deref())?;
    let request = RegisterDeviceRequest {
        relying_party_id: party.to_string(),
        device_key: device_key.to_string(),
        presence_keys: presence_keys(body.presence_keys),
        name: body.name.unwrap_or_default(),
        platform: body.platform.map_or(registry::Platform::Unspecified, platform).into(),
        app_version: body.app_version.unwrap_or_default(),
        key_statement: body.key_statement.unwrap_or_default(),
        key_signatures: body.key_signatures,
        call: Some(call),
    };
    let registered = devices(&state, party).register_device(request).await?.into_inner();
    let status = if registered.created { StatusCode::CREATED } else { StatusCode::OK };
    let device = registered.device.ok_or_else(|| Problem::because("another service returned no device"))?;
    let binding = binding(&state, party, &device.id, false).await?;
    Ok(reply(status, &own(&device, registered.device_identifier_jwt, binding.as_ref())))
}

/// Returns whether the device is active, with a fresh device-identifier JWT and the user's active devices.
#[utoipa::path(get, path = "/api/v2/devices/{id}/status", operation_id = "getDeviceStatus", tag = "phones", params(("id" = String, Path, description = "Device identifier")),
    responses((status = 200, description = "The device", body = OwnDevice)))]
pub async fn status(State(state): State<AppState>, phone: Phone) -> Result<Response, Problem> {
    let device = get_device(&state, phone.relying_party, phone.device.as_str()).await?;
    own_answer(&state, &phone, &device, true).await
}

/// Changes presence keys, name, app version or capabilities.
#[utoipa::path(patch, path = "/api/v2/devices/{id}", operation_id = "updateDevice", tag = "phones", params(("id" = String, Path, description = "Device identifier")),
    request_body = UpdateDevice, responses((status = 200, description = "The changed device", body = OwnDevice),
    (status = 409, description = "`KEY_STATEMENT_OUTDATED` or `DEVICE_CHALLENGE_USED`", body = Problem),
    (status = 410, description = "`DEVICE_CHALLENGE_EXPIRED`: create a new challenge", body = Problem),
    (status = 422, description = "Invalid request or key statement, or `DEVICE_KEY_IMMUTABLE`", body = Problem)))]
pub async fn update(
    State(state): State<AppState>,
    phone: Phone,
    ProvenJson(body, call): ProvenJson<UpdateDevice>,
) -> Result<Response, Problem> {
    if body.device_key.is_some() {
        let text = "the device key cannot be changed: register a new device with the new key";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "DEVICE_KEY_IMMUTABLE", text).and_field("device_key", "must be absent"));
    }
    if body.platform.is_some() {
        return Err(Problem::field("platform", "cannot be changed"));
    }
    check_capabilities(body.capabilities.as_deref())?;
    let request = UpdateDeviceRequest {
        device_id: phone.device.to_string(),
        presence_keys: presence_keys(body.presence_keys),
        name: body.name,
        app_version: body.app_version,
        key_statement: body.key_statement.unwrap_or_default(),
        key_signatures: body.key_signatures,
        call: Some(call),
    };
    let device = devices(&state, phone.relying_party).update_device(request).await?.into_inner();
    own_answer(&state, &phone, &device, false).await
}

/// Retires the calling phone permanently.
#[utoipa::path(delete, path = "/api/v2/devices/{id}", operation_id = "retireDevice", tag = "phones", params(("id" = String, Path, description = "Device identifier")),
    responses((status = 204, description = "The device is retired")))]
pub async fn retire(State(state): State<AppState>, phone: Phone) -> Result<StatusCode, Problem> {
    devices(&state, phone.relying_party).retire_device(RetireDeviceRequest { device_id: phone.device.to_string() }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets where to push to the phone: `provider`, and what the provider gave the app.
#[utoipa::path(put, path = "/api/v2/devices/{id}/push_registration", operation_id = "putPushRegistration", tag = "phones", request_body = PushRegistration,
    params(("id" = String, Path, description = "Device identifier")),
    responses((status = 204, description = "The push registration is stored"), (status = 422, description = "Invalid request", body = Problem)))]
pub async fn put_push_registration(
    State(state): State<AppState>,
    phone: Phone,
    Json(registration): Json<PushRegistration>,
) -> Result<StatusCode, Problem> {
    let provider = match registration.provider {
        Provider::Apns => PushProvider::Apns,
        Provider::Fcm => PushProvider::Fcm,
        Provider::Webpush => PushProvider::Webpush,
        Provider::Unifiedpush => PushProvider::Unifiedpush,
    };
    let mut details = serde_json::to_value(&registration).map_err(Problem::because)?;
    for told_otherwise in ["provider", "expirationTime"] {
        details.as_object_mut().and_then(|details| details.remove(told_otherwise));
    }
    let request =
        PutPushRegistrationRequest { device_id: phone.device.to_string(), provider: provider.into(), details: details.to_string() };
    push_registrations(&state, phone.relying_party).put_push_registration(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns what the app needs to register for pushes.
#[utoipa::path(get, path = "/api/v2/devices/{id}/push_options", operation_id = "getPushOptions", tag = "phones",
    params(("id" = String, Path, description = "Device identifier")), responses((status = 200, description = "As configured", body = PushOptions)))]
pub async fn push_options(State(state): State<AppState>, phone: Phone) -> Result<Response, Problem> {
    let mut registrations = push_registrations(&state, phone.relying_party);
    let key = registrations.get_web_push_key(GetWebPushKeyRequest {}).await?.into_inner().public_key;
    Ok(reply(StatusCode::OK, &PushOptions { webpush_public_key: Some(key).filter(|key| !key.is_empty()) }))
}

/// Removes the phone's push registration.
#[utoipa::path(delete, path = "/api/v2/devices/{id}/push_registration", operation_id = "deletePushRegistration", tag = "phones",
    params(("id" = String, Path, description = "Device identifier")), responses((status = 204, description = "The push registration is deleted")))]
pub async fn delete_push_registration(State(state): State<AppState>, phone: Phone) -> Result<StatusCode, Problem> {
    let request = DeletePushRegistrationRequest { device_id: phone.device.to_string() };
    push_registrations(&state, phone.relying_party).delete_push_registration(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns a device, bound or not.
#[utoipa::path(get, path = "/api/v2/devices/{id}", operation_id = "getDevice", tag = "devices", params(("id" = String, Path, description = "Device identifier")),
    responses((status = 200, description = "The device", body = SeenDevice), (status = 404, description = "No such device", body = Problem)))]
pub async fn get(State(state): State<AppState>, backend: Backend, Path(id): Path<String>) -> Result<Response, Problem> {
    let device = get_device(&state, &backend, &id).await?;
    seen(&state, &backend, &device).await
}

/// Approves presence keys that were added after registration, so that they count.
/// Call it once you have verified that the device is still the user's. Idempotent.
#[utoipa::path(post, path = "/api/v2/devices/{id}/key_approvals", operation_id = "approveDeviceKeys", tag = "devices", params(("id" = String, Path, description = "Device identifier")),
    request_body = ApproveKeys, responses((status = 200, description = "The changed device", body = SeenDevice),
    (status = 403, description = "`DEVICE_RETIRED`: the device is retired", body = Problem),
    (status = 404, description = "No such device", body = Problem),
    (status = 422, description = "Invalid request, or `NO_SUCH_PRESENCE_KEY`", body = Problem)))]
pub async fn approve_keys(
    State(state): State<AppState>,
    backend: Backend,
    Path(id): Path<String>,
    Json(body): Json<ApproveKeys>,
) -> Result<Response, Problem> {
    let request = ApproveDeviceKeysRequest { device_id: id, thumbprints: body.thumbprints };
    let device = devices(&state, &backend).approve_device_keys(request).await?.into_inner();
    seen(&state, &backend, &device).await
}

async fn seen(state: &AppState, backend: &Backend, device: &registry::Device) -> Result<Response, Problem> {
    let binding = binding(state, backend, &device.id, false).await?;
    let is_active = is_active(binding.as_ref());
    let seen = SeenDevice {
        device_identifier: device.id.clone(),
        is_active,
        active: is_active,
        frozen: is_frozen(binding.as_ref()),
        certified: !device.key_statement.is_empty(),
        presence_keys: held(device),
        capabilities: device.capabilities.clone(),
        activated_at: activated_at(binding.as_ref()),
        created_at: rfc3339(device.created_at.as_ref()),
    };
    Ok(reply(StatusCode::OK, &seen))
}

async fn own_answer(state: &AppState, phone: &Phone, device: &registry::Device, with_user_devices: bool) -> Result<Response, Problem> {
    let request = IssueDeviceIdentifierJwtRequest { device_id: phone.device.to_string() };
    let mut client = devices(state, phone.relying_party);
    let (jwt, binding) = tokio::join!(
        client.issue_device_identifier_jwt(request),
        binding(state, phone.relying_party, phone.device.as_str(), with_user_devices)
    );
    let (jwt, binding) = (jwt?.into_inner().device_identifier_jwt, binding?);
    let user_devices = with_user_devices.then(|| user_devices(binding.as_ref()));
    Ok(reply(StatusCode::OK, &OwnDevice { user_devices, ..own(device, jwt, binding.as_ref()) }))
}

fn own(device: &registry::Device, jwt: String, binding: Option<&Binding>) -> OwnDevice {
    OwnDevice {
        device_identifier: device.id.clone(),
        device_identifier_jwt: jwt,
        is_active: is_active(binding),
        frozen: is_frozen(binding),
        certified: !device.key_statement.is_empty(),
        presence_keys: held(device),
        capabilities: device.capabilities.clone(),
        activated_at: activated_at(binding),
        created_at: rfc3339(device.created_at.as_ref()),
        user_devices: None,
    }
}

fn user_devices(binding: Option<&Binding>) -> Vec<UserDevice> {
    let devices = binding.into_iter().flat_map(|binding| &binding.user_devices);
    devices.map(|device| UserDevice { activated_at: rfc3339(device.activated_at.as_ref()), is_this: device.is_this }).collect()
}

/// Checks the limits only: the registry reads the capabilities from the phone's own call.
fn check_capabilities(names: Option<&[String]>) -> Result<(), Problem> {
    let good = names.is_none_or(|names| names.len() <= MAX_CAPABILITIES && names.iter().all(|name| name.len() <= MAX_CAPABILITY));
    if good { Ok(()) } else { Err(Problem::field("capabilities", "must be at most 20 names of at most 50 characters")) }
}

fn held(device: &registry::Device) -> Vec<HeldKey> {
    let held = |key: &registry::PresenceKey| HeldKey {
        kind: match key.kind() {
            registry::PresenceKind::Credential => "credential",
            registry::PresenceKind::Biometric | registry::PresenceKind::Unspecified => "biometric",
        },
        thumbprint: key.thumbprint.clone(),
        counts: key.counts.unwrap_or(true),
        since: rfc3339(key.since.as_ref()),
    };
    device.presence_keys.iter().map(held).collect()
}

pub(super) fn devices(state: &AppState, by: impl Into<Actor>) -> DeviceServiceClient<PeerChannel> {
    DeviceServiceClient::new(state.peers.registry().on_behalf_of(by))
}

fn push_registrations(state: &AppState, by: impl Into<Actor>) -> PushRegistrationServiceClient<PeerChannel> {
    PushRegistrationServiceClient::new(state.peers.notification().on_behalf_of(by))
}

async fn get_device(state: &AppState, by: impl Into<Actor>, id: &str) -> Result<registry::Device, Problem> {
    Ok(devices(state, by).get_device(GetDeviceRequest { device_id: id.to_owned() }).await?.into_inner())
}

async fn binding(state: &AppState, by: impl Into<Actor>, device: &str, with_user_devices: bool) -> Result<Option<Binding>, Problem> {
    let mut bindings = BindingServiceClient::new(state.peers.binding().on_behalf_of(by));
    let request = GetDeviceBindingRequest { device_identifier: device.to_owned(), with_user_devices };
    match bindings.get_device_binding(request).await.map_err(PeerError::from) {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(e) if e.kind() == Kind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn is_active(binding: Option<&Binding>) -> bool {
    binding.is_some_and(|b| b.state() == BindingState::Active)
}

fn is_frozen(binding: Option<&Binding>) -> bool {
    binding.is_some_and(|b| b.user_frozen)
}

fn activated_at(binding: Option<&Binding>) -> Option<String> {
    rfc3339(binding?.activated_at.as_ref())
}

pub(super) fn rfc3339(at: Option<&prost_types::Timestamp>) -> Option<String> {
    at.and_then(from_timestamp).map(|at| at.to_string())
}

fn presence_keys(keys: Vec<Object<PresenceKey>>) -> Vec<registry::PresenceKey> {
    let kind = |kind| match kind {
        PresenceKind::Biometric => registry::PresenceKind::Biometric,
        PresenceKind::Credential => registry::PresenceKind::Credential,
    };
    let key = |Object(key): Object<PresenceKey>| registry::PresenceKey {
        kind: kind(key.kind).into(),
        jwk: Value::Object(key.jwk).to_string(),
        ..registry::PresenceKey::default()
    };
    keys.into_iter().map(key).collect()
}

fn platform(platform: Platform) -> registry::Platform {
    match platform {
        Platform::Ios => registry::Platform::Ios,
        Platform::Android => registry::Platform::Android,
        Platform::Web => registry::Platform::Web,
        Platform::Cli => registry::Platform::Cli,
        Platform::Other => registry::Platform::Other,
    }
}
