//! Public documents.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::State,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use nodkey_kernel::time::Timestamp;
use nodkey_proto::registry::v1::{GetJwksArchiveRequest, GetJwksRequest, signing_key_service_client::SigningKeyServiceClient};

use crate::{problem::Problem, state::AppState};

/// How long a security contact is valid after it was read. RFC 9116 recommends less than a year.
const SECURITY_LIFETIME: Duration = Duration::from_hours(24 * 30);

/// Returns the public keys of the deployment (RFC 7517).
/// They verify challenges, device-identifier JWTs and evidence. The `typs` of each key lists what it signs. Refuse anything else that it
/// signed.
#[utoipa::path(get, path = "/jwks", operation_id = "getJwks", tag = "public", responses((status = 200, description = "A JWK Set", content_type = "application/json")))]
pub async fn jwks(State(state): State<AppState>) -> Result<Response, Problem> {
    let mut keys = SigningKeyServiceClient::new(state.peers.registry().unscoped());
    let jwks = keys.get_jwks(GetJwksRequest {}).await?.into_inner().jwks;
    // A new key is published longer before it signs than this and the registry's own cache last: see `signing_key_lead_seconds`.
    Ok(key_set(jwks, "public, max-age=60"))
}

/// Returns every key that ever signed a challenge or a receipt.
/// For evidence of any age: the keys of `/jwks`, and retired and revoked ones. `iat`, `exp` and `revoked` are those of OpenID Federation
/// 1.0, section 8.7. A signature by a revoked key proves nothing.
#[utoipa::path(get, path = "/jwks/archive", operation_id = "getJwksArchive", tag = "public",
    responses((status = 200, description = "A JWK Set", content_type = "application/json")))]
pub async fn jwks_archive(State(state): State<AppState>) -> Result<Response, Problem> {
    let mut keys = SigningKeyServiceClient::new(state.peers.registry().unscoped());
    let jwks = keys.get_jwks_archive(GetJwksArchiveRequest {}).await?.into_inner().jwks;
    Ok(key_set(jwks, "public, max-age=300"))
}

fn key_set(jwks: String, cache: &'static str) -> Response {
    let headers =
        [(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8")), (CACHE_CONTROL, HeaderValue::from_static(cache))];
    (StatusCode::OK, headers, jwks).into_response()
}

/// Returns where to report a vulnerability (RFC 9116), if the operator has configured a contact.
#[utoipa::path(get, path = "/.well-known/security.txt", operation_id = "getSecurityContact", tag = "public", responses(
    (status = 200, description = "A `security.txt`", body = String, content_type = "text/plain"),
    (status = 404, description = "No contact is configured", body = Problem)))]
pub async fn security(State(state): State<AppState>) -> Result<Response, Problem> {
    let contact = state.security_contact.as_ref().ok_or_else(Problem::not_found)?;
    let (url, expires) = (&state.deployment.public_url, state.clock.now() + SECURITY_LIFETIME);
    let expires = Timestamp::from_seconds(expires.as_seconds());
    let text = format!("Contact: {contact}\nExpires: {expires}\nCanonical: {url}/.well-known/security.txt\n");
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], text).into_response())
}

/// Serves the OpenAPI document, built once.
pub fn openapi(document: Bytes) -> Response {
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))];
    (StatusCode::OK, headers, document).into_response()
}
