//! What the services know about their deployment.

use nodkey_kernel::{
    egress::Egress,
    operator_key::OperatorKeys,
    service_key::{ServiceKey, ServiceKeys},
};
use secrecy::SecretString;
use url::Url;

/// Facts about the whole deployment. They are the same for each of its services, except for the key that it signs with.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The gateway's public URL without a trailing slash: `iss` of challenges, base of `htu`.
    pub public_url: String,
    /// `aud` of bearer tokens.
    pub audience: String,
    /// Signs this service's tokens to the others; `None` in an older deployment that has only an internal key.
    pub service_key: Option<ServiceKey>,
    /// Verify the services' tokens.
    pub service_keys: ServiceKeys,
    /// The key that all services of an older deployment sign with. Accepted for this one version, with a warning.
    pub internal_key: Option<SecretString>,
    /// Verify tokens of operator key holders: the public key, and for a while that of its predecessor or successor.
    pub operator_keys: OperatorKeys,
    /// The symmetric operator keys of an older deployment, with which its services could sign such tokens themselves. Accepted for this one
    /// version, with a warning.
    pub symmetric_operator_keys: Vec<SecretString>,
    /// Whether this process terminates TLS itself.
    pub serves_tls: bool,
    /// Whether unauthenticated callers are told the reason.
    pub explain_refusals: bool,
    /// The addresses that services may connect to on behalf of others.
    pub egress: Egress,
}

impl Deployment {
    /// Creates a deployment whose services have no keys yet. In development, refusals are explained.
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

    /// The same deployment as seen by the holder of a key.
    #[must_use]
    pub fn seen_by(&self, key: &ServiceKey) -> Self {
        Self { service_key: Some(key.clone()), ..self.clone() }
    }
}

/// Why a public URL is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublicUrl {
    /// Not the URL of a gateway.
    #[error("deployment.public_url must be a URL such as https://id.example.com")]
    Url,
    /// Only the beginning is a valid public URL.
    #[error("deployment.public_url must have no path, query, fragment or user: existing clients sign paths from the root. Write {0}")]
    More(String),
}

/// Normalizes a public URL, so that all comparisons use the same form: scheme and host in lower case, no default port, and no trailing
/// slash (RFC 3986 section 6.2).
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
