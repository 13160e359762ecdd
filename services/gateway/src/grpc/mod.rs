//! gRPC at the public address: forwards the methods that backends may call, byte for byte, to the services that own them. `proto/` defines
//! which methods these are. The service checks the token. The gateway checks it before, to decide which callers overload refuses first, and
//! adds no rights of its own. It serves waits for results itself.

mod answer;
mod methods;
mod request;
mod results;

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{FromRequestParts as _, Request, State},
    http::{HeaderMap, StatusCode, Version, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse as _, Response},
    routing::post,
};
use http_body_util::Full;
use nodkey_kernel::{error::Kind, id::RelyingPartyId};
use nodkey_runtime::{
    admission::{Class, Overloaded},
    class_of, status,
    trace::{Arrival, Calling},
    unauthenticated, waits,
};
use tonic::{Code, Status};
use tower::ServiceExt as _;

use self::{
    answer::{Ends, guarded},
    methods::{Audience, Method},
    request::{Deadline, Large, forwarded_headers},
    results::Wait,
};
use crate::{
    addressee::addressee,
    auth::bearer::{Bearer, Unidentified},
    limits::{budget::Charge, network::Source, permits::Permit, shares::Share},
    metrics::{GRPC_FORWARDED, GRPC_REFUSED, GrpcRefusal},
    problem::Problem,
    state::AppState,
};

/// A route for each method that is served here.
pub fn routes(operators: bool) -> Router<AppState> {
    methods::served(operators).fold(Router::new(), |router, method| {
        router.route(method.path, post(move |State(state): State<AppState>, request: Request| call(state, method, request)))
    })
}

/// The full names of the services with methods served here.
pub fn services(operators: bool) -> Vec<String> {
    let names: BTreeSet<_> = methods::served(operators).filter_map(|method| method.path.split('/').nth(1)).collect();
    names.into_iter().map(ToOwned::to_owned).collect()
}

/// Answers requests that match no route: methods that are not served here, and unknown paths.
pub async fn unknown(request: Request) -> Response {
    if is_grpc(request.headers()) { refused(GrpcRefusal::Unknown, &no_such_method()) } else { Problem::not_found().into_response() }
}

async fn call(state: AppState, method: Method, request: Request) -> Response {
    if !is_grpc(request.headers()) {
        let text = "this is a gRPC method: use the content type application/grpc";
        return Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", text).into_response();
    }
    // HTTP/1.1 loses the trailers, so a proxy in between does not support gRPC.
    if request.version() != Version::HTTP_2 {
        let text = "gRPC needs HTTP/2 end to end; configure the proxy for it";
        return Problem::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "HTTP_2_REQUIRED", text).into_response();
    }
    match answer(&state, method, request).await {
        Ok(response) => response,
        Err((why, status)) => refused(why, &status),
    }
}

/// When a caller that holds as many streams as it may should try again: nobody knows when a stream ends.
const FULL_FOR: Duration = Duration::from_secs(5);

/// Why a call was refused here: the reason for metrics, and the status for the caller.
type Refusal = (GrpcRefusal, Status);

async fn answer(state: &AppState, method: Method, request: Request) -> Result<Response, Refusal> {
    let (mut parts, body) = request.into_parts();
    // For other callers it is as if the method were not served.
    if method.audience == Audience::Operators && !state.operators.include(&parts.headers) {
        return Err((GrpcRefusal::Unknown, no_such_method()));
    }
    let Some(owner) = addressee(method.path, &parts.headers) else { return Err((GrpcRefusal::Unknown, no_such_method())) };
    let method = Method { owner: Some(owner), ..method };
    // The caller is identified before any of the body is read.
    let source = Source::from_request_parts(&mut parts, state).await.map_err(|problem| (GrpcRefusal::Internal, problem.into_status()))?;
    let bearer = identify(state, method, &parts.headers, &source).await?;
    let arrival = Arrival::noted(&parts.extensions);
    let is_authenticated = matches!(bearer, Bearer::Backend(_));
    let rest = pass_on(state, method, Caller { parts, source, bearer }, body);
    Arrival::go_on(arrival, is_authenticated, rest).await
}

/// Who calls, and the head of the call.
struct Caller {
    parts: Parts,
    source: Source,
    bearer: Bearer,
}

/// Answers an identified caller, or one that nobody knows.
async fn pass_on(state: &AppState, method: Method, caller: Caller, body: Body) -> Result<Response, Refusal> {
    let Caller { parts, source, bearer } = caller;
    // A caller that claims to be an operator counts against the limit of its address until the service has verified the claim.
    let claim = match bearer {
        Bearer::Operator => Some(state.strangers.charge(&source).map_err(|problem| (GrpcRefusal::Rate, problem.into_status()))?),
        Bearer::Backend(_) | Bearer::Nobody => None,
    };
    let class = if matches!(bearer, Bearer::Backend(_)) { class_of(method.path) } else { Class::Anonymous };
    let working = state.admission.enter(class).map_err(overloaded)?;
    let deadline = Deadline::of(&parts.headers, method);
    let (mut forwarded, large) = (http::Request::new(tonic::body::Body::empty()), Large::default());
    *forwarded.headers_mut() = forwarded_headers(&parts.headers, &bearer, deadline);
    *forwarded.method_mut() = parts.method.clone();
    *forwarded.uri_mut() = parts.uri.clone();
    // A caller that streams holds a permit for waiting.
    let (working, message) = if method.client_streams {
        drop(working);
        *forwarded.body_mut() = request::limited(body, method.max_message, &large);
        (None, Bytes::new())
    } else {
        let (working, message) = request::message(state, working, body, method, &bearer, source.clone()).await?;
        *forwarded.body_mut() = tonic::body::Body::new(Full::new(message.clone()));
        (Some(working), message)
    };
    if let (Some(wait), Bearer::Backend(backend)) = (Wait::of(method.path, &message), &bearer) {
        drop(working);
        return match wait {
            Wait::Get(asked) => {
                let deadline = Deadline::waiting(&parts.headers, &asked);
                results::long_poll(state, backend, asked, deadline).await
            }
            Wait::One => results::watch_one(state, backend, deadline, forwarded).await,
            Wait::Many => results::watch_many(state, backend, deadline, forwarded).await,
        };
    }
    // The services hold the waits of operators.
    let lasts = method.server_streams || (matches!(bearer, Bearer::Operator) && waits(method.path));
    if let Some(working) = working.filter(|_| !lasts) {
        let response = settled(claim, forward(state, method, forwarded, &large).await)?;
        return Ok(working.hold(guarded(response, Ends::by_itself(), ())));
    }
    let held = hold(state, &bearer, &source)?;
    let response = settled(claim, forward(state, method, forwarded, &large).await)?;
    Ok(guarded(response, Ends::of(state, deadline), held))
}

/// Identifies the caller.
async fn identify(state: &AppState, method: Method, headers: &HeaderMap, source: &Source) -> Result<Bearer, Refusal> {
    let bearer = match Bearer::identify(state, headers, source).await {
        Ok(bearer) => bearer,
        Err(Unidentified::Overloaded(why)) => return Err(overloaded(why)),
        Err(Unidentified::Rate(problem)) => return Err((GrpcRefusal::Rate, problem.into_status())),
        Err(Unidentified::Credentials(_) | Unidentified::Service(_)) if method.audience == Audience::Anybody => Bearer::Nobody,
        Err(Unidentified::Credentials(status)) => return Err((GrpcRefusal::Credentials, status)),
        Err(Unidentified::Service(status)) => return Err((GrpcRefusal::Service, status)),
    };
    match bearer {
        Bearer::Nobody if method.audience != Audience::Anybody => Err((GrpcRefusal::Credentials, unauthenticated())),
        bearer => Ok(bearer),
    }
}

/// Refunds what was counted against an address, unless the service said that the caller is not authenticated.
fn settled<T>(claim: Option<Charge>, answered: Result<http::Response<T>, Refusal>) -> Result<http::Response<T>, Refusal> {
    let unproven =
        |answer: &http::Response<T>| Status::from_header_map(answer.headers()).is_some_and(|status| status.code() == Code::Unauthenticated);
    if let Some(claim) = claim
        && !answered.as_ref().is_ok_and(unproven)
    {
        claim.refund();
    }
    answered
}

/// Forwards the call to the service that owns the method.
async fn forward(
    state: &AppState,
    method: Method,
    mut request: http::Request<tonic::body::Body>,
    large: &Large,
) -> Result<http::Response<tonic::body::Body>, Refusal> {
    let owner = method.owner.ok_or_else(|| (GrpcRefusal::Unknown, no_such_method()))?;
    GRPC_FORWARDED.with(owner).increment(1);
    let service = state.peers.named(owner).ok_or_else(|| (GrpcRefusal::Unknown, no_such_method()))?;
    let calling = Calling::begin(&mut request);
    let answered = service.bare().oneshot(request).await;
    calling.end(answered.as_ref().ok().map(http::Response::headers));
    if large.was_met() {
        return Err(method.too_large());
    }
    answered.map_err(|error| {
        let status = Status::from_error(error);
        // The caller knows that its deadline has passed.
        let is_late = status.code() == Code::DeadlineExceeded;
        (GrpcRefusal::Service, if is_late { status } else { Status::new(status.code(), status::away(&status)) })
    })
}

/// The capacity that a stream from or to a service holds.
struct Held {
    _place: Permit,
    _share: Share,
}

/// Takes a permit for waiting, and one of the streams that a relying party may hold.
fn hold(state: &AppState, bearer: &Bearer, source: &Source) -> Result<Held, Refusal> {
    let party = if let Bearer::Backend(credential) = bearer { Some(credential.relying_party) } else { None };
    let share = state.streams.take(party).ok_or_else(|| {
        let text = format!("too many open streams: a relying party may have {}; end some", state.streams.most());
        (GrpcRefusal::Share, status::later(Kind::Exhausted, "TOO_MANY_STREAMS", text, FULL_FOR))
    })?;
    let place = match party {
        Some(party) => waiting(state, party)?,
        None => state.waits.anonymous(source).map_err(refused_wait)?,
    };
    Ok(Held { _place: place, _share: share })
}

/// Takes a permit for waiting.
fn waiting(state: &AppState, party: RelyingPartyId) -> Result<Permit, Refusal> {
    state.waits.party(party).map_err(refused_wait)
}

fn refused_wait(problem: Problem) -> Refusal {
    (if problem.is_overload() { GrpcRefusal::Overload } else { GrpcRefusal::Share }, problem.into_status())
}

fn overloaded(overloaded: Overloaded) -> Refusal {
    (GrpcRefusal::Overload, overloaded.into())
}

fn no_such_method() -> Status {
    Status::unimplemented("no such method")
}

fn refused(why: GrpcRefusal, status: &Status) -> Response {
    GRPC_REFUSED.with(why).increment(1);
    status.clone().into_http::<Body>()
}

fn is_grpc(headers: &HeaderMap) -> bool {
    // `application/grpc`, and `+proto` and the like, but not `application/grpc-web`.
    let media_type = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    media_type.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}
