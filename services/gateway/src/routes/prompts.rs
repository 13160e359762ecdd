//! Prompt budgets: how often others may prompt a user.

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use nodkey_proto::trusonafication::v1::{GetPromptBudgetRequest, ReleasePromptHoldRequest, prompt_service_client::PromptServiceClient};
use nodkey_runtime::PeerChannel;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::devices::rfc3339;
use crate::{auth::backend::Backend, problem::Problem, reply::reply, state::AppState};

/// What is left of a user's prompt budget.
#[derive(Debug, Serialize, ToSchema)]
pub struct Prompts {
    /// Prompts by others that nobody accepted since the last accept by the user, and wrong numbers.
    strikes: i32,
    /// How many of the strikes are wrong numbers, entered for prompts or for codes.
    wrong_numbers: i32,
    /// Pending prompts by others.
    waiting: i32,
    /// RFC 3339: when others may prompt the user again. Null if they may now.
    #[schema(format = DateTime, required)]
    free_at: Option<String>,
    /// The contexts in which the user answered that it was not them.
    holds: Vec<Hold>,
}

/// A context in which others may not prompt the user.
#[derive(Debug, Serialize, ToSchema)]
pub struct Hold {
    /// The context. Null for prompts without one.
    #[schema(required)]
    context: Option<String>,
    /// The trusonafication that the user answered with `not_me`.
    #[schema(format = Uuid)]
    trusonafication_id: String,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    held_at: Option<String>,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    held_until: Option<String>,
}

/// The hold to end.
#[derive(Debug, Deserialize)]
pub struct Which {
    #[serde(default)]
    context: String,
}

/// Returns how often others may prompt a user, and in which contexts the user answered that it was not them.
#[utoipa::path(get, path = "/api/v2/users/{user_identifier}/prompts", operation_id = "getUserPrompts", tag = "users", params(("user_identifier" = String, Path)),
    responses((status = 200, description = "The prompt budget. An unknown user has all of it", body = Prompts)))]
pub async fn get(State(state): State<AppState>, backend: Backend, Path(user_identifier): Path<String>) -> Result<Response, Problem> {
    let found = prompts(&state, &backend).get_prompt_budget(GetPromptBudgetRequest { user_identifier }).await?.into_inner();
    let holds = found.holds.into_iter().map(|hold| Hold {
        context: Some(hold.context).filter(|context| !context.is_empty()),
        trusonafication_id: hold.trusonafication_id,
        held_at: rfc3339(hold.held_at.as_ref()),
        held_until: rfc3339(hold.held_until.as_ref()),
    });
    let holds = holds.collect();
    let (strikes, wrong_numbers, waiting) = (found.strikes, found.wrong_numbers, found.waiting);
    Ok(reply(StatusCode::OK, &Prompts { strikes, wrong_numbers, waiting, free_at: rfc3339(found.free_at.as_ref()), holds }))
}

/// Ends a hold early. Idempotent.
#[utoipa::path(delete, path = "/api/v2/users/{user_identifier}/prompt_holds", operation_id = "releasePromptHold", tag = "users",
    params(("user_identifier" = String, Path), ("context" = Option<String>, Query, description = "The context of the hold. If absent, the hold on prompts without a context")),
    responses((status = 204, description = "The hold is ended"), (status = 422, description = "Invalid request", body = Problem)))]
pub async fn release(
    State(state): State<AppState>,
    backend: Backend,
    Path(user_identifier): Path<String>,
    Query(Which { context }): Query<Which>,
) -> Result<StatusCode, Problem> {
    prompts(&state, &backend).release_prompt_hold(ReleasePromptHoldRequest { user_identifier, context }).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn prompts(state: &AppState, backend: &Backend) -> PromptServiceClient<PeerChannel> {
    PromptServiceClient::new(state.peers.trusonafication().on_behalf_of(backend))
}
