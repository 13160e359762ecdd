//! The client of the console's API at the gateway, as its pages use it: the session is a cookie.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::Context as _;
use reqwest::{Client, Method, RequestBuilder, Response, header::SET_COOKIE, redirect::Policy};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    failure::Refused,
    output::plain,
    session::{Session, SignedIn},
};

/// The maximum duration of a call, including its wait.
const TIMEOUT: Duration = Duration::from_secs(40);
/// How long the server waits in one call, in seconds.
const WAIT: u32 = 25;
/// The name of the session cookie. Over TLS it has a prefix.
const SESSION: &str = "nodkey_session";

/// A console, with the cookies that it has set.
#[derive(Clone, Debug)]
pub struct Console {
    url: String,
    http: Client,
    cookies: BTreeMap<String, String>,
}

/// A code for scanning.
#[derive(Debug, Deserialize)]
pub struct Code {
    pub payload: String,
    pub expires_at: String,
}

/// The state of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Standing {
    Waiting,
    Scanned,
    Accepted,
    Rejected,
    Expired,
    Refused,
}

/// The signed-in operator.
#[derive(Debug, Deserialize)]
pub struct Established {
    pub operator: SignedIn,
    pub expires_at: String,
    pub audience: String,
}

impl Console {
    /// The console at this URL.
    pub fn new(url: &str, ca_certificate: Option<&Path>) -> anyhow::Result<Self> {
        let version = env!("CARGO_PKG_VERSION");
        let mut http = Client::builder().timeout(TIMEOUT).redirect(Policy::none()).user_agent(format!("nodkey/{version}"));
        if let Some(path) = ca_certificate {
            let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let authority = reqwest::Certificate::from_pem_bundle(&pem).with_context(|| format!("{} is not PEM", path.display()))?;
            http = http.tls_certs_only(authority);
        }
        Ok(Self { url: url.to_owned(), http: http.build()?, cookies: BTreeMap::new() })
    }

    /// The console of a session, with its cookie.
    pub fn of(session: &Session) -> anyhow::Result<Self> {
        let mut console = Self::new(&session.gateway, session.ca_certificate.as_deref())?;
        let prefix = if session.gateway.starts_with("https:") { "__Host-" } else { "" };
        console.cookies.insert(format!("{prefix}{SESSION}"), format!("{}.{}", session.id, session.secret));
        Ok(console)
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The id and the secret of the session that it has set.
    pub fn held(&self) -> Option<(String, String)> {
        let (_, value) = self.cookies.iter().find(|(name, _)| name.ends_with(SESSION))?;
        let (id, secret) = value.split_once('.')?;
        Some((id.to_owned(), secret.to_owned()))
    }

    /// Creates a code.
    pub async fn begin_sign_in(&mut self) -> anyhow::Result<Code> {
        let request = self.request(Method::POST, "/console/api/sign_in").json(&Value::Object(serde_json::Map::new()));
        self.call(request).await
    }

    /// The state of the sign-in, once it differs from `before`, or after a wait.
    pub async fn standing(&mut self, before: Standing) -> anyhow::Result<Standing> {
        #[derive(Deserialize)]
        struct Answer {
            status: Standing,
        }
        let after = format!("{before:?}").to_uppercase();
        let request = self.request(Method::GET, &format!("/console/api/sign_in?wait={WAIT}&after={after}"));
        Ok(self.call::<Answer>(request).await?.status)
    }

    /// Returns the signed-in operator.
    pub async fn session(&mut self) -> anyhow::Result<Option<Established>> {
        let request = self.request(Method::GET, "/console/api/session");
        let answer: Value = self.call(request).await?;
        if answer["operator"].is_null() { Ok(None) } else { Ok(Some(serde_json::from_value(answer)?)) }
    }

    /// Signs out.
    pub async fn sign_out(&mut self) -> anyhow::Result<()> {
        let request = self.request(Method::DELETE, "/console/api/session");
        self.send(request).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.http.request(method, format!("{}{path}", self.url));
        if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) }
    }

    async fn call<T: serde::de::DeserializeOwned>(&mut self, request: RequestBuilder) -> anyhow::Result<T> {
        let text = self.send(request).await?.text().await?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} does not respond as a gateway does: is it the gateway's public URL?", self.url))
    }

    /// Sends a request, keeps the cookies of the response, and parses an error.
    async fn send(&mut self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.send().await.with_context(|| format!("cannot reach {}", self.url))?;
        self.keep(&response);
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let problem: Value = serde_json::from_str(&response.text().await.unwrap_or_default()).unwrap_or_default();
        let text = problem["message"].as_str().map_or_else(|| format!("HTTP {status}"), plain);
        Err(Refused(format!("{}: {text}", self.url)).into())
    }

    fn keep(&mut self, response: &Response) {
        for cookie in response.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str().ok().and_then(|cookie| cookie.split(';').next()?.split_once('='));
            match pair {
                Some((name, "")) => drop(self.cookies.remove(name)),
                Some((name, value)) => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
                None => {}
            }
        }
    }
}
