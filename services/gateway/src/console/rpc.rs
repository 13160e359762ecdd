//! Any RPC, for a browser: proto3 JSON in and out, gRPC in between, signed with the operator's session. Which there are, and who may
//! call them, the services say; this knows none of them by name.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt as _, stream};
use http::uri::PathAndQuery;
use nodkey_kernel::id::RelyingPartyId;
use nodkey_proto::reflect::{self, MessageDescriptor};
use nodkey_runtime::{Peer, PeerChannel, token::RELYING_PARTY_HEADER};
use tonic::{
    Status,
    client::Grpc,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::{cookie::Session, refused};
use crate::{
    body::{MAX_MESSAGE, read_body},
    edge::Edge,
    extract::Place,
    problem::Problem,
};

/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// How often a silent stream says that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Calls a method. One that streams answers as server-sent events, a message each, until the stream or this gateway ends.
pub async fn call(
    State(edge): State<Edge>,
    Session(session): Session,
    place: Place,
    Path((service, method)): Path<(String, String)>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    edge.credential_rates.check(&session.id.to_string())?;
    let path = format!("/{service}/{method}");
    let method = reflect::method(&path).filter(|method| !method.is_client_streaming()).ok_or_else(Problem::not_found)?;
    let peer = peer(&edge, &service).ok_or_else(Problem::not_found)?;
    let channel = peer.on_behalf_of(session, tenant(&headers)?);
    let body = read_body(request.into_body()).await?;
    let message = reflect::from_json(method.input(), if body.is_empty() { b"{}" } else { &body }).map_err(|fault| {
        Problem::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", format!("the body is not this method's message: {fault}"))
    })?;
    let path = PathAndQuery::try_from(path).map_err(|_| Problem::not_found())?;
    let mut grpc = Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE);
    if method.is_server_streaming() {
        return stream(&edge, grpc, path, message, method.output(), place).await;
    }
    ready(&mut grpc).await?;
    let mut request = tonic::Request::new(message);
    request.set_timeout(DEADLINE);
    let answer = grpc.unary(request, path, Raw).await.map_err(refused)?.into_inner();
    let json = reflect::to_json(method.output(), answer).ok_or_else(Problem::internal)?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))], Body::from(json)).into_response())
}

async fn stream(
    edge: &Edge,
    mut grpc: Grpc<PeerChannel>,
    path: PathAndQuery,
    message: Bytes,
    output: MessageDescriptor,
    place: Place,
) -> Result<Response, Problem> {
    ready(&mut grpc).await?;
    let messages = grpc.server_streaming(tonic::Request::new(message), path, Raw).await.map_err(refused)?.into_inner();
    let events = messages
        .take_until(edge.stopping.clone().cancelled_owned())
        // After an error there is nothing: the browser calls again.
        .take_while(|message| std::future::ready(message.is_ok()))
        .filter_map(move |message| std::future::ready(message.ok().and_then(|message| reflect::to_json(output.clone(), message))))
        .map(move |json| {
            let _held = &place;
            Ok::<_, Infallible>(Event::default().data(json))
        });
    // Something at once, so that the browser knows that it is heard.
    let opened = stream::once(async { Ok(Event::default().comment("open")) });
    Ok(Sse::new(opened.chain(events)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

async fn ready(grpc: &mut Grpc<PeerChannel>) -> Result<(), Problem> {
    grpc.ready().await.map_err(|e| refused(Status::unavailable(e.to_string())))
}

/// Who serves a service: the second word of its package.
fn peer<'a>(edge: &'a Edge, service: &str) -> Option<&'a Peer> {
    match service.strip_prefix("nodkey.")?.split('.').next()? {
        "registry" => Some(edge.peers.registry()),
        "binding" => Some(edge.peers.binding()),
        "trusonafication" => Some(edge.peers.trusonafication()),
        "notification" => Some(edge.peers.notification()),
        _ => None,
    }
}

/// Whom the operator acts for.
fn tenant(headers: &HeaderMap) -> Result<Option<RelyingPartyId>, Problem> {
    let Some(value) = headers.get(RELYING_PARTY_HEADER) else { return Ok(None) };
    let party = value.to_str().ok().and_then(|text| text.parse().ok());
    party.map(Some).ok_or_else(|| Problem::field(RELYING_PARTY_HEADER, "must be a UUID"))
}

/// Messages as the bytes they are.
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
