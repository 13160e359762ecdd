//! Secure QR codes, for browsers without a credential, for phones, and for backends.

use axum::{
    extract::{FromRequestParts as _, Path, Request, State},
    http::{HeaderMap, StatusCode, header::ORIGIN},
    response::Response,
};
use nodkey_kernel::{id::TruCodeId, visible};
use nodkey_proto::{
    convert::from_timestamp,
    trusonafication::v1::{
        CreateTruCodeRequest, GetPairingRequest, GetTruCodeContextRequest, GetTruCodeStatusRequest, PairTruCodeRequest,
        tru_code_service_client::TruCodeServiceClient,
    },
};
use nodkey_runtime::admission::Class;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::devices::rfc3339;
use crate::{
    address,
    auth::{
        backend::Backend,
        phone::{self, Phone},
    },
    body::read_body,
    extract::Json,
    limits::network::Source,
    problem::Problem,
    reply::reply,
    state::AppState,
    strict::Strict,
    wait::woken,
};

/// The relying party of the page that shows the code.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateTruCode {
    /// UUID.
    #[schema(format = Uuid)]
    relying_party_id: String,
}

/// A code.
#[derive(Debug, Serialize, ToSchema)]
pub struct TruCode {
    /// UUID. Keep it between this browser and its backend.
    #[schema(format = Uuid)]
    id: String,
    /// The content of the QR code. Its `exp` is in milliseconds.
    payload: String,
    #[schema(format = Uuid)]
    relying_party_id: String,
    /// Two digits to show beside the code, if the relying party requires the phone to confirm them.
    #[serde(skip_serializing_if = "Option::is_none")]
    match_number: Option<String>,
}

/// Whether a code is paired.
#[derive(Debug, Serialize, ToSchema)]
pub struct TruCodeStatus {
    #[schema(format = Uuid)]
    id: String,
    paired: bool,
}

/// What a phone shows before it pairs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Context {
    /// Display name of the relying party.
    relying_party: String,
    /// The origin of the page that shows the code. Compare it with what the person sees.
    #[schema(required)]
    origin: Option<String>,
    /// The approximate location of that browser.
    #[schema(required)]
    place: Option<String>,
    /// Whether the person has to enter the two digits that the page shows.
    match_number: bool,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
}

/// A scan.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PairTruCode {
    #[schema(required, value_type = String)]
    payload: Option<String>,
    /// The device identifier of the proof. Without a proof, where the relying party allows that, any text.
    #[schema(required, value_type = String)]
    identifier: Option<String>,
    /// The two digits that the page shows, if the context requires them.
    #[schema(pattern = "^[0-9]{2}$")]
    match_number: Option<String>,
}

/// A pairing, as phones see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PairedTruCode {
    #[schema(format = Uuid)]
    id: String,
}

/// A pairing, as backends see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Pairing {
    #[schema(format = Uuid)]
    id: String,
    identifier: String,
    paired: bool,
}

/// The browser's approximate location, as a trusted proxy reports it.
pub fn place(state: &AppState, headers: &HeaderMap) -> String {
    let place = state.place_header.as_deref().map(|name| address::last_line(headers, name)).unwrap_or_default();
    visible::escape(place.trim()).chars().take(100).collect()
}

/// Creates a code for a page.
#[utoipa::path(post, path = "/api/v2/trucodes", operation_id = "createTruCode", tag = "codes", request_body = CreateTruCode, responses(
    (status = 201, description = "The code, valid for less than a minute", body = TruCode),
    (status = 403, description = "`ORIGIN_NOT_ALLOWED`: the relying party does not allow the page's origin", body = Problem),
    (status = 422, description = "Invalid request", body = Problem)))]
pub async fn create(
    State(state): State<AppState>,
    source: Source,
    headers: HeaderMap,
    Json(body): Json<CreateTruCode>,
) -> Result<Response, Problem> {
    state.address_rates.check_source(&source)?;
    let request = CreateTruCodeRequest {
        relying_party_id: body.relying_party_id,
        origin: text(&headers, ORIGIN.as_str()).to_owned(),
        place: place(&state, &headers),
    };
    let mut codes = TruCodeServiceClient::new(state.peers.trusonafication().unscoped());
    let code = codes.create_tru_code(request).await?.into_inner();
    let match_number = Some(code.match_number).filter(|number| !number.is_empty());
    Ok(reply(StatusCode::CREATED, &TruCode { id: code.id, payload: code.payload, relying_party_id: code.relying_party_id, match_number }))
}

/// Waits until the code is paired or over. It never responds earlier, or pages would create one code after another.
#[utoipa::path(get, path = "/api/v2/trucodes/{id}", operation_id = "getTruCodeStatus", tag = "codes", params(("id" = String, Path)), responses(
    (status = 200, description = "The code, paired or over", body = TruCodeStatus), (status = 404, description = "No such code", body = Problem),
    (status = 429, description = "`TOO_MANY_WAITS`: this address has too many waits", body = Problem),
    (status = 503, description = "`OVERLOADED`: the gateway is at capacity", body = Problem)))]
pub async fn status(
    State(state): State<AppState>,
    source: Source,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let _permit = state.waits.anonymous(&source)?;
    let origin = text(&headers, ORIGIN.as_str()).to_owned();
    // The headers keep the whole buffer of the request alive.
    drop(headers);
    let id: TruCodeId = id.parse().map_err(|_| Problem::not_found())?;
    // Listens before the first look, so that no pairing in between is missed.
    let mut listener = state.bus.listen(&format!("trucode.{id}"));
    // A permit for working, for the first look.
    let mut working = Some(state.admission.enter(Class::Anonymous)?);
    loop {
        let mut codes = TruCodeServiceClient::new(state.peers.trusonafication().unscoped());
        let request = GetTruCodeStatusRequest { id: id.to_string(), origin: origin.clone() };
        // Boxed, so that a waiting caller holds no memory for a completed call: there are many of them.
        let status = Box::pin(codes.get_tru_code_status(request)).await?.into_inner();
        drop((codes, working.take()));
        let expires_at = status
            .expires_at
            .as_ref()
            .and_then(from_timestamp)
            .ok_or_else(|| Problem::because("another service did not return the code's expiry"))?;
        let left = state.clock.now().until(expires_at);
        if status.paired || left.is_zero() || state.stopping.is_cancelled() {
            return Ok(reply(StatusCode::OK, &TruCodeStatus { id: status.id, paired: status.paired }));
        }
        // When this gateway is to stop, the next look is the last.
        woken(&state, &mut listener, left).await;
    }
}

/// Returns what to show before pairing. `reference` is the `jti` of the payload.
#[utoipa::path(get, path = "/api/v2/trucodes/{reference}/context", operation_id = "getTruCodeContext", tag = "phones", params(("reference" = String, Path)), responses(
    (status = 200, description = "What to show", body = Context), (status = 404, description = "No such code", body = Problem),
    (status = 410, description = "`EXPIRED` or `TOO_MANY_WRONG_NUMBERS`", body = Problem)))]
pub async fn context(State(state): State<AppState>, phone: Phone, Path(reference): Path<String>) -> Result<Response, Problem> {
    let mut codes = TruCodeServiceClient::new(state.peers.trusonafication().acting_for(phone.relying_party));
    let context = codes.get_tru_code_context(GetTruCodeContextRequest { reference }).await?.into_inner();
    let filled = |text: String| Some(text).filter(|text| !text.is_empty());
    let context = Context {
        relying_party: context.relying_party_name,
        origin: filled(context.origin),
        place: filled(context.place),
        match_number: context.match_number,
        expires_at: rfc3339(context.expires_at.as_ref()),
    };
    Ok(reply(StatusCode::OK, &context))
}

/// Pairs a code with the device of the DPoP proof. Where the relying party allows it, works without a proof.
#[utoipa::path(post, path = "/api/v2/paired_trucodes", operation_id = "pairTruCode", tag = "phones", request_body = PairTruCode, responses(
    (status = 201, description = "The pairing", body = PairedTruCode), (status = 401, description = "The DPoP proof is not valid", body = Problem),
    (status = 403, description = "`PROOF_REQUIRED`: send a DPoP proof", body = Problem),
    (status = 409, description = "`ALREADY_PAIRED`: scan the code that is shown now", body = Problem),
    (status = 410, description = "`EXPIRED` or `TOO_MANY_WRONG_NUMBERS`", body = Problem),
    (status = 422, description = "`INVALID_PAYLOAD` or `NUMBER_MISMATCH`", body = Problem)))]
pub async fn pair(State(state): State<AppState>, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    state.address_rates.check_source(&Source::from_request_parts(&mut parts, &state).await?)?;
    let body = read_body(body).await?;
    let phone = if parts.headers.contains_key("dpop") {
        let proof = phone::verify(&state, &parts, &body)?;
        Some(phone::authenticate(&state, &mut parts, &proof).await?)
    } else {
        None
    };
    // Old clients prove nothing, and send extra members.
    let Json(scan): Json<PairTruCode> = Json::parse(&body, phone.as_ref().map(|_| Strict))?;
    let identifier = scan.identifier.unwrap_or_default();
    if phone.as_ref().is_some_and(|phone| phone.device.as_str() != identifier) {
        return Err(Problem::field("identifier", "must be the device identifier of the DPoP proof"));
    }
    let peer = state.peers.trusonafication();
    let channel = phone.as_ref().map_or_else(|| peer.unscoped(), |phone| peer.acting_for(phone.relying_party));
    let request = PairTruCodeRequest {
        payload: scan.payload.unwrap_or_default(),
        identifier,
        proven: phone.is_some(),
        match_number: scan.match_number.unwrap_or_default(),
    };
    let pairing = TruCodeServiceClient::new(channel).pair_tru_code(request).await?.into_inner();
    Ok(reply(StatusCode::CREATED, &PairedTruCode { id: pairing.id }))
}

/// Returns the device that paired a code.
#[utoipa::path(get, path = "/api/v2/paired_trucodes/{id}", operation_id = "getTruCodePairing", tag = "codes", params(("id" = String, Path)), responses(
    (status = 200, description = "The pairing", body = Pairing), (status = 404, description = "No such code, or not paired yet", body = Problem)))]
pub async fn pairing(State(state): State<AppState>, backend: Backend, Path(id): Path<String>) -> Result<Response, Problem> {
    let mut codes = TruCodeServiceClient::new(state.peers.trusonafication().on_behalf_of(&backend));
    let pairing = codes.get_pairing(GetPairingRequest { id }).await?.into_inner();
    Ok(reply(StatusCode::OK, &Pairing { id: pairing.id, identifier: pairing.identifier, paired: true }))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
