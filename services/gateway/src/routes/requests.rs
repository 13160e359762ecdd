//! The requests of a relying party, live.

use std::{collections::HashSet, convert::Infallible, time::Duration};

use axum::{
    Extension,
    extract::{FromRequestParts as _, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse as _, Response, sse::Event},
};
use futures_util::{StreamExt as _, stream};
use nodkey_kernel::{
    backoff::jittered,
    id::{CredentialId, RelyingPartyId},
};
use nodkey_proto::registry::v1::{ListCredentialsRequest, credential_service_client::CredentialServiceClient};
use nodkey_runtime::{bearer_token, token::RELYING_PARTY_HEADER};
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Code;

use crate::{
    auth::bearer::Bearer,
    limits::{network::Source, permits::Permit},
    problem::Problem,
    reply::event_stream,
    state::AppState,
    strict::Strict,
    tail::{Listening, PER_PARTY, Scope, TailedRequest, Update},
};

/// How long a stream is held, approximately. Then its caller proves itself again: a credential may have been disabled, a session may have
/// ended.
const MAX_AGE: Duration = Duration::from_mins(5);
/// How long the registry may take to say whether an operator may listen.
const PATIENCE: Duration = Duration::from_secs(5);
/// When a caller beyond the limit should try again: nobody knows when a stream ends.
const FULL_FOR: Duration = Duration::from_secs(5);
/// How many credentials of a relying party an operator's stream knows by name. Others are known once they were used.
const KNOWN: i32 = 500;

/// Admits backends and operators, by bearer token alone: the response of the TRUSONA scheme is signed as a whole, and a stream has no end.
pub async fn middleware(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let admitted = async {
        let source = Source::from_request_parts(&mut parts, &state).await?;
        admit(&state, &parts.headers, source).await
    };
    match admitted.await {
        Ok(listener) => {
            parts.extensions.insert(listener);
            parts.extensions.insert(Strict);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Who may listen to what, and where the call comes from.
#[derive(Clone, Debug)]
pub struct Admitted {
    scope: Scope,
    /// The address of an operator, who counts against its limit of waits.
    operator: Option<Source>,
}

async fn admit(state: &AppState, headers: &HeaderMap, source: Source) -> Result<Admitted, Problem> {
    if bearer_token(headers).is_none() {
        return Err(Problem::credentials());
    }
    match Bearer::identify(state, headers, &source).await? {
        Bearer::Backend(credential) => Ok(Admitted { scope: Scope::Credential(credential.relying_party, credential.id), operator: None }),
        Bearer::Operator => {
            // Unproven until the registry has answered.
            let charge = state.strangers.charge(&source)?;
            let scope = scope_of_operator(state, headers).await;
            if !scope.as_ref().is_err_and(Problem::is_unauthenticated) {
                charge.refund();
            }
            Ok(Admitted { scope: scope?, operator: Some(source) })
        }
        Bearer::Nobody => {
            Err(Problem::token("the token is neither by a backend's credential nor by an operator who is served here: operators sign in"))
        }
    }
}

/// What an operator may listen to: all credentials of a relying party, if the registry lists them to the operator.
async fn scope_of_operator(state: &AppState, headers: &HeaderMap) -> Result<Scope, Problem> {
    let party = headers.get(RELYING_PARTY_HEADER).and_then(|id| id.to_str().ok()?.parse::<RelyingPartyId>().ok());
    let party = party.ok_or_else(|| {
        let text = format!("an operator names the relying party to listen to: its UUID in {RELYING_PARTY_HEADER}");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_FAILED", text)
    })?;
    let mut request = tonic::Request::new(ListCredentialsRequest { page_size: KNOWN, ..ListCredentialsRequest::default() });
    // The operator's own token: the gateway has no rights to give.
    let pass = |name: &str| headers.get(name).map(HeaderValue::as_bytes).and_then(|value| value.try_into().ok());
    for name in [AUTHORIZATION.as_str(), RELYING_PARTY_HEADER] {
        if let Some(value) = pass(name) {
            request.metadata_mut().insert(name, value);
        }
    }
    let mut credentials = CredentialServiceClient::new(state.peers.registry().bare());
    let listed = timeout(PATIENCE, Box::pin(credentials.list_credentials(request))).await;
    let listed = listed.map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "a service does not answer"))?;
    let listed = listed.map_err(|status| match status.code() {
        Code::Unauthenticated => Problem::token(status.message()),
        _ => status.into(),
    })?;
    let known: HashSet<CredentialId> = listed.into_inner().credentials.iter().filter_map(|credential| credential.id.parse().ok()).collect();
    Ok(Scope::Party(party, known))
}

/// Streams requests as they are answered.
/// Server-sent events, for about five minutes: `listening` once, then `request` for each request by the caller's credential, or to an
/// operator by any credential of the relying party that `x-nodkey-relying-party` names. Requests that name the credential and whose
/// signature is wrong are among them, with `authenticated` false. `lost` tells a caller that is too slow how many requests it missed. This
/// gateway's requests alone are shown, also calls of gRPC that it forwards. Nothing is stored: requests of before are not shown.
#[utoipa::path(get, path = "/api/v2/requests", operation_id = "tailRequests", tag = "requests", responses(
    (status = 200, description = "The stream. The `data` of each `request` event is this, as JSON", body = TailedRequest, content_type = "text/event-stream"),
    (status = 401, description = "`UNAUTHENTICATED`: the bearer token is not valid", body = Problem),
    (status = 403, description = "`FORBIDDEN`: there is no bearer token, or the operator may not see this relying party's credentials", body = Problem),
    (status = 429, description = "`TOO_MANY_WAITS`: the relying party has 8 of these streams, or too many waits", body = Problem),
    (status = 503, description = "`OVERLOADED`: the gateway is at capacity", body = Problem)))]
pub async fn tail(State(state): State<AppState>, Extension(admitted): Extension<Admitted>) -> Result<Response, Problem> {
    let Admitted { scope, operator } = admitted;
    let permit = match &operator {
        Some(source) => state.waits.anonymous(source)?,
        None => state.waits.party(scope.party())?,
    };
    let listening = json!({
        "relying_party_id": scope.party(),
        "credential_id": if let Scope::Credential(_, id) = &scope { Some(id) } else { None },
    });
    let listener = state.tail.listen(scope).map_err(|_| {
        let text = format!("the relying party has {PER_PARTY} of these streams; end one, or try again later");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_WAITS", text).retry_after(FULL_FOR)
    })?;
    let end = Instant::now() + jittered(&state.random, MAX_AGE);
    let begun = stream::iter([event("listening", &listening.to_string())]);
    let open = Open { state, listener, end, _permit: permit };
    let requests = stream::unfold(open, |mut open| async move { Some((open.next().await?, open)) });
    Ok(event_stream(begun.chain(requests).map(Ok::<_, Infallible>)))
}

/// A stream and what it holds.
struct Open {
    state: AppState,
    listener: Listening,
    end: Instant,
    _permit: Permit,
}

impl Open {
    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            news = self.listener.next() => Some(match news {
                Update::Request(json) => event("request", &json),
                Update::Lost(count) => event("lost", &json!({"count": count}).to_string()),
            }),
            () = sleep_until(self.end) => None,
            () = self.state.stopping.cancelled() => None,
        }
    }
}

fn event(name: &str, json: &str) -> Event {
    Event::default().event(name).data(json)
}
