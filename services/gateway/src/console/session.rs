//! The session of the operator who is signed in.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header::VARY},
    response::Response,
};
use axum_extra::extract::CookieJar;
use nodkey_proto::registry::v1::{EndOperatorSessionRequest, operator_session_service_client::OperatorSessionServiceClient};
use nodkey_runtime::{ResolvedSession, status::PeerError, unauthenticated};
use nodkey_web::Page;
use serde_json::{Value, json};

use super::{
    claim::Claim,
    cookie::{SESSION, Session},
};
use crate::{limits::network::Source, problem::Problem, state::AppState};

/// Serves the console, or its sign-in page where the browser has no session. A separate sign-in page loads less.
pub async fn page(State(state): State<AppState>, jar: CookieJar, headers: HeaderMap) -> Response {
    let page = if Session::of(&state, &jar).is_some() { Page::Console } else { Page::SignIn };
    let mut response = page.answer(&headers);
    response.headers_mut().append(VARY, HeaderValue::from_static("cookie"));
    response
}

/// Returns who is signed in, and the deployment that the console belongs to.
pub async fn show(State(state): State<AppState>, source: Source, jar: CookieJar) -> Result<Json<Value>, Problem> {
    let Some(ResolvedSession { operator, expires_at, .. }) = alive(&state, &source, &jar).await? else {
        return Ok(Json(json!({"operator": null})));
    };
    Ok(Json(json!({
        "operator": {"id": operator.id.map(|id| id.to_string()), "name": operator.name, "role": operator.role.as_str()},
        "expires_at": expires_at.to_string(),
        "public_url": state.deployment.public_url,
        "audience": state.deployment.audience,
        "version": env!("CARGO_PKG_VERSION"),
    })))
}

/// Signs out.
pub async fn end(State(state): State<AppState>, source: Source, jar: CookieJar) -> Result<(CookieJar, StatusCode), Problem> {
    if let Some(Session(session)) = Session::of(&state, &jar) {
        state.address_rates.check_source(&source)?;
        let mut sessions = OperatorSessionServiceClient::new(state.peers.registry().unscoped());
        let bearer_token = session.token(&state.deployment.audience, state.clock.now());
        sessions.end_operator_session(EndOperatorSessionRequest { id: session.id.to_string(), bearer_token }).await?;
    }
    Ok((SESSION.remove(&state, jar), StatusCode::NO_CONTENT))
}

/// Returns the session of a browser, if it holds the session's secret and the session has not ended.
async fn alive(state: &AppState, source: &Source, jar: &CookieJar) -> Result<Option<ResolvedSession>, Problem> {
    let Some(Session(held)) = Session::of(state, jar) else { return Ok(None) };
    let (claim, token) = (Claim::of(state, &held, source)?, held.token(&state.deployment.audience, state.clock.now()));
    let found = state.resolver.resolve_session(held.id, &token).await;
    match claim.settle(state, found.and_then(|found| found.ok_or_else(|| PeerError::from(unauthenticated())))) {
        Err(problem) if problem.is_unauthenticated() => Ok(None),
        alive => alive.map(Some),
    }
}
