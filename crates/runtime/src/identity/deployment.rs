//! What the services of a deployment know of it.

use nodkey_kernel::{
    egress::Egress,
    operator_key::OperatorKeys,
    service_key::{ServiceKey, ServiceKeys},
};
use secrecy::SecretString;
use url::Url;

/// Facts about the whole deployment, the same for each of its services but for what it signs with.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The gateway's public URL without a trailing slash: `iss` of challenges, base of `htu`.
    pub public_url: String,
    /// `aud` of bearer tokens.
    pub audience: String,
    /// Signs what this service says to the others; `None` where a deployment of before has an internal key alone.
    pub service_key: Option<ServiceKey>,
    /// Verify what services say.
    pub service_keys: ServiceKeys,
    /// What all services sign with in a deployment of before. Taken for this one version, with a warning.
    pub internal_key: Option<SecretString>,
    /// Verify what holders of the operator key say: its public half, and for a while that of its predecessor or successor.
    pub operator_keys: OperatorKeys,
    /// The same in a deployment of before, whose services could say it themselves. Accepted for this one version, with a warning.
    pub symmetric_operator_keys: Vec<SecretString>,
    /// Whether the listener of this process is TLS itself.
    pub serves_tls: bool,
    /// Whether callers that did not prove who they are learn why.
    pub explain_refusals: bool,
    /// Where services may connect to on behalf of others.
    pub egress: Egress,
}

impl Deployment {
    /// One whose services have no keys yet. In development refusals are explained.
    #[must_use]
    pub fn new(public_url: impl Into<String>, egress: Egress) -> Self {
        Self {
            public_url: public_url.into(),
            audience: "nodkey".into(),
            service_key: None,
            service_keys: ServiceKeys::default(),
            internal_key: None,
            operator_keys: OperatorKeys::default(),
            symmetric_operator_keys: Vec::new(),
            serves_tls: false,
            explain_refusals: egress.development,
            egress,
        }
    }

    /// The same, as the holder of a key sees it.
    #[must_use]
    pub fn seen_by(&self, key: &ServiceKey) -> Self {
        Self { service_key: Some(key.clone()), ..self.clone() }
    }
}

/// A public URL that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublicUrl {
    /// Not a URL of a gateway at all.
    #[error("deployment.public_url must be a URL such as https://id.example.com")]
    Url,
    /// Only its beginning is one.
    #[error("deployment.public_url must have no path, query, fragment or user: existing clients sign paths from the root. Write {0}")]
    More(String),
}

/// The one spelling of a public URL that everybody compares by: scheme and host in small letters, without a port that goes without saying and
/// without a slash at the end (RFC 3986 section 6.2).
pub fn public_url(text: &str) -> Result<String, InvalidPublicUrl> {
    let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or(InvalidPublicUrl::Url)?;
    let origin = url.origin().ascii_serialization();
    let more = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
    let user = !url.username().is_empty() || url.password().is_some();
    if more || user { Err(InvalidPublicUrl::More(origin)) } else { Ok(origin) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_normalized_or_refused_with_the_right_spelling() {
        for text in ["https://id.example.com", "https://id.example.com/", "HTTPS://ID.Example.COM:443", " https://id.example.com:443/ "] {
            assert_eq!(public_url(text).as_deref(), Ok("https://id.example.com"), "{text}");
        }
        assert_eq!(public_url("http://127.0.0.1:8080/").as_deref(), Ok("http://127.0.0.1:8080"));
        assert_eq!(public_url("https://[2001:DB8::1]:8443").as_deref(), Ok("https://[2001:db8::1]:8443"));
        assert_eq!(public_url("https://b\u{fc}cher.example").as_deref(), Ok("https://xn--bcher-kva.example"));
        for text in ["https://id.example.com/auth", "https://id.example.com/?x", "https://id.example.com/#x", "https://me@id.example.com"] {
            let refused = public_url(text).unwrap_err();
            assert!(refused.to_string().ends_with("Write https://id.example.com"), "{refused}");
        }
        for text in ["", "id.example.com", "id.example.com:443", "ftp://id.example.com", "https://", "/"] {
            assert_eq!(public_url(text), Err(InvalidPublicUrl::Url), "{text}");
        }
    }
}
