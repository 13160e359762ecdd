//! Calls any RPC for a browser: proto3 JSON in and out, gRPC in between, signed with the operator's session. The services say which methods
//! there are and who may call them. Nothing here knows a method by name.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response, sse::Event},
};
use futures_util::{StreamExt as _, stream};
use http::uri::PathAndQuery;
use nodkey_kernel::id::RelyingPartyId;
use nodkey_proto::reflect::{self, MessageDescriptor};
use nodkey_runtime::{
    Actor, PeerChannel, admission::Class, class_of, confirmation::CONFIRMATION_HEADER, token::RELYING_PARTY_HEADER, waits,
};
use tonic::{
    Status, Streaming,
    client::Grpc,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::{claim::Claim, cookie::Session, messages};
use crate::{
    addressee::addressee,
    body::{MAX_MESSAGE, ORDINARY_BODY, Sender, UPLOAD},
    layers::body_under,
    limits::{network::Source, permits::Permit},
    problem::Problem,
    reply::event_stream,
    state::AppState,
};

/// The maximum duration of a call.
const DEADLINE: Duration = Duration::from_secs(15);
/// The maximum duration of a call that takes a stream.
const UPLOAD_DEADLINE: Duration = Duration::from_mins(1);

/// Calls a method. One that takes a stream gets the elements of a JSON array. One that returns a stream responds with server-sent events,
/// one message each, until the stream or this gateway ends.
pub async fn call(
    State(state): State<AppState>,
    Session(session): Session,
    source: Source,
    Path((service, method)): Path<(String, String)>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let path = format!("/{service}/{method}");
    let method = reflect::method(&path).ok_or_else(Problem::not_found)?;
    let takes_stream = method.is_client_streaming();
    if takes_stream && method.is_server_streaming() {
        return Err(Problem::not_found());
    }
    let peer = addressee(&path, &headers).and_then(|service| state.peers.named(service)).ok_or_else(Problem::not_found)?;
    let channel = peer.on_behalf_of(Actor::Operator(session.clone(), tenant(&headers)?));
    let claim = Claim::of(&state, &session, &source)?;
    let (class, sender) = if claim.is_known() {
        state.credential_rates.check(&session.id.to_string())?;
        (class_of(&path), Sender::Known(RelyingPartyId::CONSOLE))
    } else {
        (Class::Anonymous, Sender::Stranger(source))
    };
    let working = state.admission.enter(class)?;
    // Only a known session may hold so much, and only few at the same time.
    let (limit, sender, _upload) =
        if takes_stream && claim.is_known() { (UPLOAD, Sender::Upload, Some(messages::upload()?)) } else { (ORDINARY_BODY, sender, None) };
    let (working, body) = body_under(&state, working, request.into_body(), limit, sender).await?;
    let mut messages = if takes_stream { messages::all(&method.input(), &body)? } else { vec![messages::one(method.input(), &body)?] };
    drop(body);
    let lasts = waits(&path);
    let path = PathAndQuery::try_from(path).map_err(|_| Problem::not_found())?;
    let grpc = Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE);
    if method.is_server_streaming() {
        let opened = claim.settle(&state, open(grpc, path, messages.pop().unwrap_or_default()).await)?;
        drop(working);
        let permit = state.waits.session(session.id)?;
        return Ok(events(&state, opened, method.output(), permit));
    }
    let mut request = tonic::Request::new(messages);
    // The confirmation that the operator gave on their phone. The service verifies it.
    if let Some(confirmation) = headers.get(CONFIRMATION_HEADER).and_then(|value| value.to_str().ok()?.parse().ok()) {
        request.metadata_mut().insert(CONFIRMATION_HEADER, confirmation);
    }
    // A call that waits holds a permit for waiting, and none for working.
    let (working, _waiting) = if lasts && claim.is_known() {
        drop(working);
        (None, Some(state.waits.session(session.id)?))
    } else {
        (Some(working), None)
    };
    let answer = claim.settle(&state, send(grpc, path, request, takes_stream).await)?;
    let json = reflect::to_json(method.output(), answer).ok_or_else(|| Problem::because("an answer is not that of its method"))?;
    let header = (CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    let response = ([header], Body::from(json)).into_response();
    Ok(match working {
        Some(working) => working.hold(response),
        None => response,
    })
}

/// Sends one message, or a stream of them.
async fn send(
    mut grpc: Grpc<PeerChannel>,
    path: PathAndQuery,
    mut request: tonic::Request<Vec<Bytes>>,
    as_stream: bool,
) -> Result<Bytes, Status> {
    ready(&mut grpc).await?;
    if as_stream {
        request.set_timeout(UPLOAD_DEADLINE);
        return Ok(grpc.client_streaming(request.map(stream::iter), path, Raw).await?.into_inner());
    }
    request.set_timeout(DEADLINE);
    let request = request.map(|messages| messages.into_iter().next().unwrap_or_default());
    Ok(grpc.unary(request, path, Raw).await?.into_inner())
}

async fn open(mut grpc: Grpc<PeerChannel>, path: PathAndQuery, message: Bytes) -> Result<Streaming<Bytes>, Status> {
    ready(&mut grpc).await?;
    Ok(grpc.server_streaming(tonic::Request::new(message), path, Raw).await?.into_inner())
}

fn events(state: &AppState, messages: Streaming<Bytes>, output: MessageDescriptor, permit: Permit) -> Response {
    let events = messages
        .take_until(state.stopping.clone().cancelled_owned())
        // Nothing follows an error: the browser calls again.
        .take_while(|message| std::future::ready(message.is_ok()))
        .filter_map(move |message| std::future::ready(message.ok().and_then(|message| reflect::to_json(output.clone(), message))))
        .map(move |json| {
            let _held = &permit;
            Ok::<_, Infallible>(Event::default().data(json))
        });
    event_stream(events)
}

async fn ready(grpc: &mut Grpc<PeerChannel>) -> Result<(), Status> {
    grpc.ready().await.map_err(Status::from_error)
}

/// The relying party that the operator acts for.
fn tenant(headers: &HeaderMap) -> Result<Option<RelyingPartyId>, Problem> {
    let Some(value) = headers.get(RELYING_PARTY_HEADER) else { return Ok(None) };
    let party = value.to_str().ok().and_then(|text| text.parse().ok());
    party.map(Some).ok_or_else(|| Problem::field(RELYING_PARTY_HEADER, "must be a UUID"))
}

/// Messages as raw bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put(into, item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(bytes::Buf::copy_to_bytes(from, bytes::Buf::remaining(from))))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
