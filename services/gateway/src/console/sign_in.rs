//! An operator signs in as any user of any relying party does: the page shows a secure QR code, a phone scans it, shows what is
//! asked, and signs.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
};
use axum_extra::extract::CookieJar;
use nodkey_bus::Listener;
use nodkey_kernel::{
    error::{Classify as _, Kind},
    id::{RelyingPartyId, TruCodeId, TrusonaficationId},
    jose::{hmac_sha256, hs256},
};
use nodkey_proto::{
    convert::from_timestamp,
    registry::v1::{CreateOperatorSessionRequest, operator_session_service_client::OperatorSessionServiceClient},
    trusonafication::v1::{
        CreateTruCodeRequest, CreateTrusonaficationRequest, GetTrusonaficationRequest, Status, Trusonafication,
        create_trusonafication_request::Target, tru_code_service_client::TruCodeServiceClient,
    },
};
use nodkey_runtime::{Deployment, OperatorSession, status::PeerError};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::cookie::{SIGN_IN, Session};
use crate::{
    config::Config,
    edge::Edge,
    extract::{ClientAddress, Place, Wait},
    problem::Problem,
    routes::{place, trusonafications},
};

/// How long a browser may hold a sign-in, in seconds: as long as what is asked lives, and a moment.
const LIFETIME: i64 = 180;
/// A wake may get lost; this often it is looked without one.
const RECHECK: Duration = Duration::from_secs(10);

/// What ties a sign-in to the browser that began it: whoever else learns its ids, from a phone or a log, gains nothing.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    trusonafication: TrusonaficationId,
    code: TruCodeId,
    exp: i64,
}

/// How a sign-in stands.
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

/// Makes a code, and asks whoever scans it.
pub async fn begin(
    State(edge): State<Edge>,
    ClientAddress(address): ClientAddress,
    jar: CookieJar,
    headers: HeaderMap,
) -> Result<(StatusCode, CookieJar, Json<Value>), Problem> {
    edge.address_rates.check(&address)?;
    let origin = edge.deployment.public_url.clone();
    let mut codes = TruCodeServiceClient::new(edge.peers.trusonafication().unscoped());
    let request = CreateTruCodeRequest {
        relying_party_id: RelyingPartyId::CONSOLE.to_string(),
        origin: origin.clone(),
        place: place(&edge, &headers),
    };
    let code = codes.create_tru_code(request).await?.into_inner();
    let request = CreateTrusonaficationRequest {
        target: Some(Target::TrucodeId(code.id.clone())),
        desired_level: 2,
        action: "sign in".into(),
        resource: Url::parse(&origin).ok().and_then(|url| url.host_str().map(ToOwned::to_owned)).unwrap_or(origin),
        ..CreateTrusonaficationRequest::default()
    };
    let asked = trusonafications::client(&edge, RelyingPartyId::CONSOLE).create_trusonafication(request).await?.into_inner();
    let claims = Claims {
        trusonafication: asked.trusonafication.and_then(|it| it.id.parse().ok()).ok_or_else(Problem::internal)?,
        code: code.id.parse().map_err(|_| Problem::internal())?,
        exp: edge.clock.now().as_seconds() + LIFETIME,
    };
    let jar = SIGN_IN.write(&edge, jar, hs256::sign(None, &claims, edge.cookie_keys.first().ok_or_else(Problem::internal)?));
    let expires_at = code.expires_at.as_ref().and_then(from_timestamp).map(|at| at.to_string());
    Ok((StatusCode::CREATED, jar, Json(json!({"payload": code.payload, "expires_at": expires_at}))))
}

/// Tells how this browser's sign-in stands, once it is other than the page knows (`after`), or after a wait. What was accepted is a session
/// from here on.
pub async fn wait(
    State(edge): State<Edge>,
    ClientAddress(address): ClientAddress,
    _place: Place,
    jar: CookieJar,
    Wait(patience): Wait,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<(CookieJar, Json<Value>), Problem> {
    let answer = |standing: Standing| Json(json!({"status": standing.as_str()}));
    let Some(claims) = SIGN_IN.read(&edge, &jar).and_then(|cookie| verify(&edge, &cookie)) else {
        return Ok((jar, answer(Standing::Expired)));
    };
    let (known, end) = (query.get("after").map(String::as_str), Instant::now() + patience);
    let mut wakes =
        [edge.bus.listen(&format!("trucode.{}", claims.code)), edge.bus.listen(&format!("trusonafication.{}", claims.trusonafication))];
    loop {
        let now = look(&edge, claims.trusonafication).await?;
        if now == Standing::Accepted {
            return match sign_in(&edge, claims.trusonafication, &address).await? {
                Ok(session) => Ok((session.keep(&edge, SIGN_IN.remove(&edge, jar)), answer(now))),
                Err(refused) => Ok((jar, answer(refused))),
            };
        }
        let left = end.saturating_duration_since(Instant::now());
        if known != Some(now.as_str()) || left.is_zero() || !woken(&edge, &mut wakes, left.min(RECHECK)).await {
            return Ok((jar, answer(now)));
        }
    }
}

/// Resolves when it is worth looking again; false when this gateway is to stop.
async fn woken(edge: &Edge, [code, trusonafication]: &mut [Listener; 2], limit: Duration) -> bool {
    tokio::select! {
        () = code.notified() => true,
        () = trusonafication.notified() => true,
        () = tokio::time::sleep(limit) => true,
        () = edge.stopping.cancelled() => false,
    }
}

async fn look(edge: &Edge, id: TrusonaficationId) -> Result<Standing, Problem> {
    let request = GetTrusonaficationRequest { id: id.to_string(), wait_seconds: 0 };
    let found: Trusonafication = trusonafications::client(edge, RelyingPartyId::CONSOLE).get_trusonafication(request).await?.into_inner();
    Ok(match found.status() {
        Status::Accepted | Status::AcceptedAtHigherLevel => Standing::Accepted,
        // Without the person's presence nobody gets in.
        Status::AcceptedAtLowerLevel => Standing::Refused,
        Status::Rejected => Standing::Rejected,
        Status::Expired | Status::Canceled | Status::Unspecified => Standing::Expired,
        Status::InProgress if found.device_identifier.is_empty() => Standing::Waiting,
        Status::InProgress => Standing::Scanned,
    })
}

/// Begins the session; the registry looks at what was accepted for itself.
async fn sign_in(edge: &Edge, accepted: TrusonaficationId, address: &str) -> Result<Result<Session, Standing>, Problem> {
    let mut sessions = OperatorSessionServiceClient::new(edge.peers.registry().unscoped());
    let request = CreateOperatorSessionRequest { trusonafication_id: accepted.to_string(), client_address: address.to_owned() };
    match sessions.create_operator_session(request).await.map_err(PeerError::from) {
        Ok(session) => {
            let session = session.into_inner();
            let id = session.id.parse().map_err(|_| Problem::internal())?;
            Ok(Ok(Session(OperatorSession { id, secret: SecretString::from(session.secret) })))
        }
        Err(e) if e.kind() == Kind::Forbidden => Ok(Err(Standing::Refused)),
        Err(e) if e.kind() == Kind::Precondition => Ok(Err(Standing::Expired)),
        Err(e) => Err(e.into()),
    }
}

fn verify(edge: &Edge, cookie: &str) -> Option<Claims> {
    let claims: Claims = edge.cookie_keys.iter().find_map(|key| hs256::verify(cookie, key).ok())?;
    (edge.clock.now().as_seconds() < claims.exp).then_some(claims)
}

/// Keys for this alone, the same at every gateway: the first signs, all verify. An internal key signed in a deployment of before, and
/// does until there is a cookie key.
pub fn cookie_keys(config: &Config, deployment: &Deployment) -> anyhow::Result<Vec<[u8; 32]>> {
    let given: Vec<_> = [&config.cookie_key, &deployment.internal_key, &config.previous_cookie_key].into_iter().flatten().collect();
    let missing = "the console needs service.cookie_key, which `nodkey keys init` makes; without a console set service.console to false";
    anyhow::ensure!(!config.console || !given.is_empty(), missing);
    anyhow::ensure!(given.iter().all(|key| key.expose_secret().len() >= 32), "service.cookie_key must be at least 32 characters");
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
        assert!(cookie_keys(&short, &Deployment::new("https://gw", Egress::new(false))).is_err());
        let without = Config { console: false, ..Config::default() };
        assert_eq!(cookie_keys(&without, &Deployment::new("https://gw", Egress::new(false))).unwrap(), Vec::<[u8; 32]>::new());
    }
}
