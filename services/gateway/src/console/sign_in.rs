//! Operators sign in the way users of any relying party do: the page shows a secure QR code, a phone scans it, shows the challenge and
//! signs.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header::USER_AGENT},
};
use axum_extra::extract::CookieJar;
use nodkey_bus::Listener;
use nodkey_kernel::{
    error::{Classify as _, Kind},
    id::{RelyingPartyId, TruCodeId, TrusonaficationId},
    jose::{hmac_sha256, hs256},
    time::Timestamp,
};
use nodkey_proto::{
    convert::from_timestamp,
    registry::v1::{CreateOperatorSessionRequest, operator_session_service_client::OperatorSessionServiceClient},
    trusonafication::v1::{
        CreateTruCodeRequest, CreateTrusonaficationRequest, GetTruCodeStatusRequest, GetTrusonaficationRequest, Status, Trusonafication,
        create_trusonafication_request::Target, tru_code_service_client::TruCodeServiceClient,
    },
};
use nodkey_runtime::{Deployment, OperatorSession, admission::Class, status::PeerError};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::cookie::{SIGN_IN, Session};
use crate::{
    config::Config,
    extract::{ClientAddress, Wait},
    limits::network::Source,
    problem::Problem,
    routes::place,
    state::AppState,
    wait::woken,
};

/// How long a browser may hold a sign-in, in seconds: the lifetime of the challenge, and a little more.
const LIFETIME: i64 = 180;

/// What ties a sign-in to the browser that began it: anybody else who learns its id, from a phone or a log, gains nothing.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    code: TruCodeId,
    exp: i64,
}

/// The state of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Waiting,
    Scanned,
    Accepted,
    Rejected,
    Expired,
    /// The phone belongs to nobody who may sign in.
    Refused,
}

impl Standing {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Scanned => "SCANNED",
            Self::Accepted => "ACCEPTED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
            Self::Refused => "REFUSED",
        }
    }
}

/// Makes a code. No trusonafication is created before the code is scanned, so merely opening the page stores nothing.
pub async fn begin(
    State(state): State<AppState>,
    source: Source,
    jar: CookieJar,
    headers: HeaderMap,
) -> Result<(StatusCode, CookieJar, Json<Value>), Problem> {
    state.address_rates.check_source(&source)?;
    let mut codes = TruCodeServiceClient::new(state.peers.trusonafication().unscoped());
    let request = CreateTruCodeRequest {
        relying_party_id: RelyingPartyId::CONSOLE.to_string(),
        origin: state.deployment.public_url.clone(),
        place: place(&state, &headers),
    };
    let code = codes.create_tru_code(request).await?.into_inner();
    let claims = Claims { code: code.id.parse().map_err(Problem::because)?, exp: state.clock.now().as_seconds() + LIFETIME };
    let key = state.cookie_keys.first().ok_or_else(|| Problem::because("there is no cookie key"))?;
    let jar = SIGN_IN.write(&state, jar, hs256::sign(None, &claims, key));
    let expires_at = code.expires_at.as_ref().and_then(from_timestamp).map(|at| at.to_string());
    Ok((StatusCode::CREATED, jar, Json(json!({"payload": code.payload, "expires_at": expires_at}))))
}

/// Returns the state of this browser's sign-in, once it differs from what the page knows (`after`), or after a wait. Sends the challenge to
/// the user of the phone that scanned the code. Once it is accepted, begins a session.
pub async fn wait(
    State(state): State<AppState>,
    ClientAddress(address): ClientAddress,
    source: Source,
    jar: CookieJar,
    headers: HeaderMap,
    Wait(patience): Wait,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<(CookieJar, Json<Value>), Problem> {
    let answer = |standing: Standing| Json(json!({"status": standing.as_str()}));
    let Some(claims) = SIGN_IN.read(&state, &jar).and_then(|cookie| verify(&state, &cookie)) else {
        return Ok((jar, answer(Standing::Expired)));
    };
    let _permit = state.waits.anonymous(&source)?;
    let mut working = Some(state.admission.enter(Class::Anonymous)?);
    let (known, end) = (query.get("after").map(String::as_str), Instant::now() + patience);
    let wake = state.bus.listen(&format!("trucode.{}", claims.code));
    let mut sign_in = SignIn { wake, state, code: claims.code, over_at: None, asked: None };
    loop {
        let now = sign_in.look().await?;
        // A call that waits holds no permit for working calls.
        drop(working.take());
        if let (Standing::Accepted, Some(accepted)) = (now, sign_in.asked) {
            return match begin_session(&sign_in.state, accepted, &address, &headers).await? {
                Ok(session) => Ok((session.keep(&sign_in.state, SIGN_IN.remove(&sign_in.state, jar)), answer(now))),
                Err(refused) => Ok((jar, answer(refused))),
            };
        }
        let left = end.saturating_duration_since(Instant::now());
        // No wake is published when a code expires.
        let limit = sign_in.over_at.map_or(left, |at| left.min(sign_in.state.clock.now().until(at)));
        if known != Some(now.as_str()) || left.is_zero() || !woken(&sign_in.state, &mut sign_in.wake, limit).await {
            return Ok((jar, answer(now)));
        }
    }
}

/// A sign-in that a browser waits for.
struct SignIn {
    state: AppState,
    code: TruCodeId,
    /// Wakes for the code until it is scanned, then for the trusonafication.
    wake: Listener,
    /// When the code expires. `None` once it is scanned or over.
    over_at: Option<Timestamp>,
    /// The trusonafication for the user of the phone that scanned the code.
    asked: Option<TrusonaficationId>,
}

impl SignIn {
    async fn look(&mut self) -> Result<Standing, Problem> {
        if let Some(asked) = self.asked {
            return look(&self.state, asked).await;
        }
        let mut codes = TruCodeServiceClient::new(self.state.peers.trusonafication().unscoped());
        let request = GetTruCodeStatusRequest { id: self.code.to_string(), origin: self.state.deployment.public_url.clone() };
        let code = codes.get_tru_code_status(request).await?.into_inner();
        if !code.paired {
            let expires_at = code.expires_at.as_ref().and_then(from_timestamp);
            let is_over = expires_at.is_some_and(|at| self.state.clock.now() >= at);
            // A caller that already knows that the code is over waits until the end of its wait.
            self.over_at = expires_at.filter(|_| !is_over);
            return Ok(if is_over { Standing::Expired } else { Standing::Waiting });
        }
        self.over_at = None;
        let asked = match ask(&self.state, self.code).await {
            Ok(asked) => asked,
            Err(e) if ["DEVICE_HAS_NO_ACTIVE_BINDING", "USER_FROZEN"].contains(&e.reason()) => return Ok(Standing::Refused),
            Err(e) => return Err(e.into()),
        };
        self.wake = self.state.bus.listen(&format!("trusonafication.{asked}"));
        self.asked = Some(asked);
        look(&self.state, asked).await
    }
}

/// Creates the trusonafication for the user of the phone that scanned the code. The same code always gives the same trusonafication.
async fn ask(state: &AppState, code: TruCodeId) -> Result<TrusonaficationId, PeerError> {
    let public_url = state.deployment.public_url.clone();
    let request = CreateTrusonaficationRequest {
        request_id: format!("sign-in {code}"),
        target: Some(Target::TrucodeId(code.to_string())),
        desired_level: 2,
        action: "sign in".into(),
        resource: Url::parse(&public_url).ok().and_then(|url| url.host_str().map(ToOwned::to_owned)).unwrap_or(public_url),
        ..CreateTrusonaficationRequest::default()
    };
    let created = state.trusonafications(RelyingPartyId::CONSOLE).create_trusonafication(request).await?.into_inner();
    let id = created.trusonafication.and_then(|asked| asked.id.parse().ok());
    id.ok_or_else(|| tonic::Status::internal("the answer holds no trusonafication").into())
}

async fn look(state: &AppState, id: TrusonaficationId) -> Result<Standing, Problem> {
    let request = GetTrusonaficationRequest { id: id.to_string(), wait_seconds: 0 };
    let found: Trusonafication = state.trusonafications(RelyingPartyId::CONSOLE).get_trusonafication(request).await?.into_inner();
    Ok(match found.status() {
        Status::Accepted | Status::AcceptedAtHigherLevel => Standing::Accepted,
        // Signing in requires the person's presence.
        Status::AcceptedAtLowerLevel => Standing::Refused,
        Status::Rejected => Standing::Rejected,
        Status::Expired | Status::Canceled | Status::Unspecified => Standing::Expired,
        Status::InProgress => Standing::Scanned,
    })
}

/// Begins the session. The registry checks the accepted trusonafication itself.
async fn begin_session(
    state: &AppState,
    accepted: TrusonaficationId,
    address: &str,
    headers: &HeaderMap,
) -> Result<Result<Session, Standing>, Problem> {
    let mut sessions = OperatorSessionServiceClient::new(state.peers.registry().unscoped());
    let user_agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let request = CreateOperatorSessionRequest { trusonafication_id: accepted.to_string(), client_address: address.to_owned(), user_agent };
    match sessions.create_operator_session(request).await.map_err(PeerError::from) {
        Ok(session) => {
            let session = session.into_inner();
            let id = session.id.parse().map_err(Problem::because)?;
            Ok(Ok(Session(OperatorSession { id, secret: SecretString::from(session.secret) })))
        }
        Err(e) if e.kind() == Kind::Forbidden => Ok(Err(Standing::Refused)),
        Err(e) if e.kind() == Kind::Precondition => Ok(Err(Standing::Expired)),
        Err(e) => Err(e.into()),
    }
}

fn verify(state: &AppState, cookie: &str) -> Option<Claims> {
    let claims: Claims = state.cookie_keys.iter().find_map(|key| hs256::verify(cookie, key).ok())?;
    (state.clock.now().as_seconds() < claims.exp).then_some(claims)
}

/// The keys that sign cookies, the same at every gateway: the first signs, all verify. Older deployments signed with an internal key, which
/// is still used until a cookie key is configured.
pub fn cookie_keys(config: &Config, deployment: &Deployment) -> anyhow::Result<Vec<[u8; 32]>> {
    let given: Vec<_> = [&config.cookie_key, &deployment.internal_key, &config.previous_cookie_key].into_iter().flatten().collect();
    let missing = "the console needs service.cookie_key, which `nodkey keys init` creates; if you do not use the console, set service.console to false";
    anyhow::ensure!(!config.console || !given.is_empty(), missing);
    Ok(given.iter().map(|key| hmac_sha256(key.expose_secret().as_bytes(), b"nodkey console sign-in")).collect())
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::egress::Egress;

    use super::*;

    fn keys(cookie: Option<&str>, internal: Option<&str>, previous: Option<&str>) -> Option<Vec<[u8; 32]>> {
        let long = |key: Option<&str>| key.map(|key| SecretString::from(key.repeat(32)));
        let config = Config { cookie_key: long(cookie), previous_cookie_key: long(previous), ..Config::default() };
        let deployment = Deployment { internal_key: long(internal), ..Deployment::new("https://gw", Egress::new(false)) };
        cookie_keys(&config, &deployment).ok()
    }

    #[test]
    fn every_step_from_one_key_to_the_next_is_understood_by_the_step_before() {
        let steps = [
            keys(None, Some("i"), None),
            keys(None, Some("i"), Some("a")),
            keys(Some("a"), Some("i"), None),
            keys(Some("a"), None, None),
            keys(Some("a"), None, Some("b")),
            keys(Some("b"), None, Some("a")),
            keys(Some("b"), None, None),
        ];
        for pair in steps.windows(2) {
            let [Some(old), Some(new)] = pair else { panic!("every step has a key") };
            assert!(old.contains(&new[0]) && new.contains(&old[0]));
        }
    }

    #[test]
    fn a_console_without_a_key_or_with_a_short_one_does_not_start() {
        assert_eq!(keys(None, None, None), None);
        let short = Config { cookie_key: Some("short".into()), ..Config::default() };
        assert!(short.check().is_err());
        let without = Config { console: false, ..Config::default() };
        assert_eq!(cookie_keys(&without, &Deployment::new("https://gw", Egress::new(false))).unwrap(), Vec::<[u8; 32]>::new());
    }
}
