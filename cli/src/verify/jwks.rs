//! Where the verifier gets the deployment's keys from.

use std::{
    convert::Infallible,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use anyhow::Context as _;
use nodkey_client::Jwks;
use reqwest::header::CACHE_CONTROL;
use url::{Host, Url};

use crate::connection::read_jwks;

/// The maximum length of a response, in bytes: some thousand keys.
const MAX_LENGTH: usize = 1 << 20;
/// The time limit for the whole request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A file or a URL.
#[derive(Clone, Debug)]
pub enum Source {
    /// A copy.
    File(PathBuf),
    /// The deployment's own URL.
    Url(Url),
}

impl FromStr for Source {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        Ok(url.map_or_else(|| Self::File(text.into()), Self::Url))
    }
}

impl Source {
    /// Reads the keys.
    pub async fn read(&self, ca_certificate: Option<&Path>) -> anyhow::Result<Jwks> {
        match self {
            Self::File(path) => read_jwks(path),
            Self::Url(url) => fetch(url, ca_certificate).await,
        }
    }
}

async fn fetch(url: &Url, ca_certificate: Option<&Path>) -> anyhow::Result<Jwks> {
    anyhow::ensure!(
        url.scheme() == "https" || is_here(url),
        "keys that are fetched over http can be replaced in transit: use https, or a trusted copy"
    );
    let mut client = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
    if let Some(path) = ca_certificate {
        let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let authority = reqwest::Certificate::from_pem_bundle(&pem).with_context(|| format!("{} is not PEM", path.display()))?;
        client = client.tls_certs_only(authority);
    }
    let cannot = || format!("cannot read {url}");
    // A cache on the way may not have a key yet that signed a moment ago.
    let request = client.build()?.get(url.clone()).header(CACHE_CONTROL, "no-cache");
    let mut answer = request.send().await.with_context(cannot)?;
    anyhow::ensure!(answer.status().is_success(), "{url} returned {}", answer.status());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.with_context(cannot)? {
        anyhow::ensure!(body.len() + chunk.len() <= MAX_LENGTH, "{url} returned more than {MAX_LENGTH} bytes");
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).with_context(|| format!("{url} did not return a JWKS"))
}

/// Whether the URL is on this machine.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_a_file() {
        for url in ["https://auth.example/jwks", "http://127.0.0.1:7070/jwks"] {
            assert!(matches!(url.parse(), Ok(Source::Url(_))), "{url}");
        }
        for path in ["jwks.json", "./jwks", "/etc/jwks.json", "c:/jwks.json", "file:///jwks.json"] {
            assert!(matches!(path.parse(), Ok(Source::File(_))), "{path}");
        }
    }

    #[test]
    fn keys_come_over_http_from_this_machine_alone() {
        let here = |url: &str| is_here(&Url::parse(url).unwrap());
        assert!(["http://127.0.0.1:7070/jwks", "http://[::1]/jwks", "http://localhost:1/jwks"].into_iter().all(here));
        assert!(!["http://auth.example/jwks", "http://10.0.0.1/jwks", "http://localhost.example/jwks"].into_iter().any(here));
    }
}
