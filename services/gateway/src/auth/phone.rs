//! Phones: a DPoP proof (RFC 9449) by the device key on every call.

use axum::{
    body::Body,
    extract::{FromRequestParts, RawPathParams, Request, State},
    http::request::Parts,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use nodkey_kernel::{
    dpop::{self, Proof},
    error::{Classify as _, Kind},
    id::{DeviceId, RelyingPartyId},
};
use nodkey_proto::registry::v1::{ResolveDeviceRequest, device_service_client::DeviceServiceClient};
use nodkey_runtime::status::PeerError;

use crate::{body::read_body, edge::Edge, problem::Problem};

/// A device that has proven itself.
#[derive(Clone, Debug)]
pub struct Phone {
    /// Whose it is.
    pub relying_party: RelyingPartyId,
    /// Which.
    pub device: DeviceId,
}

impl<S: Sync> FromRequestParts<S> for Phone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(|| Problem::proof("the DPoP header is missing"))
    }
}

/// Lets through whoever holds the key of a registered device, and of the device the path names as `{id}`.
pub async fn middleware(State(gateway): State<Edge>, path: RawPathParams, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let phone = async {
        let body = read_body(body).await?;
        let proof = prove(&gateway, &parts, &body).await?;
        let named = path.iter().find(|(name, _)| *name == "id").map(|(_, id)| id);
        if named.is_some_and(|id| id != proof.device_id.as_str()) {
            return Err(Problem::proof("the proof is by another device than the one in question"));
        }
        gateway.device_rates.check(proof.device_id.as_str())?;
        Ok((resolve(&gateway, proof.device_id).await?, body))
    };
    match phone.await {
        Err(problem) => problem.into_response(),
        Ok((phone, body)) => {
            parts.extensions.insert(phone);
            next.run(Request::from_parts(parts, Body::from(body))).await
        }
    }
}

/// Verifies the proof of a call; a proof is taken once.
pub async fn prove(gateway: &Edge, parts: &Parts, body: &[u8]) -> Result<Proof, Problem> {
    let proof = verify(gateway, parts, body)?;
    if !gateway.replays.first(proof.device_id.as_str(), &proof.jti).await {
        return Err(Problem::proof("the DPoP proof was used before"));
    }
    Ok(proof)
}

/// The same of a call without effect: a proof may come again.
pub fn verify(gateway: &Edge, parts: &Parts, body: &[u8]) -> Result<Proof, Problem> {
    let mut proofs = parts.headers.get_all("dpop").iter();
    let (Some(proof), None) = (proofs.next(), proofs.next()) else {
        return Err(Problem::proof("exactly one DPoP header is needed"));
    };
    let proof = proof.to_str().map_err(|_| Problem::proof("the DPoP header is not ASCII"))?;
    let url = format!("{}{}", gateway.deployment.public_url, parts.uri.path());
    dpop::verify(proof, parts.method.as_str(), &url, body, gateway.clock.now()).map_err(|e| Problem::proof(e.to_string()))
}

/// Asks whose device it is, now: a retired one is refused at once.
pub async fn resolve(gateway: &Edge, device: DeviceId) -> Result<Phone, Problem> {
    let mut devices = DeviceServiceClient::new(gateway.peers.registry().unscoped());
    let answer = devices.resolve_device(ResolveDeviceRequest { device_id: device.to_string() }).await.map_err(PeerError::from);
    let resolved = match answer {
        Ok(answer) => answer.into_inner(),
        Err(e) if e.kind() == Kind::NotFound => return Err(Problem::proof("the device is not registered")),
        Err(e) => return Err(e.into()),
    };
    if resolved.retired {
        return Err(Problem::new(http::StatusCode::FORBIDDEN, "DEVICE_RETIRED", "the device is retired; register with new keys"));
    }
    let relying_party = resolved.relying_party_id.parse().map_err(|_| Problem::internal())?;
    Ok(Phone { relying_party, device })
}
