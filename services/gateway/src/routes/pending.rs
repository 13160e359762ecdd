//! Pending trusonafications of a phone, and its answers.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{Response, sse::Event},
};
use futures_util::{StreamExt as _, stream};
use nodkey_kernel::{
    backoff::jittered,
    challenge::{Decision, ResponseClaims},
    jose::jws::Compact,
};
use nodkey_proto::{
    rest,
    trusonafication::v1::{PendingTrusonafication, RespondRequest, trusonafication_service_client::TrusonaficationServiceClient},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::devices::rfc3339;
use crate::{
    auth::phone::Phone,
    class,
    extract::{Json, Wait},
    problem::Problem,
    reply::{event_stream, reply},
    state::AppState,
    wait::phones::{self, Update, Waiting},
};

/// How long a phone should wait before it reconnects to an ended stream, approximately: not all phones at the same time.
const RECONNECT: Duration = Duration::from_secs(3);

/// A pending trusonafication.
#[derive(Debug, Serialize, ToSchema)]
pub struct Pending {
    /// UUID.
    #[schema(format = Uuid)]
    id: String,
    /// Compact JWS. Show what these bytes say, and nothing else.
    challenge: String,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
    /// Whether the user began it themselves, by scanning a code. It comes before all others. On an event stream, it takes precedence even
    /// if it arrives after them.
    self_started: bool,
}

/// The pending trusonafications: first those that the user began themselves, then the oldest.
#[derive(Debug, Serialize, ToSchema)]
pub struct PendingList {
    trusonafications: Vec<Pending>,
}

/// A signed answer.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Answer {
    /// Compact JWS by a key of the device.
    response: String,
}

/// The result of an answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answered {
    /// UUID.
    #[schema(format = Uuid)]
    id: String,
    /// `ACCEPTED`, `ACCEPTED_AT_LOWER_LEVEL`, `ACCEPTED_AT_HIGHER_LEVEL` or `REJECTED`.
    #[schema(schema_with = statuses)]
    status: &'static str,
    /// The level that was proven. 0 when rejected.
    accepted_level: i32,
    /// RFC 3339. After `not_me`: until when others may not prompt the user in this context.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    held_until: Option<String>,
}

fn statuses() -> utoipa::openapi::Object {
    rest::names(["ACCEPTED", "ACCEPTED_AT_LOWER_LEVEL", "ACCEPTED_AT_HIGHER_LEVEL", "REJECTED"])
}

/// Waits for pending trusonafications, or streams them.
/// With `Accept: text/event-stream`, the response streams events for about an hour: a `trusonafication` event for each that is pending,
/// then `synced` once, and from then on `trusonafication` for each new one and `closed` for each that is over. A trusonafication from an
/// earlier stream that has not been repeated by the time `synced` arrives is over. A device can have 4 waits at a time. Another wait ends
/// the oldest.
#[utoipa::path(get, path = "/api/v2/devices/{id}/trusonafications", operation_id = "listPendingTrusonafications", tag = "phones",
    params(("id" = String, Path, description = "Device identifier"), ("wait" = Option<u64>, Query, description = "Seconds to wait, at most 60")),
    responses((status = 200, description = "The pending trusonafications. Empty after a timeout", body = PendingList),
    (status = 429, description = "`TOO_MANY_WAITS`: a newer wait of the device ended this one, or the relying party has too many waits", body = Problem),
    (status = 503, description = "`OVERLOADED`: the gateway is at capacity", body = Problem)))]
pub async fn list(State(state): State<AppState>, phone: Phone, Wait(patience): Wait, headers: HeaderMap) -> Result<Response, Problem> {
    if class::streams(&headers) {
        let mut waiting = Waiting::new(&state, phone)?;
        // A caller that may not wait is refused immediately, not in the stream.
        let first = waiting.begin().await?;
        let retry = jittered(&state.random, RECONNECT);
        return Ok(stream(waiting, first, retry));
    }
    let pending =
        if patience.is_zero() { phones::pending(&state, &phone).await? } else { Waiting::new(&state, phone)?.first(patience).await? };
    let trusonafications = pending.into_iter().map(Pending::from).collect();
    Ok(reply(StatusCode::OK, &PendingList { trusonafications }))
}

/// Submits the phone's signed answer. The same answer again returns the same result.
#[utoipa::path(post, path = "/api/v2/trusonafication_responses", operation_id = "respondToTrusonafication", tag = "phones", request_body = Answer, responses(
    (status = 200, description = "The answer was recorded", body = Answered), (status = 404, description = "No such trusonafication", body = Problem),
    (status = 409, description = "`ALREADY_COMPLETED`: it was answered differently or canceled", body = Problem),
    (status = 410, description = "`EXPIRED`: the answer came too late", body = Problem),
    (status = 422, description = "`INVALID_RESPONSE`: not a response to this challenge", body = Problem)))]
pub async fn respond(State(state): State<AppState>, phone: Phone, Json(body): Json<Answer>) -> Result<Response, Problem> {
    let mut client = TrusonaficationServiceClient::new(state.peers.trusonafication().acting_for(phone.relying_party));
    let request = RespondRequest { device_id: phone.device.to_string(), response: body.response };
    let asked_at = state.clock.now();
    let answered = client.respond(request).await.inspect_err(|_| state.devices.doubt(&phone.device, phone.relying_party))?.into_inner();
    // For this, the service had the registry check the device.
    state.devices.note(&phone.device, phone.relying_party, asked_at);
    let status = rest::status(answered.status());
    let held_until = rfc3339(answered.held_until.as_ref());
    Ok(reply(StatusCode::OK, &Answered { id: answered.id, status, accepted_level: answered.accepted_level, held_until }))
}

/// Returns the first pending trusonafication, for apps that poll.
#[utoipa::path(get, path = "/api/v2/trusonafications/next", operation_id = "getNextTrusonafication", tag = "phones", responses(
    (status = 200, description = "The first pending trusonafication", body = Pending),
    (status = 404, description = "Nothing is pending", body = Problem)))]
pub async fn next(State(state): State<AppState>, phone: Phone) -> Result<Response, Problem> {
    let pending = phones::pending(&state, &phone).await?.into_iter().next().ok_or_else(Problem::not_found)?;
    Ok(reply(StatusCode::OK, &Pending::from(pending)))
}

/// Submits the phone's signed rejection. Anything but a rejection of this very trusonafication is refused.
#[utoipa::path(delete, path = "/api/v2/trusonafication_responses/{trusonafication_id}", operation_id = "rejectTrusonafication", tag = "phones",
    params(("trusonafication_id" = String, Path)),
    request_body = Answer, responses(
    (status = 200, description = "The rejection was recorded", body = Answered),
    (status = 404, description = "No such trusonafication", body = Problem),
    (status = 409, description = "`ALREADY_COMPLETED`: it was answered differently or canceled", body = Problem),
    (status = 410, description = "`EXPIRED`: the answer came too late", body = Problem),
    (status = 422, description = "`INVALID_RESPONSE`: not a response to this challenge", body = Problem)))]
pub async fn reject(shared: State<AppState>, phone: Phone, Path(id): Path<String>, Json(body): Json<Answer>) -> Result<Response, Problem> {
    // Only checks that it matches the path. The service verifies it.
    let claims = Compact::parse(&body.response).and_then(|response| response.unverified_claims::<ResponseClaims>());
    if !claims.is_ok_and(|claims| claims.dec == Decision::Reject && claims.sub == id) {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "INVALID_RESPONSE",
            "the response is not a rejection of this trusonafication",
        ));
    }
    respond(shared, phone, Json(body)).await
}

impl From<PendingTrusonafication> for Pending {
    fn from(pending: PendingTrusonafication) -> Self {
        let expires_at = rfc3339(pending.expires_at.as_ref());
        Self { id: pending.id, challenge: pending.challenge, expires_at, self_started: pending.self_started }
    }
}

/// Server-sent events: the pending trusonafications, then `synced`, and from then on `trusonafication` for each new one and `closed` for
/// each that was completed otherwise. The stream outlives a restart of the trusonafication service. It begins with the time after which to
/// reconnect when it ends.
fn stream(waiting: Waiting, first: Update, retry: Duration) -> Response {
    let end = waiting.max_age();
    let told = |update: Update| {
        let closed = update.closed.into_iter().map(|id| event("closed", &json!({"id": id})));
        let new = update.new.into_iter().map(|p| event("trusonafication", &Pending::from(p)));
        stream::iter(new.chain(closed).collect::<Vec<_>>())
    };
    let synced = stream::iter([event("synced", &json!({}))]);
    let opened = stream::iter([Event::default().retry(retry)]).chain(told(first)).chain(synced);
    let updates = stream::unfold(waiting, move |mut waiting| async move { Some((waiting.next(end).await?, waiting)) });
    event_stream(opened.chain(updates.map(told).flatten()).map(Ok::<_, Infallible>))
}

fn event(name: &str, data: &impl Serialize) -> Event {
    // Serializing plain text cannot fail.
    Event::default().event(name).json_data(data).unwrap_or_default()
}
