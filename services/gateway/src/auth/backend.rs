//! Backends: the TRUSONA scheme, both ways. What a call signs is verified; what is answered is signed.

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequestParts, Request, State},
    http::{
        HeaderMap, HeaderValue,
        header::{AUTHORIZATION, CONTENT_TYPE, DATE, USER_AGENT},
        request::Parts,
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use nodkey_kernel::{
    dpop::Proof,
    id::{CredentialId, RelyingPartyId},
    jose::{b64u_decode, sha256},
    trusona_mac,
};
use nodkey_proto::registry::v1::CredentialKind;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::{phone, signature::Signed};
use crate::{
    body::{MAX_BODY, read_body},
    edge::Edge,
    problem::Problem,
};

/// The date that is signed; `Date` stands in where a client has none.
const X_DATE: &str = "x-date";
/// The signature of an answer.
const X_SIGNATURE: &str = "x-signature";

/// A relying party's backend that has proven itself.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// Which relying party.
    pub relying_party: RelyingPartyId,
}

/// A phone that registers: the app has a mobile credential, the phone proves its key.
#[derive(Clone, Debug)]
pub struct Registering {
    /// Which relying party.
    pub relying_party: RelyingPartyId,
    /// The key's owner.
    pub proof: Proof,
}

impl<S: Sync> FromRequestParts<S> for Backend {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().copied().ok_or_else(Problem::credentials)
    }
}

impl<S: Sync> FromRequestParts<S> for Registering {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(Problem::credentials)
    }
}

/// Lets backends through.
pub async fn middleware(State(gateway): State<Edge>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let verified = async {
        let body = read_body(body).await?;
        let credential = verify(&gateway, &parts, &body, CredentialKind::Server).await?;
        Ok::<_, Problem>((credential, body))
    };
    match verified.await {
        Err(problem) => problem.into_response(),
        Ok((credential, body)) => {
            let target = Target::of(&parts);
            parts.extensions.insert(Backend { relying_party: credential.relying_party });
            let response = next.run(Request::from_parts(parts, Body::from(body))).await;
            sign(&gateway, &credential.secret, &target, response).await
        }
    }
}

/// Lets phones through that register.
pub async fn registration(State(gateway): State<Edge>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let verified = async {
        let body = read_body(body).await?;
        let credential = verify(&gateway, &parts, &body, CredentialKind::Mobile).await?;
        let proof = phone::prove(&gateway, &parts, &body).await?;
        Ok::<_, Problem>((credential, proof, body))
    };
    match verified.await {
        Err(problem) => problem.into_response(),
        Ok((credential, proof, body)) => {
            let target = Target::of(&parts);
            parts.extensions.insert(Registering { relying_party: credential.relying_party, proof });
            let response = next.run(Request::from_parts(parts, Body::from(body))).await;
            sign(&gateway, &credential.secret, &target, response).await
        }
    }
}

/// What of a request is signed again in its answer.
struct Target {
    method: String,
    path_and_query: String,
}

impl Target {
    /// As it was on the wire, neither decoded nor put in order.
    fn of(parts: &Parts) -> Self {
        let path_and_query = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        Self { method: parts.method.as_str().to_owned(), path_and_query }
    }
}

struct Verified {
    relying_party: RelyingPartyId,
    secret: SecretString,
}

/// The claims of a token that name its credential.
#[derive(Deserialize)]
struct TokenClaims {
    jti: CredentialId,
}

async fn verify(gateway: &Edge, parts: &Parts, body: &[u8], kind: CredentialKind) -> Result<Verified, Problem> {
    let authorization = text(&parts.headers, AUTHORIZATION.as_str()).ok_or_else(Problem::credentials)?;
    let (token, signature) = trusona_mac::parse_authorization(authorization).ok_or_else(Problem::credentials)?;
    let id = credential_id(token).ok_or_else(Problem::credentials)?;
    let credential = gateway.resolver.resolve(id).await?.ok_or_else(Problem::credentials)?;
    let target = Target::of(parts);
    let signed = Signed {
        method: &target.method,
        body,
        content_type: text(&parts.headers, CONTENT_TYPE.as_str()).unwrap_or_default(),
        date: text(&parts.headers, X_DATE).or_else(|| text(&parts.headers, DATE.as_str())).unwrap_or_default(),
        path_and_query: &target.path_and_query,
        user_agent: text(&parts.headers, USER_AGENT.as_str()).unwrap_or_default(),
    };
    let known_token = bool::from(sha256(token.as_bytes()).ct_eq(credential.token_sha256.as_slice()));
    let holds = signed.holds(credential.secret.expose_secret(), signature, credential.signatures);
    if !(known_token && holds) || credential.disabled || credential.kind != kind {
        return Err(Problem::credentials());
    }
    if !signed.is_fresh(gateway.clock.now(), credential.signatures) {
        return Err(Problem::credentials());
    }
    gateway.credential_rates.check(&id.to_string())?;
    Ok(Verified { relying_party: credential.relying_party, secret: credential.secret.clone() })
}

/// Which credential a token is of: the token is looked up, not trusted.
fn credential_id(token: &str) -> Option<CredentialId> {
    let claims = b64u_decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<TokenClaims>(&claims).ok().map(|claims| claims.jti)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Signs an answer over its bytes as they are sent.
async fn sign(gateway: &Edge, secret: &SecretString, target: &Target, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, 4 * MAX_BODY).await else { return Problem::internal().into_response() };
    let date = gateway.clock.now().to_http_date();
    let content_type = text(&parts.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let signed = trusona_mac::string_to_sign(&target.method, &trusona_mac::body_md5(&body), content_type, &date, &target.path_and_query);
    let signature = trusona_mac::mac(secret.expose_secret(), &signed);
    let (Ok(date), Ok(signature)) = (HeaderValue::try_from(date), HeaderValue::try_from(signature)) else {
        return Problem::internal().into_response();
    };
    parts.headers.insert(X_DATE, date);
    parts.headers.insert(X_SIGNATURE, signature);
    Response::from_parts(parts, Body::from(body))
}
