//! Nonces for key statements, for phones with device keys that need not be registered.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use nodkey_proto::registry::v1::{CreateDeviceChallengeRequest, device_service_client::DeviceServiceClient};
use serde::Serialize;
use utoipa::ToSchema;

use super::devices::rfc3339;
use crate::{auth::phone, body::read_body, limits::network::Source, problem::Problem, reply::reply, state::AppState};

/// What a phone needs to make a key statement.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceChallenge {
    /// Valid for 10 minutes, for one statement by the device key of the proof.
    nonce: String,
    /// Greater than the `seq` of every earlier statement, for phones that keep no counter of their own.
    seq: i64,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
}

/// Creates a nonce for a key statement by the device key of the proof, registered or not.
/// Nothing is stored, so repeating the call is harmless.
#[utoipa::path(post, path = "/api/v2/device_challenges", operation_id = "createDeviceChallenge", tag = "phones",
    responses((status = 201, description = "The nonce", body = DeviceChallenge)))]
pub async fn create(State(state): State<AppState>, source: Source, request: Request) -> Result<Response, Problem> {
    state.challenge_rates.check_source(&source)?;
    let (parts, body) = request.into_parts();
    let body = read_body(body).await?;
    // The proof is not remembered: anybody can make up keys and proofs without end, and a replay has no effect.
    let proof = phone::verify(&state, &parts, &body)?;
    let mut devices = DeviceServiceClient::new(state.peers.registry().unscoped());
    let request = CreateDeviceChallengeRequest { device_id: proof.device_id.to_string() };
    let challenge = devices.create_device_challenge(request).await?.into_inner();
    let expires_at = rfc3339(challenge.expires_at.as_ref());
    Ok(reply(StatusCode::CREATED, &DeviceChallenge { nonce: challenge.nonce, seq: challenge.seq, expires_at }))
}
