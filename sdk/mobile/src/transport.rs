//! Calls to the gateway, each with its proof (RFC 9449).

use std::time::Duration;

use nodkey_kernel::{
    dpop,
    random::Random,
    time::{Clock, Timestamp},
};
use reqwest::{Method, Response, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use crate::{Error, KeyStore};

/// How often what may be repeated is sent where the gateway is too busy for it, and the first pause, which doubles and is not the same for all.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(200);

/// Sends proven requests to one gateway.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    http: reqwest::Client,
    base: String,
    clock: Clock,
    random: Random,
}

/// The `Authorization` of the mobile credential, made over the body and the date of the request.
pub(crate) type Authorize<'a> = &'a (dyn Fn(&Signable<'_>) -> String + Sync);

/// What the mobile credential signs.
pub(crate) struct Signable<'a> {
    pub method: &'a str,
    pub body: &'a [u8],
    pub content_type: &'a str,
    pub date: &'a str,
    pub path: &'a str,
}

impl Transport {
    pub(crate) fn new(base: &Url, http: reqwest::Client) -> Self {
        let base = base.as_str().trim_end_matches('/').to_owned();
        Self { http, base, clock: Clock::system(), random: Random::system() }
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn random(&self) -> &Random {
        &self.random
    }

    /// Sends and returns a 2xx answer; any other is [`Error::Refused`]. `path` may carry a query, which the proof leaves out.
    pub(crate) async fn send(
        &self,
        keys: &impl KeyStore,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
        headers: &[(&str, &str)],
        authorize: Option<Authorize<'_>>,
    ) -> Result<Response, Error> {
        let body = body.map(|b| b.to_string().into_bytes()).unwrap_or_default();
        let url = format!("{}{path}", self.base);
        let htu = url.split('?').next().unwrap_or(&url);
        let proof =
            dpop::create_with(&keys.device_key(), method.as_str(), htu, &body, self.clock.now(), &self.random, |input| keys.sign(input))
                .map_err(Error::KeyStore)?;
        let mut request = self.http.request(method.clone(), &url).header("DPoP", proof);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.header("Content-Type", "application/json");
        }
        if let Some(authorize) = authorize {
            let date = self.clock.now().to_http_date();
            let content_type = if body.is_empty() { "" } else { "application/json" };
            let authorization = authorize(&Signable { method: method.as_str(), body: &body, content_type, date: &date, path });
            request = request.header("X-Date", date).header("Authorization", authorization);
        }
        let answer = request.body(body).send().await.map_err(Error::Unreachable)?;
        if answer.status().is_success() { Ok(answer) } else { Err(refused(answer).await) }
    }

    /// Posts what has the same result when it is sent again, and does so while the gateway is too busy for it.
    pub(crate) async fn post_again(&self, keys: &impl KeyStore, path: &str, body: &serde_json::Value) -> Result<Response, Error> {
        let mut attempt = 1;
        loop {
            match self.send(keys, Method::POST, path, Some(body), &[], None).await {
                Err(Error::Refused { status: 503, .. }) if attempt < ATTEMPTS => attempt += 1,
                answer => return answer,
            }
            let pause = PAUSE * 2_u32.pow(attempt - 2);
            tokio::time::sleep(pause + PAUSE.mul_f64(f64::from(self.random.below(100)) / 100.0)).await;
        }
    }

    /// Fetches a public document.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await.map_err(Error::Unreachable)?;
        if answer.status() != StatusCode::OK {
            return Err(refused(answer).await);
        }
        json(answer).await
    }
}

/// Reads a JSON body.
pub(crate) async fn json<T: DeserializeOwned>(answer: Response) -> Result<T, Error> {
    let bytes = answer.bytes().await.map_err(Error::Unreachable)?;
    serde_json::from_slice(&bytes).map_err(|e| Error::Protocol(e.to_string()))
}

async fn refused(answer: Response) -> Error {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        error: String,
        description: String,
    }
    let status = answer.status().as_u16();
    let body: Body = answer.json().await.unwrap_or_default();
    Error::Refused { status, code: body.error, description: body.description }
}
