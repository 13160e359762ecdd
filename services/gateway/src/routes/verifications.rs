//! The first version of the API: trusonafications as verifications.

use std::fmt;

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use nodkey_proto::{
    rest,
    trusonafication::v1::{self as pb, GetTrusonaficationRequest, Status},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value, value::to_raw_value};
use utoipa::ToSchema;

use super::trusonafications::{CreateTrusonafication, ask, not_an_answer};
use crate::{
    auth::backend::Backend,
    extract::{AnyJson, IdempotencyKey, Object},
    problem::Problem,
    reply::reply,
    state::AppState,
};

/// How often clients should poll for the result, in seconds.
const POLL_INTERVAL: u32 = 5;
/// The member of the custom fields that holds a verification's own fields.
const FIELD: &str = "verification";

/// A verification to create, with exactly one of `email` and `trusona_id`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateVerification {
    #[schema(required, value_type = String, min_length = 1, max_length = 255)]
    action: Option<String>,
    #[schema(required, value_type = String, min_length = 1, max_length = 255)]
    resource: Option<String>,
    /// 1, 2 or 3.
    #[schema(minimum = 1, maximum = 3)]
    desired_level: Option<i32>,
    #[schema(max_length = 255)]
    email: Option<String>,
    #[schema(max_length = 255)]
    trusona_id: Option<String>,
    /// Returned unchanged.
    agent_id: Option<String>,
    /// Not accepted: a GET of it would be expected, and a GET must not change anything. Poll, or create a trusonafication.
    callback_url: Option<String>,
    /// A member of responses. If present, it must be null.
    #[schema(ignore)]
    verification_id: Option<IgnoredAny>,
    /// A member of responses. If present, it must be null.
    #[schema(ignore)]
    result_id: Option<IgnoredAny>,
}

/// One verification, or an array of one, as some clients send it.
#[derive(Debug)]
pub struct OneOrArray(CreateVerification);

impl<'de> Deserialize<'de> for OneOrArray {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrArrayVisitor).map(Self)
    }
}

struct OneOrArrayVisitor;

impl<'de> Visitor<'de> for OneOrArrayVisitor {
    type Value = CreateVerification;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, or an array of one")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CreateVerification, A::Error> {
        CreateVerification::deserialize(MapAccessDeserializer::new(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<CreateVerification, A::Error> {
        let Some(Object(one)) = items.next_element()? else { return Err(A::Error::invalid_length(0, &self)) };
        match items.next_element::<IgnoredAny>()? {
            None => Ok(one),
            Some(_) => Err(A::Error::invalid_length(2, &self)),
        }
    }
}

/// A verification.
#[derive(Debug, Serialize, ToSchema)]
pub struct Verification {
    /// UUID of the trusonafication.
    #[serde(rename = "verification_id")]
    #[schema(format = Uuid)]
    id: String,
    #[schema(required)]
    trusona_id: Option<String>,
    #[schema(required)]
    email: Option<String>,
    action: String,
    resource: String,
    #[schema(required)]
    agent_id: Option<String>,
    #[schema(required)]
    accepted_level: Option<i32>,
    /// `IN_PROGRESS`, `ACCEPTED`, `ACCEPTED_AT_HIGHER_LEVEL`, `ACCEPTED_AT_LOWER_LEVEL` or `REJECTED`, which also stands for expired and
    /// canceled ones.
    #[schema(schema_with = statuses)]
    status: &'static str,
    /// Seconds between polls.
    interval: u32,
    /// UUID, once accepted or rejected.
    #[schema(format = Uuid, required)]
    result_id: Option<String>,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    created_date: Option<String>,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    updated_date: Option<String>,
}

fn statuses() -> utoipa::openapi::Object {
    rest::names(["IN_PROGRESS", "ACCEPTED", "ACCEPTED_AT_HIGHER_LEVEL", "ACCEPTED_AT_LOWER_LEVEL", "REJECTED"])
}

/// Prompts a user by email address or Trusona ID.
#[utoipa::path(post, path = "/api/v1/verifications", operation_id = "createVerification", tag = "compatibility", 
    request_body(content = CreateVerification, description = "A verification, or an array of one"),
    params(("Idempotency-Key" = Option<String>, Header)),
    responses(
    (status = 201, description = "The verification, in progress", body = Verification),
    (status = 422, description = "Invalid request, or no device can respond", body = Problem),
    (status = 424, description = "`NO_DOCUMENTS`; or `PROMPT_BUDGET_EXHAUSTED`, with `Retry-After`", body = Problem)))]
pub async fn create(
    State(state): State<AppState>,
    backend: Backend,
    key: IdempotencyKey,
    AnyJson(OneOrArray(asked)): AnyJson<OneOrArray>,
) -> Result<Response, Problem> {
    not_an_answer(&[("verification_id", asked.verification_id.is_some()), ("result_id", asked.result_id.is_some())])?;
    if asked.callback_url.is_some_and(|url| !url.is_empty()) {
        return Err(Problem::field("callback_url", "is not accepted: poll, or create a trusonafication"));
    }
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (email, trusona_id) = (filled(asked.email), filled(asked.trusona_id));
    if email.is_some() == trusona_id.is_some() {
        return Err(Problem::field("email", "exactly one of email and trusona_id is required"));
    }
    let own = serde_json::json!({FIELD: {"email": email, "trusona_id": trusona_id, "agent_id": asked.agent_id}});
    let body = CreateTrusonafication {
        desired_level: asked.desired_level,
        action: asked.action,
        resource: asked.resource,
        email,
        trusona_id,
        custom_fields: Some(to_raw_value(&own).map_err(Problem::because)?),
        ..CreateTrusonafication::default()
    };
    let created = ask(&state, &backend, key, body).await?;
    Ok(reply(
        StatusCode::CREATED,
        &view(&created.trusonafication.ok_or_else(|| Problem::because("another service returned no trusonafication"))?),
    ))
}

/// Returns a verification.
#[utoipa::path(get, path = "/api/v1/verifications/{id}", operation_id = "getVerification", tag = "compatibility", params(("id" = String, Path)), responses(
    (status = 200, description = "The verification", body = Verification), (status = 404, description = "No such verification", body = Problem)))]
pub async fn get(State(state): State<AppState>, backend: Backend, Path(id): Path<String>) -> Result<Response, Problem> {
    let request = GetTrusonaficationRequest { id, wait_seconds: 0 };
    let found = state.trusonafications(&backend).get_trusonafication(request).await?.into_inner();
    Ok(reply(StatusCode::OK, &view(&found)))
}

fn view(found: &pb::Trusonafication) -> Verification {
    let seen = rest::Trusonafication::from(found);
    let fields: Map<String, Value> = serde_json::from_str(seen.custom_fields.as_str()).unwrap_or_default();
    let own = fields.get(FIELD).and_then(Value::as_object);
    let text = |own: Option<&Map<String, Value>>, name: &str| own.and_then(|own| own.get(name)?.as_str().map(ToOwned::to_owned));
    Verification {
        trusona_id: text(own, "trusona_id"),
        email: text(own, "email"),
        agent_id: text(own, "agent_id"),
        accepted_level: seen.result.as_ref().map(|result| result.accepted_level),
        // Its clients know no other final statuses.
        status: rest::status(match found.status() {
            Status::Expired | Status::Canceled => Status::Rejected,
            status => status,
        }),
        interval: POLL_INTERVAL,
        result_id: seen.result.map(|result| result.id),
        created_date: seen.created_at,
        updated_date: seen.updated_at,
        id: seen.id,
        action: seen.action,
        resource: seen.resource,
    }
}
