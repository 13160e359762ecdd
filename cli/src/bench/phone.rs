//! A simulated phone: registers, waits, and accepts every challenge.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use eventsource_stream::Eventsource as _;
use futures_util::StreamExt as _;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use nodkey_kernel::{time::Clock, trusona_mac};
use serde::Deserialize;
use tokio::sync::{Semaphore, mpsc};

use super::{
    http::{Connection, Server},
    keys::DeviceKeys,
    samples::Fault,
};
use crate::connection::Pair;

const REGISTER: &str = "/api/v2/devices";
const RESPOND: &str = "/api/v2/trusonafication_responses";
/// The longest poll of a gateway, in seconds.
const POLL_SECONDS: u32 = 60;
/// How long a phone pauses after a failure.
const PAUSE: Duration = Duration::from_millis(200);

/// How a phone waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Wait {
    /// Long polls, one after the other, as `nodkey phone wait` does
    Poll,
    /// One stream of server-sent events
    Stream,
}

impl Wait {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Stream => "stream",
        }
    }
}

/// A phone with its keys.
#[derive(Clone)]
pub struct Phone {
    gateway: Server,
    keys: Arc<DeviceKeys>,
    clock: Clock,
}

/// How a phone answered one challenge.
#[derive(Debug)]
pub struct Answered {
    /// The trusonafication id.
    pub id: String,
    /// When the challenge arrived.
    pub prompted_at: Instant,
    /// When the answer was sent.
    pub sent_at: Instant,
}

/// Where a phone reports, and what delays its answers.
pub struct Reports {
    /// Takes one report for each challenge.
    pub answers: mpsc::Sender<Result<Answered, Fault>>,
    /// With this, an answer waits for a permit, so that a count can separate what came before it.
    pub permits: Option<Arc<Semaphore>>,
}

#[derive(Deserialize)]
struct Pending {
    id: String,
    challenge: String,
}

#[derive(Deserialize)]
struct PendingList {
    trusonafications: Vec<Pending>,
}

impl Phone {
    /// Makes the keys of a new phone.
    pub fn new(gateway: &Server) -> anyhow::Result<Self> {
        Ok(Self { gateway: gateway.clone(), keys: Arc::new(DeviceKeys::generate()?), clock: Clock::system() })
    }

    /// The device identifier.
    pub fn device(&self) -> &str {
        self.keys.identifier()
    }

    /// Registers over a connection that many phones may share.
    pub async fn register(&self, connection: &mut Connection, app: &Pair) -> anyhow::Result<()> {
        let body = self.keys.registration().to_string();
        let mut request = self.request(&Method::POST, REGISTER, body.clone().into())?;
        let date = self.clock.now().to_http_date();
        let signed = trusona_mac::string_to_sign("POST", &trusona_mac::body_md5(body.as_bytes()), "application/json", &date, REGISTER);
        let authorization = trusona_mac::authorization(&app.token, &trusona_mac::mac(&app.secret, &signed));
        request.headers_mut().insert(header::AUTHORIZATION, authorization.try_into()?);
        request.headers_mut().insert("x-date", date.try_into()?);
        let (status, answer) = connection.exchange(request).await?;
        anyhow::ensure!(status.is_success(), "a phone cannot register: {status}: {}", String::from_utf8_lossy(&answer));
        Ok(())
    }

    /// Waits and answers until the receiver of the reports is dropped.
    pub async fn run(self, wait: Wait, reports: Reports) {
        while !reports.answers.is_closed() {
            let outcome = match wait {
                Wait::Poll => self.poll(&reports).await,
                Wait::Stream => self.stream(&reports).await,
            };
            if let Err(error) = outcome {
                let fault = error.downcast().unwrap_or_else(|error: anyhow::Error| Fault::new("phone", error.root_cause()));
                // The buffer may be full.
                let _ = reports.answers.try_send(Err(fault));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Opens an event stream and leaves it open.
    pub async fn open_stream(&self) -> anyhow::Result<hyper::body::Incoming> {
        let mut connection = self.gateway.connect().await?;
        let mut request = self.request(&Method::GET, &self.pending_path(), Bytes::new())?;
        request.headers_mut().insert(header::ACCEPT, header::HeaderValue::from_static("text/event-stream"));
        let answer = connection.send(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(Fault::new("wait", answer.status()).into());
        }
        Ok(answer.into_body())
    }

    async fn poll(&self, reports: &Reports) -> anyhow::Result<()> {
        let mut connection = self.gateway.connect().await?;
        let path = format!("{}?wait={POLL_SECONDS}", self.pending_path());
        loop {
            let (status, body) = connection.exchange(self.request(&Method::GET, &path, Bytes::new())?).await?;
            if status != StatusCode::OK {
                return Err(Fault::new("wait", status).into());
            }
            for pending in serde_json::from_slice::<PendingList>(&body)?.trusonafications {
                self.answer(&mut connection, pending, reports).await?;
            }
        }
    }

    async fn stream(&self, reports: &Reports) -> anyhow::Result<()> {
        let mut connection = self.gateway.connect().await?;
        let mut events = self.open_stream().await?.into_data_stream().eventsource();
        while let Some(event) = events.next().await {
            let event = event?;
            if event.event == "trusonafication" {
                self.answer(&mut connection, serde_json::from_str(&event.data)?, reports).await?;
            }
        }
        Err(Fault::new("wait", "the stream ended").into())
    }

    async fn answer(&self, connection: &mut Connection, pending: Pending, reports: &Reports) -> anyhow::Result<()> {
        let prompted_at = Instant::now();
        if let Some(permits) = &reports.permits {
            permits.acquire().await?.forget();
        }
        let now = self.clock.now().as_seconds();
        let response = self.keys.accept(&pending.id, &pending.challenge, self.gateway.base(), now).context("cannot sign")?;
        let body = format!(r#"{{"response":"{response}"}}"#);
        let request = self.request(&Method::POST, RESPOND, body.into())?;
        let sent_at = Instant::now();
        let (status, _) = connection.exchange(request).await?;
        if status != StatusCode::OK {
            return Err(Fault::new("answer", status).into());
        }
        reports.answers.send(Ok(Answered { id: pending.id, prompted_at, sent_at })).await?;
        Ok(())
    }

    fn pending_path(&self) -> String {
        format!("/api/v2/devices/{}/trusonafications", self.device())
    }

    /// A request with its DPoP proof. `path` may have a query.
    fn request(&self, method: &Method, path: &str, body: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
        let url = format!("{}{}", self.gateway.base(), path.split('?').next().unwrap_or(path));
        let proof = self.keys.proof(method.as_str(), &url, &body, self.clock.now().as_seconds()).context("cannot sign")?;
        let mut request = Request::builder().method(method).uri(path).header("dpop", proof);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        Ok(request.body(Full::new(body))?)
    }
}
