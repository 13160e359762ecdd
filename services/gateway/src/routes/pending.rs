//! What a phone is asked, and its answers.

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

/// After how long a phone whose stream ended comes again, about: not all at once.
const RECONNECT: Duration = Duration::from_secs(3);

/// Something to answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Pending {
    /// UUID.
    #[schema(format = Uuid)]
    id: String,
    /// Compact JWS: what to show, from these bytes alone.
    challenge: String,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
    /// Whether the user began it themselves, by a code: it comes before all others, on an event stream, too, where it may come after them.
    self_started: bool,
}

/// What there is to answer: first what the user began themselves, then the oldest.
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

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answered {
    /// UUID.
    #[schema(format = Uuid)]
    id: String,
    /// `ACCEPTED`, `ACCEPTED_AT_LOWER_LEVEL`, `ACCEPTED_AT_HIGHER_LEVEL` or `REJECTED`.
    #[schema(schema_with = statuses)]
    status: &'static str,
    /// What was proven; 0 when rejected.
    accepted_level: i32,
    /// RFC 3339; until when others do not prompt the user there, after `not_me`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    held_until: Option<String>,
}

fn statuses() -> utoipa::openapi::Object {
    rest::names(["ACCEPTED", "ACCEPTED_AT_LOWER_LEVEL", "ACCEPTED_AT_HIGHER_LEVEL", "REJECTED"])
}

/// Waits for something to answer. With `Accept: text/event-stream`, streams it as it comes, for about an hour: `trusonafication` for each that is
/// open, then `synced`, once, and from then on `trusonafication` for what is new and `closed` for what is over. What came by an earlier stream and
/// has not come when `synced` does is over. A device waits 4 times at once: one more ends its oldest wait.
#[utoipa::path(get, path = "/api/v2/devices/{id}/trusonafications", operation_id = "listPendingTrusonafications", tag = "phones",
    params(("id" = String, Path, description = "Device identifier"), ("wait" = Option<u64>, Query, description = "Seconds, at most 60")),
    responses((status = 200, description = "First what the user began themselves, then the oldest; empty on time-out", body = PendingList),
    (status = 429, description = "`TOO_MANY_WAITS`: a newer wait of the device ended this one, or too many of the relying party wait", body = Problem),
    (status = 503, description = "`OVERLOADED`", body = Problem)))]
pub async fn list(State(state): State<AppState>, phone: Phone, Wait(patience): Wait, headers: HeaderMap) -> Result<Response, Problem> {
    if class::streams(&headers) {
        let mut waiting = Waiting::new(&state, phone)?;
        // Whoever may not wait is told at once, not in the stream.
        let first = waiting.begin().await?;
        let retry = jittered(&state.random, RECONNECT);
        return Ok(stream(waiting, first, retry));
    }
    let pending =
        if patience.is_zero() { phones::pending(&state, &phone).await? } else { Waiting::new(&state, phone)?.first(patience).await? };
    let trusonafications = pending.into_iter().map(Pending::from).collect();
    Ok(reply(StatusCode::OK, &PendingList { trusonafications }))
}

/// Takes the phone's signed answer. The same again gets the same result.
#[utoipa::path(post, path = "/api/v2/trusonafication_responses", operation_id = "respondToTrusonafication", tag = "phones", request_body = Answer, responses(
    (status = 200, description = "Answered", body = Answered), (status = 404, description = "Unknown", body = Problem),
    (status = 409, description = "`ALREADY_COMPLETED`", body = Problem), (status = 410, description = "`EXPIRED`", body = Problem),
    (status = 422, description = "`INVALID_RESPONSE`", body = Problem)))]
pub async fn respond(State(state): State<AppState>, phone: Phone, Json(body): Json<Answer>) -> Result<Response, Problem> {
    let mut client = TrusonaficationServiceClient::new(state.peers.trusonafication().acting_for(phone.relying_party));
    let request = RespondRequest { device_id: phone.device.to_string(), response: body.response };
    let answered = client.respond(request).await?.into_inner();
    let status = rest::status(answered.status());
    let held_until = rfc3339(answered.held_until.as_ref());
    Ok(reply(StatusCode::OK, &Answered { id: answered.id, status, accepted_level: answered.accepted_level, held_until }))
}

/// Returns the first thing there is to answer, as apps that poll ask for it.
#[utoipa::path(get, path = "/api/v2/trusonafications/next", operation_id = "getNextTrusonafication", tag = "phones", responses(
    (status = 200, description = "What the user began themselves, or the oldest", body = Pending), (status = 404, description = "Nothing is asked", body = Problem)))]
pub async fn next(State(state): State<AppState>, phone: Phone) -> Result<Response, Problem> {
    let pending = phones::pending(&state, &phone).await?.into_iter().next().ok_or_else(Problem::not_found)?;
    Ok(reply(StatusCode::OK, &Pending::from(pending)))
}

/// Takes the phone's signed rejection. Nothing but a rejection of this very trusonafication is taken.
#[utoipa::path(delete, path = "/api/v2/trusonafication_responses/{trusonafication_id}", operation_id = "rejectTrusonafication", tag = "phones",
    params(("trusonafication_id" = String, Path)),
    request_body = Answer, responses(
    (status = 200, description = "Rejected", body = Answered), (status = 404, description = "Unknown", body = Problem),
    (status = 409, description = "`ALREADY_COMPLETED`", body = Problem), (status = 410, description = "`EXPIRED`", body = Problem),
    (status = 422, description = "`INVALID_RESPONSE`", body = Problem)))]
pub async fn reject(shared: State<AppState>, phone: Phone, Path(id): Path<String>, Json(body): Json<Answer>) -> Result<Response, Problem> {
    // Only whether it fits the path is looked at here; the service verifies it.
    let claims = Compact::parse(&body.response).and_then(|response| response.unverified_claims::<ResponseClaims>());
    if !claims.is_ok_and(|claims| claims.dec == Decision::Reject && claims.sub == id) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "INVALID_RESPONSE", "it is no rejection of this trusonafication"));
    }
    respond(shared, phone, Json(body)).await
}

impl From<PendingTrusonafication> for Pending {
    fn from(pending: PendingTrusonafication) -> Self {
        let expires_at = rfc3339(pending.expires_at.as_ref());
        Self { id: pending.id, challenge: pending.challenge, expires_at, self_started: pending.self_started }
    }
}

/// Server-sent events: what is open, then `synced`; from then on `trusonafication` when there is something new, `closed` when it was completed
/// otherwise. They outlive the service that they tell of, and say first after how long to come again when they end.
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
    // Text alone always serializes.
    Event::default().event(name).json_data(data).unwrap_or_default()
}
