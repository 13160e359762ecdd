//! Who is signed in.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header::VARY},
    response::Response,
};
use axum_extra::extract::CookieJar;
use nodkey_proto::registry::v1::{EndOperatorSessionRequest, operator_session_service_client::OperatorSessionServiceClient};
use nodkey_runtime::ResolvedSession;
use nodkey_web::Page;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::cookie::{SESSION, Session};
use crate::{edge::Edge, problem::Problem};

/// Answers with the console, or with its sign-in where the browser has no session: a page of its own fetches the less.
pub async fn page(State(edge): State<Edge>, jar: CookieJar, headers: HeaderMap) -> Response {
    let page = if Session::of(&edge, &jar).is_some() { Page::Console } else { Page::SignIn };
    let mut response = page.answer(&headers);
    response.headers_mut().append(VARY, HeaderValue::from_static("cookie"));
    response
}

/// Tells who is signed in, and what the console is of.
pub async fn show(State(edge): State<Edge>, jar: CookieJar) -> Result<Json<Value>, Problem> {
    let Some(ResolvedSession { operator, expires_at, .. }) = alive(&edge, &jar).await? else {
        return Ok(Json(json!({"operator": null})));
    };
    Ok(Json(json!({
        "operator": {"id": operator.id.map(|id| id.to_string()), "name": operator.name, "role": operator.role.as_str()},
        "expires_at": expires_at.to_string(),
        "public_url": edge.deployment.public_url,
        "version": env!("CARGO_PKG_VERSION"),
    })))
}

/// Signs out.
pub async fn end(State(edge): State<Edge>, jar: CookieJar) -> Result<(CookieJar, StatusCode), Problem> {
    if let Some(Session(session)) = Session::of(&edge, &jar)
        && alive(&edge, &jar).await?.is_some()
    {
        let mut sessions = OperatorSessionServiceClient::new(edge.peers.registry().unscoped());
        sessions.end_operator_session(EndOperatorSessionRequest { id: session.id.to_string() }).await?;
    }
    Ok((SESSION.remove(&edge, jar), StatusCode::NO_CONTENT))
}

/// Returns the session of a browser that holds its secret.
async fn alive(edge: &Edge, jar: &CookieJar) -> Result<Option<ResolvedSession>, Problem> {
    let Some(Session(held)) = Session::of(edge, jar) else { return Ok(None) };
    let known = edge.resolver.resolve_session(held.id).await?;
    let same = |known: &ResolvedSession| {
        let (known, held) = (known.secret.expose_secret().as_bytes(), held.secret.expose_secret().as_bytes());
        bool::from(known.ct_eq(held))
    };
    Ok(known.filter(same))
}
