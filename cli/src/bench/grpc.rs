//! The backend's calls: gRPC over one HTTP/2 connection, with nothing between a message and its frames.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::{
    RecvStream,
    client::{Builder, SendRequest},
};
use http::{HeaderMap, HeaderValue, Request, Uri, header};
use nodkey_client::is_terminal;
use nodkey_kernel::{id::EventId, jose::hs256, random::Random, time::Clock};
use nodkey_proto::trusonafication::v1::{
    CreateTrusonaficationRequest, CreateTrusonaficationResponse, Status, Trusonafication, WatchTrusonaficationRequest,
    create_trusonafication_request::Target,
};
use prost::Message;
use serde::Serialize;

use super::{http::Server, samples::Fault};

const CREATE: &str = "/nodkey.trusonafication.v1.TrusonaficationService/CreateTrusonafication";
const WATCH: &str = "/nodkey.trusonafication.v1.TrusonaficationService/WatchTrusonafication";
/// The lifetime of a token, in seconds, and for how long it is used.
const TOKEN_LIFETIME: i64 = 30;
const TOKEN_USED: Duration = Duration::from_secs(10);
/// The HTTP/2 window, in bytes.
const WINDOW: u32 = 8 << 20;
/// The length of the prefix of a message: a compression flag and its length.
const PREFIX: usize = 5;

/// A relying party's server credential.
#[derive(Clone)]
pub struct Credential {
    /// The credential id.
    pub id: String,
    /// The key that signs.
    pub secret: String,
    /// The audience of the deployment.
    pub audience: String,
}

/// The backend.
pub struct Backend {
    /// Replaced once the other side has closed it.
    connection: tokio::sync::Mutex<SendRequest<Bytes>>,
    server: Server,
    credential: Credential,
    token: Mutex<Option<(Instant, HeaderValue)>>,
    clock: Clock,
    random: Random,
}

/// The response of a call, message by message.
struct Answers {
    step: &'static str,
    body: RecvStream,
    received: BytesMut,
}

impl Backend {
    /// Opens the connection.
    pub async fn connect(server: &Server, credential: Credential) -> anyhow::Result<Self> {
        let (clock, random) = (Clock::system(), Random::system());
        let connection = tokio::sync::Mutex::new(open(server).await?);
        Ok(Self { connection, server: server.clone(), credential, token: Mutex::new(None), clock, random })
    }

    /// The connection, once it accepts one more call.
    async fn ready(&self) -> anyhow::Result<SendRequest<Bytes>> {
        let sender = self.connection.lock().await.clone();
        if let Ok(sender) = sender.ready().await {
            return Ok(sender);
        }
        let mut connection = self.connection.lock().await;
        // Another call may already have opened a new one.
        if let Ok(sender) = connection.clone().ready().await {
            return Ok(sender);
        }
        *connection = open(&self.server).await?;
        Ok(connection.clone().ready().await?)
    }

    /// Creates a login for a user. Returns the trusonafication's id.
    pub async fn create(&self, user: &str) -> Result<String, Fault> {
        let request = CreateTrusonaficationRequest {
            request_id: EventId::generate(self.clock.now(), &self.random).to_string(),
            target: Some(Target::UserIdentifier(user.to_owned())),
            action: "log in".to_owned(),
            resource: "nodkey bench".to_owned(),
            ..CreateTrusonaficationRequest::default()
        };
        let created: CreateTrusonaficationResponse = self.call("create", CREATE, &request).await?.only().await?;
        Ok(created.trusonafication.unwrap_or_default().id)
    }

    /// Watches until the result arrives. Returns when that was.
    pub async fn result(&self, id: &str) -> Result<Instant, Fault> {
        let mut states = self.call("watch", WATCH, &WatchTrusonaficationRequest { id: id.to_owned() }).await?;
        while let Some(state) = states.next::<Trusonafication>().await? {
            match state.status() {
                Status::Accepted => {
                    let at = Instant::now();
                    // Reads to the end: a connection is closed after a thousand abandoned calls.
                    while states.next::<Trusonafication>().await?.is_some() {}
                    return Ok(at);
                }
                end if is_terminal(end) => return Err(Fault::new("result", end.as_str_name())),
                _ => {}
            }
        }
        Err(Fault::new("watch", "ended without a result"))
    }

    async fn call(&self, step: &'static str, path: &str, message: &impl Message) -> Result<Answers, Fault> {
        let fault = |error: &dyn std::fmt::Display| Fault::new(step, error);
        let uri: Uri = format!("{}{path}", self.server.base()).parse().map_err(|e: http::uri::InvalidUri| fault(&e))?;
        let request = Request::post(uri)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .header(header::AUTHORIZATION, self.authorization().map_err(|e| fault(&e))?)
            .body(())
            .map_err(|e| fault(&e))?;
        let mut sender = self.ready().await.map_err(|e| fault(&e))?;
        let (answer, mut body) = sender.send_request(request, false).map_err(|e| fault(&e))?;
        // Before the connection is polled, so that head and body leave in one write.
        body.send_data(framed(message), true).map_err(|e| fault(&e))?;
        let answer = answer.await.map_err(|e| fault(&e))?;
        refused(step, answer.headers())?;
        Ok(Answers { step, body: answer.into_body(), received: BytesMut::new() })
    }

    /// A bearer token, replaced before it expires.
    fn authorization(&self) -> Result<HeaderValue, header::InvalidHeaderValue> {
        #[derive(Serialize)]
        struct Claims<'a> {
            aud: &'a str,
            iat: i64,
            exp: i64,
        }
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, value)) = &*token
            && made.elapsed() < TOKEN_USED
        {
            return Ok(value.clone());
        }
        let Credential { id, secret, audience } = &self.credential;
        let now = self.clock.now().as_seconds();
        let claims = Claims { aud: audience, iat: now, exp: now + TOKEN_LIFETIME };
        let value = HeaderValue::try_from(format!("Bearer {}", hs256::sign(Some(id), &claims, secret.as_bytes())))?;
        *token = Some((Instant::now(), value.clone()));
        Ok(value)
    }
}

impl Answers {
    /// The next message; `None` at the end.
    async fn next<M: Message + Default>(&mut self) -> Result<Option<M>, Fault> {
        loop {
            if let Some(length) = self.received.get(1..PREFIX).and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?) as usize))
                && self.received.len() >= PREFIX + length
            {
                let mut message = self.received.split_to(PREFIX + length);
                message.advance(PREFIX);
                return M::decode(message).map(Some).map_err(|e| Fault::new(self.step, e));
            }
            match self.body.data().await {
                Some(Ok(data)) => {
                    // Releases the window immediately, because responses are short.
                    let _ = self.body.flow_control().release_capacity(data.len());
                    self.received.extend_from_slice(&data);
                }
                Some(Err(e)) => return Err(Fault::new(self.step, e)),
                None => {
                    let trailers = self.body.trailers().await.map_err(|e| Fault::new(self.step, e))?;
                    refused(self.step, &trailers.unwrap_or_default())?;
                    return Ok(None);
                }
            }
        }
    }

    /// The single message, and the end of the response: otherwise the call would count as abandoned.
    async fn only<M: Message + Default>(mut self) -> Result<M, Fault> {
        let message = self.next().await?.ok_or_else(|| Fault::new(self.step, "no answer"))?;
        while self.next::<M>().await?.is_some() {}
        Ok(message)
    }
}

async fn open(server: &Server) -> anyhow::Result<SendRequest<Bytes>> {
    let mut builder = Builder::new();
    builder.initial_connection_window_size(WINDOW).initial_window_size(WINDOW).enable_push(false);
    let (sender, connection) = builder.handshake(server.open(&[b"h2"]).await?).await.context("HTTP/2")?;
    // Ends with the connection. Whoever uses the connection sees the error.
    tokio::spawn(connection);
    Ok(sender)
}

fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    // Our requests are short.
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes.freeze()
}

/// Returns the error in headers or trailers, if there is one.
fn refused(step: &'static str, headers: &HeaderMap) -> Result<(), Fault> {
    match tonic::Status::from_header_map(headers) {
        Some(status) if status.code() != tonic::Code::Ok => Err(Fault::new(step, format_args!("{:?}", status.code()))),
        _ => Ok(()),
    }
}
