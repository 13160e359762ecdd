//! A developer's handler of webhooks: where `nodkey trigger` and `nodkey listen` post to.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect::Policy,
};
use url::Url;

/// How long a handler may take, as long as a deployment gives it by default.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How much of its response is shown, in bytes.
const SHOWN: usize = 1 << 10;

/// A handler at a URL.
#[derive(Clone, Debug)]
pub struct Handler {
    url: Url,
    http: Client,
}

/// What a handler answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// How long it took.
    pub took: Duration,
    /// The beginning of the body.
    pub text: String,
}

impl Handler {
    /// The handler at this URL, which the option of this name gave. It is https by the authority in a PEM file, or those of the system.
    pub fn new(url: &str, option: &str, ca_certificate: Option<&Path>) -> anyhow::Result<Self> {
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = parsed.with_context(|| format!("{option} must be a URL such as http://127.0.0.1:9000/webhooks, not {url:?}"))?;
        // As a deployment posts: redirects are not followed, and no proxy is between.
        let mut http = Client::builder().timeout(TIMEOUT).redirect(Policy::none()).no_proxy();
        http = http.user_agent(concat!("Nodkey/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = ca_certificate {
            let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let authority = reqwest::Certificate::from_pem_bundle(&pem).with_context(|| format!("{} is not PEM", path.display()))?;
            http = http.tls_certs_only(authority);
        }
        Ok(Self { url, http: http.build()? })
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Posts a webhook.
    pub async fn post(&self, mut headers: HeaderMap, body: String) -> anyhow::Result<Answer> {
        let begun = Instant::now();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        let request = self.http.post(self.url.clone()).headers(headers).body(body);
        let response = request.send().await.with_context(|| format!("cannot reach the handler at {}", self.url))?;
        let (status, took) = (response.status(), begun.elapsed());
        Ok(Answer { status, took, text: beginning(response).await })
    }
}

/// The beginning of a body. One that breaks off or does not end is no matter: the status counts.
async fn beginning(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < SHOWN
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(SHOWN);
    String::from_utf8_lossy(&bytes).into_owned()
}
