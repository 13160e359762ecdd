//! Calls to the gateway, each with its proof (RFC 9449).

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use nodkey_kernel::{
    backoff::{doubled, jittered},
    dpop,
    time::Timestamp,
};
use reqwest::{
    Method, Response, StatusCode,
    header::{self, HeaderMap},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::Url;

use crate::{Environment, Error, error::Failure, signer::Signer};

/// Maximum number of attempts for a call that fails temporarily, and the approximate first pause, which doubles.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(400);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Maximum delay requested by the gateway that is waited for here. Beyond it, the app has to wait, and tell the person.
const PATIENCE: Duration = Duration::from_secs(10);
/// Timeout for a public document.
const DOCUMENT_WITHIN: Duration = Duration::from_secs(10);
/// Maximum clock difference before our clock is set by the gateway's: half of what the gateway accepts. In microseconds.
const MAX_SKEW: u64 = 30_000_000;

/// Sends proven requests to one gateway.
pub(crate) struct Transport {
    http: reqwest::Client,
    base: String,
    environment: Arc<dyn Environment>,
    /// Correction of our clock, in microseconds.
    offset: AtomicI64,
}

/// Builds the `Authorization` header of the mobile credential from the body and date of the request.
pub(crate) type Authorize<'a> = &'a (dyn Fn(&Signable<'_>) -> String + Sync);

/// What the mobile credential signs.
pub(crate) struct Signable<'a> {
    pub method: &'a str,
    pub body: &'a [u8],
    pub content_type: &'a str,
    pub date: &'a str,
    pub path: &'a str,
}

/// A call.
pub(crate) struct Call<'a> {
    method: Method,
    path: &'a str,
    body: Option<&'a Value>,
    accept: Option<&'static str>,
    authorize: Option<Authorize<'a>>,
    once: bool,
}

impl<'a> Call<'a> {
    /// `path` may have a query, which the proof omits.
    pub(crate) const fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, body: None, accept: None, authorize: None, once: false }
    }

    pub(crate) const fn get(path: &'a str) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) const fn post(path: &'a str) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn body(self, body: &'a Value) -> Self {
        Self { body: Some(body), ..self }
    }

    pub(crate) fn accept(self, accept: &'static str) -> Self {
        Self { accept: Some(accept), ..self }
    }

    pub(crate) fn authorize(self, authorize: Authorize<'a>) -> Self {
        Self { authorize: Some(authorize), ..self }
    }

    /// Leaves retries of temporary failures to the caller.
    pub(crate) fn once(self) -> Self {
        Self { once: true, ..self }
    }
}

/// A call failed. `date` is the gateway's time.
struct Failed {
    error: Error,
    date: Option<Timestamp>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, date: None }
    }
}

impl Transport {
    pub(crate) fn new(base: &Url, http: reqwest::Client, environment: Arc<dyn Environment>) -> Self {
        let base = base.as_str().trim_end_matches('/').to_owned();
        Self { http, base, environment, offset: AtomicI64::default() }
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn environment(&self) -> &Arc<dyn Environment> {
        &self.environment
    }

    /// The current time, corrected by the gateway's clock if ours was found to be wrong.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.environment.timestamp().as_micros().saturating_add(self.offset.load(Ordering::Relaxed)))
    }

    /// Sends the call and returns a 2xx response; any other is [`Error::Refused`]. Temporary failures are retried after a pause, each time
    /// with a new proof: every call of the protocol may be repeated.
    pub(crate) async fn send(&self, signer: &Signer, call: &Call<'_>) -> Result<Response, Error> {
        let mut attempt = 1;
        loop {
            let failed = match self.send_once(signer, call).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            if attempt == ATTEMPTS {
                return Err(failed.error);
            }
            if !self.set_clock(&failed) {
                match failed.error.retry_after() {
                    Some(least) if !call.once && least <= PATIENCE => {
                        let growing = jittered(&self.environment.jitter(), doubled(FIRST_PAUSE, attempt, LONGEST_PAUSE));
                        self.environment.sleep(least.max(growing)).await;
                    }
                    _ => return Err(failed.error),
                }
            }
            attempt += 1;
        }
    }

    async fn send_once(&self, signer: &Signer, call: &Call<'_>) -> Result<Response, Failed> {
        let Call { method, path, .. } = call;
        let body = call.body.map(|b| b.to_string().into_bytes()).unwrap_or_default();
        let url = format!("{}{path}", self.base);
        let htu = url.split('?').next().unwrap_or(&url);
        let now = self.now();
        let proof = dpop::unsigned(signer.device(), method.as_str(), htu, &body, now, self.environment.token());
        let proof = signer.finish(proof).await?;
        let mut request = self.http.request(method.clone(), &url).header("DPoP", proof);
        if let Some(accept) = call.accept {
            request = request.header(header::ACCEPT, accept);
        }
        let content_type = if body.is_empty() { "" } else { "application/json" };
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        if let Some(authorize) = call.authorize {
            let date = now.to_http_date();
            let authorization = authorize(&Signable { method: method.as_str(), body: &body, content_type, date: &date, path });
            request = request.header("X-Date", date).header(header::AUTHORIZATION, authorization);
        }
        let answer = request.body(body).send().await.map_err(Error::unreachable)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let date = text(answer.headers(), &header::DATE).and_then(|date| Timestamp::parse_http_date(date).ok());
        Err(Failed { error: refused(answer).await, date })
    }

    /// Sets the clock from the response to a refused proof, if the clock is why it was refused. Returns whether it was.
    fn set_clock(&self, failed: &Failed) -> bool {
        let Some(date) = failed.date else { return false };
        if failed.error.reason() != "INVALID_PROOF" || date.as_micros().abs_diff(self.now().as_micros()) <= MAX_SKEW {
            return false;
        }
        self.offset.store(date.as_micros().saturating_sub(self.environment.timestamp().as_micros()), Ordering::Relaxed);
        true
    }

    /// Fetches a public document from the gateway itself, bypassing caches on the way.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let request = self.http.get(format!("{}{path}", self.base)).header(header::CACHE_CONTROL, "no-cache").timeout(DOCUMENT_WITHIN);
        let answer = request.send().await.map_err(Error::unreachable)?;
        if answer.status() != StatusCode::OK {
            return Err(refused(answer).await);
        }
        json(answer).await
    }
}

/// Reads a JSON body.
pub(crate) async fn json<T: DeserializeOwned>(answer: Response) -> Result<T, Error> {
    let bytes = answer.bytes().await.map_err(Error::unreachable)?;
    serde_json::from_slice(&bytes).map_err(|e| Error::protocol(e.to_string()))
}

async fn refused(answer: Response) -> Error {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        error: Option<String>,
        cause: Option<String>,
        description: Option<String>,
    }
    let status = answer.status().as_u16();
    let seconds = text(answer.headers(), &header::RETRY_AFTER).and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    let Body { error, cause, description } = answer.json().await.unwrap_or_default();
    let (reason, cause, message) = (error.unwrap_or_default(), cause.unwrap_or_default(), description.unwrap_or_default());
    Failure::Refused { status, reason, cause, message, retry_after: Duration::from_secs(seconds) }.into()
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
