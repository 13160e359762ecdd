//! Authenticates backends, by a bearer token ([`bearer`]) or by the TRUSONA scheme, which signs both ways: the call's signature is
//! verified, and the response is signed. The gateway calls services as the backend, with the backend's secret, and has no rights of its
//! own.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequestParts, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, DATE, USER_AGENT},
        request::Parts,
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use nodkey_kernel::{
    dpop,
    id::{CredentialId, RelyingPartyId},
    jose::sha256,
    trusona_mac,
};
use nodkey_proto::registry::v1::{CredentialKind, SignedRequest};
use nodkey_runtime::{
    Actor, Proof, ResolvedCredential,
    admission::{Class, Permit},
    bearer_token,
    fault::{self, Fault},
    signature::{self, Tolerated},
    trace::Arrival,
};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use super::{bearer, phone};
use crate::{
    body::{self, MAX_BODY, Sender, discard_unread},
    class,
    layers::body_under,
    limits::network::Source,
    metrics::SIGNATURE_TOLERANCES,
    named,
    problem::{Problem, ProofFault, Refused, in_json},
    replay::PROOF,
    state::AppState,
    strict::Strict,
    tail,
};

/// The date that is signed. `Date` is used where a client sends none.
const X_DATE: &str = "x-date";
/// The signature of a response.
const X_SIGNATURE: &str = "x-signature";

/// An authenticated backend of a relying party.
#[derive(Clone, Debug)]
pub struct Backend(Arc<ResolvedCredential>);

impl Backend {
    /// The backend's relying party.
    pub fn relying_party(&self) -> RelyingPartyId {
        self.0.relying_party
    }
}

impl From<&Backend> for Actor {
    fn from(Backend(credential): &Backend) -> Self {
        Self::Backend(Arc::clone(credential))
    }
}

/// A phone that registers: its app has a mobile credential, and the phone has proven its device key.
#[derive(Clone, Debug)]
pub struct Registering {
    /// The relying party of the mobile credential.
    pub relying_party: RelyingPartyId,
    /// The proof by the device key.
    pub proof: dpop::Proof,
}

impl<S: Sync> FromRequestParts<S> for Backend {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(Problem::credentials)
    }
}

impl<S: Sync> FromRequestParts<S> for Registering {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(Problem::credentials)
    }
}

impl From<Arc<ResolvedCredential>> for Backend {
    fn from(credential: Arc<ResolvedCredential>) -> Self {
        Self(credential)
    }
}

/// Admits authenticated backends.
pub async fn middleware(State(gateway): State<AppState>, request: Request, next: Next) -> Response {
    if bearer_token(request.headers()).is_some() {
        return bearer::pass(&gateway, request, next).await;
    }
    let (mut parts, body) = request.into_parts();
    let waits = class::waits(&parts);
    match enter(&gateway, &mut parts, body, CredentialKind::Server).await {
        Err(problem) => problem.into_response(),
        Ok((permit, credential, body)) => {
            let target = Target::of(&parts);
            parts.extensions.insert(Backend(Arc::clone(&credential)));
            // A call that waits holds no permit for working calls.
            let permit = Some(permit).filter(|_| !waits);
            let arrival = Arrival::noted(&parts.extensions);
            let response = Arrival::go_on(arrival, true, next.run(Request::from_parts(parts, Body::from(body)))).await;
            // The refused caller is the backend: its credential was disabled since the gateway resolved it.
            let refused = response.extensions().get::<Refused>().is_some();
            let response = if refused { Problem::credentials().into_response() } else { response };
            let response = sign(&gateway, &credential, &target, response).await;
            match permit {
                Some(permit) => permit.hold(response),
                None => response,
            }
        }
    }
}

/// Admits phones that register. Each new device counts against the limit of its address.
pub async fn registration(State(gateway): State<AppState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let verified = async {
        let (permit, credential, body) = enter(&gateway, &mut parts, body, CredentialKind::Mobile).await?;
        let proof = phone::verify(&gateway, &parts, &body)?;
        if gateway.replays.has(proof.device_id.as_str(), &proof.jti) {
            return Err(Problem::proof(ProofFault::Replayed, Some(&proof.device_id)));
        }
        let source = Source::from_request_parts(&mut parts, &gateway).await?;
        let charge = gateway.registrations.charge(credential.relying_party, credential.limits.registrations_per_address, &source)?;
        Ok::<_, Problem>((permit, credential, proof, charge, body))
    };
    match verified.await {
        Err(problem) => problem.into_response(),
        Ok((permit, credential, proof, charge, body)) => {
            let (target, proven) = (Target::of(&parts), proof.clone());
            parts.extensions.insert(Registering { relying_party: credential.relying_party, proof });
            parts.extensions.insert(Strict);
            // The app's credential is in every copy of the app.
            let (arrival, asked_at) = (Arrival::noted(&parts.extensions), gateway.clock.now());
            let response = Arrival::go_on(arrival, false, next.run(Request::from_parts(parts, Body::from(body)))).await;
            if response.status().is_success() {
                // The device is registered now, so its proofs are remembered.
                gateway.devices.note(&proven.device_id, credential.relying_party, asked_at);
                gateway.replays.first(proven.device_id.as_str(), &proven.jti, PROOF).await;
            }
            if response.status() != StatusCode::CREATED {
                charge.refund();
            }
            permit.hold(sign(&gateway, &credential, &target, response).await)
        }
    }
}

/// Admits a request that names a credential, reads its body and verifies it. The signature covers the body, so nothing is proven before the
/// body is read: until then, a caller without a recently proven token is treated as unauthenticated.
async fn enter(
    gateway: &AppState,
    parts: &mut Parts,
    body: Body,
    kind: CredentialKind,
) -> Result<(Permit, Arc<ResolvedCredential>, Bytes), Problem> {
    let route = class::route(parts);
    let (class, limit) = (class::of(&parts.method, route), body::limit(&parts.method, route));
    let source = Source::from_request_parts(parts, gateway).await?;
    let named = Named::of(parts);
    let standing = match &named {
        Ok(named) => named.standing(gateway, kind).await,
        Err(fault) => Err(*fault),
    };
    let known = matches!(standing, Ok(Standing::Known(_)));
    let permit = gateway.admission.enter(if known { class } else { Class::Anonymous })?;
    let sender = match standing {
        Ok(Standing::Known(relying_party)) => Sender::Known(relying_party),
        Ok(Standing::Named) => Sender::Named(source.clone()),
        // In development, a refusal shows what should have been signed, including the body.
        Err(_) if gateway.deployment.explain_refusals => Sender::Stranger(source.clone()),
        Err((fault, id)) => {
            note(fault, id);
            drop(permit);
            discard_unread(body).await;
            return Err(Problem::credentials());
        }
    };
    let (permit, body) = body_under(gateway, permit, body, limit, sender).await?;
    if known {
        let credential = verify(gateway, parts, named, &body, kind).await?;
        return Ok((permit, credential, body));
    }
    // The credential may have to be looked up: counted by address, unless it is proven.
    let charge = gateway.strangers.charge(&source)?;
    let verified = verify(gateway, parts, named, &body, kind).await;
    // Any other failure does not say that the credential is unproven.
    if !verified.as_ref().is_err_and(Problem::is_unauthenticated) {
        charge.refund();
    }
    let credential = verified?;
    drop(permit);
    Ok((gateway.admission.enter(class)?, credential, body))
}

/// What the request head says about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It shows the token of a credential of this relying party that was proven recently. Only the backend has that token. The token of an
    /// app is in every copy of the app.
    Known(RelyingPartyId),
    /// It names a credential.
    Named,
}

/// Why a head is refused, and which credential it names, if any.
type Refusal = (Fault, Option<CredentialId>);

/// The contents of an `Authorization` header, none of it proven.
struct Named<'a> {
    id: CredentialId,
    token_sha256: [u8; 32],
    signature: &'a str,
}

impl<'a> Named<'a> {
    fn of(parts: &'a Parts) -> Result<Self, Refusal> {
        let authorization = parts.headers.get(AUTHORIZATION).ok_or((Fault::Missing, None))?;
        let parsed = authorization.to_str().ok().and_then(trusona_mac::parse_authorization);
        let (token, signature) = parsed.ok_or((Fault::Malformed, None))?;
        let id = named::of_token(token).ok_or((Fault::NamesNoCredential, None))?;
        Ok(Self { id, token_sha256: sha256(token.as_bytes()), signature })
    }

    /// Examines a head before the body is read. Refuses one that cannot be valid.
    async fn standing(&self, gateway: &AppState, kind: CredentialKind) -> Result<Standing, Refusal> {
        let proven = gateway.proven_tokens.get(&self.token_sha256).filter(|_| kind == CredentialKind::Server);
        let standing = proven.map_or(Standing::Named, Standing::Known);
        let Some(known) = gateway.resolver.remembered(self.id).await else { return Ok(standing) };
        let fault = match () {
            () if !self.is_of(&known) => Fault::OtherToken,
            () if known.disabled => Fault::Disabled,
            () if known.kind != kind => Fault::WrongKind,
            () => return Ok(standing),
        };
        Err((fault, Some(self.id)))
    }

    /// Whether it shows the token that was issued with this credential.
    fn is_of(&self, credential: &ResolvedCredential) -> bool {
        self.token_sha256.ct_eq(credential.token_sha256.as_slice()).into()
    }
}

fn note(fault: Fault, named: Option<CredentialId>) {
    tail::refused(fault);
    fault::note("TRUSONA", fault.as_str(), named.map(|id| id.to_string()).as_deref());
}

/// The parts of a request that the response's signature covers, too.
struct Target {
    method: String,
    path_and_query: String,
}

impl Target {
    /// As it was on the wire, neither decoded nor normalized.
    fn of(parts: &Parts) -> Self {
        let path_and_query = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        Self { method: parts.method.as_str().to_owned(), path_and_query }
    }
}

async fn verify(
    gateway: &AppState,
    parts: &Parts,
    named: Result<Named<'_>, Refusal>,
    body: &[u8],
    kind: CredentialKind,
) -> Result<Arc<ResolvedCredential>, Problem> {
    let refused = |fault: Fault, named: Option<CredentialId>| {
        note(fault, named);
        let problem = Problem::credentials();
        if gateway.deployment.explain_refusals {
            problem.explained(fault.why(), to_sign(&signed_request(parts, body, "")))
        } else {
            problem
        }
    };
    let named = named.map_err(|(fault, named)| refused(fault, named))?;
    let Named { id, signature, .. } = named;
    let request = signed_request(parts, body, signature);
    let credential = gateway.resolver.resolve(id, || Proof::SignedRequest(request.clone())).await?;
    let credential = credential.map_err(|fault| refused(fault, Some(id)))?;
    // Verified for each request: the registry verified a different one.
    let verified = signature::check(&request, credential.secret.expose_secret(), credential.signatures, gateway.clock.now());
    let tolerated = verified.map_err(|fault| refused(fault, Some(id)))?;
    // Only a caller that holds the secret learns whether the credential is disabled or of another kind.
    for (right, fault) in [
        (named.is_of(&credential), Fault::OtherToken),
        (!credential.disabled, Fault::Disabled),
        (credential.kind == kind, Fault::WrongKind),
    ] {
        if !right {
            return Err(refused(fault, Some(id)));
        }
    }
    if kind == CredentialKind::Server {
        gateway.proven_tokens.insert(named.token_sha256, credential.relying_party);
    }
    count(tolerated);
    tail::proven(&credential);
    gateway.credential_rates.check(&id.to_string())?;
    // A repeated read is harmless: it reveals nothing new.
    if credential.signatures.refuse_repeated && !parts.method.is_safe() {
        let lifetime = signature::lifetime(credential.signatures);
        if !gateway.repeated.first(&id.to_string(), signature, lifetime).await {
            return Err(refused(Fault::Repeated, Some(id)));
        }
    }
    Ok(credential)
}

/// The signed parts of a request, as they were on the wire.
fn signed_request(parts: &Parts, body: &[u8], signature: &str) -> SignedRequest {
    let header = |name: &str| text(&parts.headers, name).unwrap_or_default();
    let Target { method, path_and_query } = Target::of(parts);
    let (body_md5, beginning_md5) = signature::digests(body, header(USER_AGENT.as_str()));
    SignedRequest {
        signature: signature.to_owned(),
        method,
        body_md5,
        beginning_md5,
        content_type: header(CONTENT_TYPE.as_str()).to_owned(),
        date: text(&parts.headers, X_DATE).unwrap_or_else(|| header(DATE.as_str())).to_owned(),
        path_and_query,
    }
}

/// The text that a signature covers.
fn to_sign(request: &SignedRequest) -> String {
    let SignedRequest { method, body_md5, content_type, date, path_and_query, .. } = request;
    trusona_mac::string_to_sign(method, body_md5, content_type, date, path_and_query)
}

fn count(Tolerated { signature, date }: Tolerated) {
    for fault in [signature, date].into_iter().flatten() {
        SIGNATURE_TOLERANCES.with([fault]).increment(1);
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Signs a response over its bytes as they are sent.
async fn sign(gateway: &AppState, credential: &ResolvedCredential, target: &Target, response: Response) -> Response {
    let (mut parts, body) = in_json(response).into_parts();
    let body = match to_bytes(body, 4 * MAX_BODY).await {
        Ok(body) => body,
        Err(cause) => return Problem::because(cause).into_response(),
    };
    let date = gateway.clock.now().to_http_date();
    let content_type = text(&parts.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let signed = trusona_mac::string_to_sign(&target.method, &trusona_mac::body_md5(&body), content_type, &date, &target.path_and_query);
    let signature = trusona_mac::mac(credential.secret.expose_secret(), &signed);
    let (Ok(date), Ok(signature)) = (HeaderValue::try_from(date), HeaderValue::try_from(signature)) else {
        return Problem::because("a signature or date is no header").into_response();
    };
    parts.headers.insert(X_DATE, date);
    parts.headers.insert(X_SIGNATURE, signature);
    Response::from_parts(parts, Body::from(body))
}
