//! Trusonafications, as backends create and read them over HTTP.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use nodkey_kernel::time::Timestamp;
use nodkey_proto::{
    convert::timestamp,
    registry::v1::{GetJwksRequest, signing_key_service_client::SigningKeyServiceClient},
    rest,
    trusonafication::v1::{
        CancelTrusonaficationRequest, CreateTrusonaficationRequest, CreateTrusonaficationResponse, GetEvidenceRequest,
        GetTrusonaficationRequest, NumberMatch, RequestContext as ProtoContext, Status, create_trusonafication_request::Target,
    },
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;

use super::identifiers;
use crate::{
    auth::backend::Backend,
    extract::{IdempotencyKey, Json, Wait},
    problem::Problem,
    reply::reply,
    state::AppState,
    wait::results::ResultWait,
};

/// How the user matches a number: by entering it, or by choosing one of three. Use `choose` only for older clients: a user worn down by
/// prompts may pick the right one.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Matching {
    Choose,
    Enter,
}

/// A trusonafication to create. If there are several identifiers, the first of these counts: the device, the user, the code, the Trusona
/// ID, the email address.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct CreateTrusonafication {
    /// 1, 2 or 3; default 2.
    #[schema(minimum = 1, maximum = 3, default = 2)]
    pub desired_level: Option<i32>,
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$")]
    pub device_identifier: Option<String>,
    #[schema(max_length = 255)]
    pub user_identifier: Option<String>,
    #[schema(format = Uuid)]
    pub trucode_id: Option<String>,
    /// A user who was registered with this Trusona ID.
    #[schema(max_length = 255)]
    pub trusona_id: Option<String>,
    /// A user who was bound under this email address.
    #[schema(max_length = 255)]
    pub email: Option<String>,
    /// Shown to the person.
    #[schema(required, value_type = String, min_length = 1, max_length = 255)]
    pub action: Option<String>,
    /// Shown to the person.
    #[schema(required, value_type = String, min_length = 1, max_length = 255)]
    pub resource: Option<String>,
    /// Default true.
    pub prompt: Option<bool>,
    /// Default true, except at level 1.
    pub user_presence: Option<bool>,
    /// Default true at level 3 only.
    pub show_identity_document: Option<bool>,
    /// RFC 3339; default in two minutes.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// At most 1 MB, nested at most 32 levels deep, without duplicate members. Returned, shown and signed verbatim.
    #[schema(value_type = Option<Object>)]
    pub custom_fields: Option<Box<RawValue>>,
    /// https URL that the result is posted to.
    #[schema(format = "uri", max_length = 2000)]
    pub callback_url: Option<String>,
    /// `enter` or `choose`. With `context` or `request_context`, a number may also be required without this: while another prompt is
    /// pending for the same user.
    pub number_match: Option<Matching>,
    /// What the prompt is about in the backend, such as its login session, at most 255 characters. A newer prompt with the same context
    /// replaces an older one.
    #[schema(max_length = 255)]
    pub context: Option<String>,
    /// The client of the backend, as the backend sees it. The phone shows it.
    pub request_context: Option<RequestContext>,
    /// A member of responses. If present, it must be null.
    #[schema(ignore)]
    pub id: Option<IgnoredAny>,
    /// A member of responses. If present, it must be null.
    #[schema(ignore)]
    pub result: Option<IgnoredAny>,
}

/// The client that the backend prompts the user for. The signed challenge contains it as the backend's claim.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct RequestContext {
    /// IP address.
    #[schema(max_length = 45)]
    pub address: Option<String>,
    /// The browser's name or user agent, at most 255 characters.
    #[schema(max_length = 255)]
    pub browser: Option<String>,
    /// Approximate location of the address, at most 100 characters.
    #[schema(max_length = 100)]
    pub place: Option<String>,
}

/// The trusonafication, with the number to show to the user.
#[derive(Debug, Serialize, ToSchema)]
pub struct Created {
    #[serde(flatten)]
    trusonafication: rest::Trusonafication,
    /// Two or six digits, if a number has to be matched. Only in this response.
    #[serde(skip_serializing_if = "Option::is_none")]
    match_number: Option<String>,
}

/// Evidence, which anybody with the JWKS can verify offline.
#[derive(Debug, Serialize, ToSchema)]
pub struct Evidence {
    /// Compact JWS by the deployment.
    challenge: String,
    /// Compact JWS by the phone.
    response: String,
    /// The device key, then the presence key that signed, if one did.
    #[schema(value_type = Vec<Object>)]
    keys: Vec<Value>,
    /// Compact JWS by the deployment that states the outcome. Absent if the answer predates receipts.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    /// Compact JWS by the device key that states the device's presence keys. Absent if the phone made none.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_statement: Option<String>,
    /// Compact JWSs by presence keys over the claims of the key statement.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    key_signatures: Vec<String>,
    /// The deployment's public keys. To verify, use a copy from another source: keys that come with the evidence prove nothing about it.
    #[schema(value_type = Object)]
    jwks: Value,
}

/// Prompts a user or a device.
#[utoipa::path(post, path = "/api/v2/trusonafications", operation_id = "createTrusonafication", tag = "trusonafications", request_body = CreateTrusonafication, params(("Idempotency-Key" = Option<String>, Header)), responses(
    (status = 201, description = "The trusonafication, in progress", body = Created),
    (status = 413, description = "`CUSTOM_FIELDS_TOO_LARGE`: at most 1 MB of JSON", body = Problem),
    (status = 422, description = "Invalid request, or no device can respond", body = Problem),
    (status = 424, description = "`NO_DOCUMENTS`; `NO_SIX_DIGITS`; or, with `Retry-After`, `PROMPT_BUDGET_EXHAUSTED` or `PROMPTS_HELD`", body = Problem)))]
pub async fn create(
    State(state): State<AppState>,
    backend: Backend,
    key: IdempotencyKey,
    Json(body): Json<CreateTrusonafication>,
) -> Result<Response, Problem> {
    not_an_answer(&[("id", body.id.is_some()), ("result", body.result.is_some())])?;
    let email = body.email.clone().filter(|email| !email.is_empty());
    let created = ask(&state, &backend, key, body).await?;
    let trusonafication = created
        .trusonafication
        .as_ref()
        .map(|asked| rest::Trusonafication::from(asked).answering(email))
        .ok_or_else(|| Problem::because("another service returned no trusonafication"))?;
    let match_number = Some(created.match_number).filter(|number| !number.is_empty());
    Ok(reply(StatusCode::CREATED, &Created { trusonafication, match_number }))
}

/// Returns a trusonafication. With `wait`, returns it once its status is terminal, or with its current status when the time is up.
#[utoipa::path(get, path = "/api/v2/trusonafications/{id}", operation_id = "getTrusonafication", tag = "trusonafications",
    params(("id" = String, Path), ("wait" = Option<u64>, Query, description = "Seconds to wait, at most 60")), responses(
    (status = 200, description = "The trusonafication", body = rest::Trusonafication),
    (status = 404, description = "No such trusonafication", body = Problem),
    (status = 429, description = "`TOO_MANY_WAITS`: the relying party has too many waits", body = Problem),
    (status = 503, description = "`OVERLOADED`: the gateway is at capacity", body = Problem)))]
pub async fn get(
    State(state): State<AppState>,
    backend: Backend,
    Path(id): Path<String>,
    Wait(patience): Wait,
) -> Result<Response, Problem> {
    let _permit = if patience.is_zero() { None } else { Some(state.waits.party(backend.relying_party())?) };
    let found = match id.parse() {
        Ok(id) if !patience.is_zero() => {
            let mut wait = ResultWait::new(&state, &backend, id);
            let found = wait.first(patience).await?;
            wait.end(found, patience).await?
        }
        _ => {
            let request = GetTrusonaficationRequest { id, wait_seconds: 0 };
            state.trusonafications(&backend).get_trusonafication(request).await?.into_inner()
        }
    };
    Ok(reply(StatusCode::OK, &rest::Trusonafication::from(&found).answering(None)))
}

/// Cancels a trusonafication that is in progress.
#[utoipa::path(delete, path = "/api/v2/trusonafications/{id}", operation_id = "cancelTrusonafication", tag = "trusonafications", params(("id" = String, Path)), responses(
    (status = 204, description = "Canceled"), (status = 404, description = "No such trusonafication", body = Problem),
    (status = 422, description = "`NOT_IN_PROGRESS`: its status is terminal", body = Problem)))]
pub async fn cancel(State(state): State<AppState>, backend: Backend, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let mut client = state.trusonafications(&backend);
    // Over gRPC, canceling again succeeds. Clients of the HTTP API expect an error.
    let found = client.get_trusonafication(GetTrusonaficationRequest { id: id.clone(), wait_seconds: 0 }).await?.into_inner();
    if found.status() == Status::Canceled {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "NOT_IN_PROGRESS", "the trusonafication is already canceled"));
    }
    client.cancel_trusonafication(CancelTrusonaficationRequest { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the evidence of an answered trusonafication.
#[utoipa::path(get, path = "/api/v2/trusonafications/{id}/evidence", operation_id = "getEvidence", tag = "trusonafications", params(("id" = String, Path)), responses(
    (status = 200, description = "The evidence", body = Evidence),
    (status = 404, description = "No such trusonafication, or not answered yet", body = Problem)))]
pub async fn evidence(State(state): State<AppState>, backend: Backend, Path(id): Path<String>) -> Result<Response, Problem> {
    let evidence = state.trusonafications(&backend).get_evidence(GetEvidenceRequest { id }).await?.into_inner();
    let mut keys = SigningKeyServiceClient::new(state.peers.registry().unscoped());
    let jwks = keys.get_jwks(GetJwksRequest {}).await?.into_inner().jwks;
    let json = |text: &str| serde_json::from_str(text).map_err(Problem::because);
    let keys = evidence.keys.iter().map(|key| json(key)).collect::<Result<_, _>>()?;
    let present = |jws: String| (!jws.is_empty()).then_some(jws);
    let evidence = Evidence {
        challenge: evidence.challenge,
        response: evidence.response,
        keys,
        receipt: present(evidence.receipt),
        key_statement: present(evidence.key_statement),
        key_signatures: evidence.key_signatures,
        jwks: json(&jwks)?,
    };
    Ok(reply(StatusCode::OK, &evidence))
}

/// Refuses a body that is one of our own responses. Responses are signed the way requests are, over the same method and path, so anybody
/// who saw one could send it as a request. Clients send these members as null, if at all.
pub fn not_an_answer(members: &[(&str, bool)]) -> Result<(), Problem> {
    let present = members.iter().find(|(_, present)| *present);
    present.map_or(Ok(()), |(name, _)| Err(Problem::field(name, "must be absent or null: a response is not a request")))
}

/// Creates a trusonafication. A user named by Trusona ID is looked up first.
pub async fn ask(
    state: &AppState,
    backend: &Backend,
    IdempotencyKey(request_id): IdempotencyKey,
    mut body: CreateTrusonafication,
) -> Result<CreateTrusonaficationResponse, Problem> {
    for identifier in [&mut body.device_identifier, &mut body.user_identifier, &mut body.trucode_id, &mut body.trusona_id, &mut body.email]
    {
        *identifier = identifier.take().filter(|text| !text.is_empty());
    }
    if body.device_identifier.is_none() && body.user_identifier.is_none() && body.trucode_id.is_none() {
        body.user_identifier = match body.trusona_id.take() {
            Some(trusona_id) => {
                let user = identifiers::users_of(state, backend, trusona_id).await?.into_iter().next();
                Some(user.ok_or_else(|| Problem::field("trusona_id", "no user is registered with this Trusona ID"))?)
            }
            None => body.email.take(),
        };
    }
    Ok(state.trusonafications(backend).create_trusonafication(command(request_id, body)?).await?.into_inner())
}

fn command(request_id: String, body: CreateTrusonafication) -> Result<CreateTrusonaficationRequest, Problem> {
    let target = (body.device_identifier.map(Target::DeviceIdentifier))
        .or_else(|| body.user_identifier.map(Target::UserIdentifier))
        .or_else(|| body.trucode_id.map(Target::TrucodeId));
    let expires_at = body.expires_at.map(|text| Timestamp::parse_rfc3339(&text)).transpose();
    let expires_at = expires_at.map_err(|_| {
        Problem::field(
            "expires_at",
            "must be an RFC 3339 time, such as 2026-01-02T03:04:05Z, of the years 0001 to 9999 and at most 24 hours ahead",
        )
    })?;
    // The service treats 0 as the default, but here a 0 is a mistake.
    let desired_level = match body.desired_level {
        Some(0) => return Err(Problem::field("desired_level", "must be 1, 2 or 3")),
        level => level.unwrap_or_default(),
    };
    Ok(CreateTrusonaficationRequest {
        request_id,
        desired_level,
        target,
        action: body.action.unwrap_or_default(),
        resource: body.resource.unwrap_or_default(),
        prompt: body.prompt,
        user_presence: body.user_presence,
        show_identity_document: body.show_identity_document,
        expires_at: expires_at.map(timestamp),
        custom_fields: None,
        callback_url: body.callback_url.unwrap_or_default(),
        number_match: match body.number_match {
            None => NumberMatch::Unspecified,
            Some(Matching::Choose) => NumberMatch::Choose,
            Some(Matching::Enter) => NumberMatch::Enter,
        }
        .into(),
        custom_fields_json: body.custom_fields.map(|fields| fields.get().to_owned()).unwrap_or_default(),
        // Trusona's own SDKs send neither, and show no number.
        shows_number: body.context.is_some() || body.request_context.is_some(),
        context: body.context.unwrap_or_default(),
        request_context: body.request_context.map(|RequestContext { address, browser, place }| ProtoContext {
            address: address.unwrap_or_default(),
            browser: browser.unwrap_or_default(),
            place: place.unwrap_or_default(),
        }),
    })
}
