//! Public keys.

use std::sync::Arc;

use nodkey_kernel::jose;

use crate::{Error, ErrorKind};

/// A public key: a JWK (RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Jwk(String);

impl Jwk {
    pub(crate) const fn answered(json: String) -> Self {
        Self(json)
    }

    /// The JWK, a JSON object.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

/// The public keys of a deployment: a JWKS (RFC 7517 section 5). They are all that it takes to verify what the deployment signed. Never take
/// them from what is to be verified.
#[derive(Clone, Debug)]
pub struct Jwks {
    json: Arc<str>,
    keys: Arc<jose::Jwks>,
}

impl Jwks {
    /// Reads the document that [`as_json`](Self::as_json) returned, or that the deployment serves at `/jwks.json`. Keys of kinds that this
    /// release does not know, and those that are marked as revoked, verify nothing. `INVALID_PARAMETER`: it is not a JWKS document.
    pub fn parse(json: &str) -> Result<Self, Error> {
        Self::read(json).ok_or_else(|| Error::parameter("the keys are not a JWKS document"))
    }

    /// The document as the server sent it: keep it with evidence.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.json
    }

    /// Of a server's answer.
    pub(crate) fn answered(json: &str) -> Result<Self, Error> {
        Self::read(json)
            .ok_or_else(|| Error::client("UNEXPECTED_ANSWER", ErrorKind::Internal, "the server sent a JWKS that cannot be read"))
    }

    pub(crate) fn keys(&self) -> &jose::Jwks {
        &self.keys
    }

    fn read(json: &str) -> Option<Self> {
        Some(Self { keys: Arc::new(serde_json::from_str(json).ok()?), json: json.into() })
    }
}
