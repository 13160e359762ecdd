//! Authenticates phones: every call carries a DPoP proof (RFC 9449) by the device key.

use axum::{
    body::Body,
    extract::{FromRequestParts, RawPathParams, Request, State},
    http::{HeaderMap, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use nodkey_kernel::{
    dpop::{self, Proof},
    error::{Classify as _, Kind},
    id::{DeviceId, RelyingPartyId},
};
use nodkey_proto::registry::v1::{ResolveDeviceRequest, ResolveDeviceResponse, device_service_client::DeviceServiceClient};
use nodkey_runtime::{admission::Class, status::PeerError};

use crate::{
    body::{self, Sender, discard_unread},
    class,
    devices::Age,
    layers::body_under,
    limits::network::Source,
    problem::{Problem, ProofFault},
    replay::PROOF,
    state::AppState,
    strict::Strict,
};

/// An authenticated device.
#[derive(Clone, Debug)]
pub struct Phone {
    /// The relying party of the device.
    pub relying_party: RelyingPartyId,
    /// The device's identifier.
    pub device: DeviceId,
}

impl<S: Sync> FromRequestParts<S> for Phone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(|| Problem::proof(ProofFault::Missing, None))
    }
}

/// Admits callers that hold the key of a registered device. Where the path names a device as `{id}`, it must be that one.
pub async fn middleware(State(gateway): State<AppState>, path: RawPathParams, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let (route, waits) = (class::route(&parts), class::waits(&parts));
    let (class, limit) = (class::of(&parts.method, route), body::limit(&parts.method, route));
    // A device that has not called recently is treated as unauthenticated until the registry has resolved it.
    let claimed = proof(&parts.headers).ok().and_then(dpop::claimed_device);
    let known_of_late = claimed.is_some_and(|device| gateway.devices.knows(&device));
    let permit = match gateway.admission.enter_soon(if known_of_late { class } else { Class::Anonymous }).await {
        Ok(permit) => permit,
        Err(overloaded) => return Problem::from(overloaded).into_response(),
    };
    let proven = async {
        let proof = verify_head(&gateway, &parts)?;
        let named = path.iter().find(|(name, _)| *name == "id").map(|(_, id)| id);
        if named.is_some_and(|id| id != proof.device_id.as_str()) {
            return Err(Problem::proof(ProofFault::OtherDevice, Some(&proof.device_id)));
        }
        // A replayed proof does not count against the device's rate.
        if gateway.replays.has(proof.device_id.as_str(), &proof.jti) {
            return Err(Problem::proof(ProofFault::Replayed, Some(&proof.device_id)));
        }
        let age = Age::of(&parts.method, class::route(&parts));
        let phone = known(&gateway, &mut parts, &proof.device_id, age).await?;
        Ok((proof, phone))
    };
    let (proof, phone) = match proven.await {
        Ok(proven) => proven,
        Err(problem) => {
            drop(permit);
            return unproven(&gateway, &mut parts, problem, body, limit).await.into_response();
        }
    };
    let read = async {
        let permit = if known_of_late {
            permit
        } else {
            drop(permit);
            gateway.admission.enter_soon(class).await?
        };
        let (permit, body) = body_under(&gateway, permit, body, limit, Sender::Known(phone.relying_party)).await?;
        check_body(&gateway, &parts, &proof, &body)?;
        first(&gateway, &proof).await?;
        Ok::<_, Problem>((permit, body))
    };
    match read.await {
        Err(problem) => problem.into_response(),
        Ok((permit, body)) => {
            parts.extensions.insert(phone);
            parts.extensions.insert(Strict);
            let request = Request::from_parts(parts, Body::from(body));
            if waits {
                drop(permit);
                return next.run(request).await;
            }
            permit.hold(next.run(request).await)
        }
    }
}

/// Reads and discards a rejected body for a moment. Where refusals are explained, the body is part of the explanation.
async fn unproven(gateway: &AppState, parts: &mut Parts, mut problem: Problem, body: Body, limit: usize) -> Problem {
    let Some(what) = &problem.string_to_sign else {
        discard_unread(body).await;
        return problem;
    };
    let Ok(source) = Source::from_request_parts(parts, gateway).await else { return problem };
    let hash = gateway.bodies.read(body, limit, Sender::Stranger(source)).await.ok().and_then(|body| dpop::body_hash(&body));
    if let Some(hash) = hash {
        problem.string_to_sign = Some(format!("{what}\nbh {hash}").into());
    }
    problem
}

/// Resolves the phone that a proof belongs to, and accepts the proof only once.
pub async fn authenticate(gateway: &AppState, parts: &mut Parts, proof: &Proof) -> Result<Phone, Problem> {
    let phone = known(gateway, parts, &proof.device_id, Age::New).await?;
    first(gateway, proof).await?;
    Ok(phone)
}

/// Resolves the phone of a proven device key. Unknown devices count against the limit of their address before the registry is called.
async fn known(gateway: &AppState, parts: &mut Parts, device: &DeviceId, age: Age) -> Result<Phone, Problem> {
    let charge = if gateway.devices.knows(device) {
        gateway.device_rates.check(device.as_str())?;
        None
    } else {
        Some(gateway.strangers.charge(&Source::from_request_parts(parts, gateway).await?)?)
    };
    let asked_at = gateway.clock.now();
    if let Some(relying_party) = gateway.devices.relying_party(device, age, asked_at) {
        return Ok(Phone { relying_party, device: device.clone() });
    }
    let resolved = resolve(gateway, device).await;
    if let Ok(None) = resolved {
        gateway.devices.forget(device);
        return Err(Problem::proof(ProofFault::NotRegistered, Some(device)));
    }
    // An error does not say that the device is unknown.
    if let Some(charge) = charge {
        charge.refund();
        gateway.device_rates.check(device.as_str())?;
    }
    let resolved = resolved?.ok_or_else(|| Problem::because("another service returned no device"))?;
    let relying_party = resolved.relying_party_id.parse().map_err(Problem::because)?;
    if resolved.retired {
        gateway.devices.doubt(device, relying_party);
        return Err(Problem::new(http::StatusCode::FORBIDDEN, "DEVICE_RETIRED", "the device is retired; register with new keys"));
    }
    gateway.devices.note(device, relying_party, asked_at);
    Ok(Phone { relying_party, device: device.clone() })
}

/// Refuses a replayed proof. Only proofs of registered devices are remembered, because those of others have no effect.
async fn first(gateway: &AppState, proof: &Proof) -> Result<(), Problem> {
    if gateway.replays.first(proof.device_id.as_str(), &proof.jti, PROOF).await {
        return Ok(());
    }
    Err(Problem::proof(ProofFault::Replayed, Some(&proof.device_id)))
}

/// Verifies the proof of a call. It may be a replay.
pub fn verify(gateway: &AppState, parts: &Parts, body: &[u8]) -> Result<Proof, Problem> {
    let proof = verify_head(gateway, parts)?;
    check_body(gateway, parts, &proof, body)?;
    Ok(proof)
}

/// Refuses a proof that was made for another body.
fn check_body(gateway: &AppState, parts: &Parts, proof: &Proof, body: &[u8]) -> Result<(), Problem> {
    proof.check_body(body).map_err(|e| explained(gateway, parts, Problem::proof(e.into(), Some(&proof.device_id)), Some(body)))
}

/// Adds, in development, what the proof should have covered, including the body where it has been read.
fn explained(gateway: &AppState, parts: &Parts, problem: Problem, body: Option<&[u8]>) -> Problem {
    if !gateway.deployment.explain_refusals {
        return problem;
    }
    let url = format!("{}{}", gateway.deployment.public_url, parts.uri.path());
    let hash = body.and_then(dpop::body_hash).map(|hash| format!("\nbh {hash}")).unwrap_or_default();
    problem.explained("it has to be made of string_to_sign", format!("htm {}\nhtu {url}{hash}", parts.method))
}

/// Verifies a proof before the body is read. The body is still to be checked.
fn verify_head(gateway: &AppState, parts: &Parts) -> Result<Proof, Problem> {
    let proof = proof(&parts.headers)?;
    let url = format!("{}{}", gateway.deployment.public_url, parts.uri.path());
    dpop::verify_head(proof, parts.method.as_str(), &url, gateway.clock.now())
        .map_err(|e| explained(gateway, parts, Problem::proof(e.into(), dpop::claimed_device(proof).as_ref()), None))
}

/// The proof of a call, not yet verified.
pub fn proof(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut proofs = headers.get_all("dpop").iter();
    let proof = proofs.next().ok_or_else(|| Problem::proof(ProofFault::Missing, None))?;
    if proofs.next().is_some() {
        return Err(Problem::proof(ProofFault::Several, None));
    }
    proof.to_str().map_err(|_| Problem::proof(ProofFault::NotAscii, None))
}

/// Resolves the relying party of a device from the registry. `None` when the device is not registered.
async fn resolve(gateway: &AppState, device: &DeviceId) -> Result<Option<ResolveDeviceResponse>, Problem> {
    let mut devices = DeviceServiceClient::new(gateway.peers.registry().unscoped());
    match devices.resolve_device(ResolveDeviceRequest { device_id: device.to_string() }).await.map_err(PeerError::from) {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(e) if e.kind() == Kind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}
