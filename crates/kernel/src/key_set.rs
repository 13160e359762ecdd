//! Ed25519 keys in configuration (RFC 8037): a private key that knows its name, and sets of public ones.
//!
//! A key set (RFC 7517 section 5) published by others is read leniently, see [`crate::jose::Jwks`]. A key set in configuration is read
//! strictly: anything that is not understood is refused rather than ignored.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    jose::{Algorithm, JoseError, PrivateKey, PublicJwk, b64u, b64u_decode, jws},
    random::Random,
};

/// Maximum number of keys in a document: enough for five services, each with several successors.
pub const MAX_KEYS: usize = 64;

/// Why a document is not a set of public keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not JSON, or without a member `keys` that is a list of at most 64.
    #[error("must be a JSON object with a list `keys` of at most 64")]
    Document,
    /// A key is invalid. Counted from 0.
    #[error("keys[{0}] {1}")]
    Key(usize, &'static str),
}

/// A private key and its name, the thumbprint of its public key (RFC 7638). Zeroized when dropped, never printed.
#[derive(Clone)]
pub(crate) struct NamedKey {
    kid: String,
    key: PrivateKey,
}

impl NamedKey {
    pub(crate) fn generate(random: &Random) -> Self {
        Self::new(PrivateKey::generate(Algorithm::EdDsa, random))
    }

    /// Reads `d` of its JWK (RFC 8037 section 2).
    pub(crate) fn from_d(d: &str) -> Result<Self, JoseError> {
        let bytes = Zeroizing::new(b64u_decode(d).map_err(|_| JoseError::Key)?);
        Ok(Self::new(PrivateKey::from_secret_bytes(Algorithm::EdDsa, &bytes)?))
    }

    fn new(key: PrivateKey) -> Self {
        Self { kid: key.public().thumbprint(), key }
    }

    /// `d`, in 43 characters of base64url.
    pub(crate) fn to_d(&self) -> Zeroizing<String> {
        Zeroizing::new(b64u(&self.key.to_secret_bytes()))
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) fn public(&self) -> PublicJwk {
        self.key.public()
    }

    /// Signs claims as a compact JWS whose header has `typ` and `kid`.
    pub(crate) fn sign(&self, typ: &str, claims: &impl Serialize) -> String {
        jws::sign(typ, Some(&self.kid), None, claims, &self.key)
    }

    /// Signs bytes (RFC 8032).
    pub(crate) fn sign_bytes(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message)
    }

    /// For signing in its name with another key.
    #[cfg(test)]
    pub(crate) fn private(&self) -> &PrivateKey {
        &self.key
    }
}

impl fmt::Debug for NamedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kid)
    }
}

/// Verifies a compact JWS of a `typ` with the key that its header names. `find` looks up that key and what else is known about it.
pub(crate) fn verify<'a, T: DeserializeOwned, O>(
    jws: &str,
    typ: &str,
    find: impl FnOnce(&str) -> Option<(O, &'a PublicJwk)>,
) -> Result<(O, T), JoseError> {
    let compact = jws::Compact::parse(jws)?;
    let (owner, key) = compact.header().kid.as_deref().and_then(find).ok_or(JoseError::Key)?;
    Ok((owner, compact.verify(key, typ)?))
}

/// Reads a document. `read` extracts further information about a key from its JWK.
pub(crate) fn parse<T>(json: &str, read: impl Fn(&Value) -> Result<T, &'static str>) -> Result<Vec<(T, String, PublicJwk)>, KeySetError> {
    let document: Value = serde_json::from_str(json).map_err(|_| KeySetError::Document)?;
    let keys = document.get("keys").and_then(Value::as_array).filter(|keys| keys.len() <= MAX_KEYS);
    let mut all: Vec<(T, String, PublicJwk)> = Vec::new();
    for (i, jwk) in keys.ok_or(KeySetError::Document)?.iter().enumerate() {
        let wrong = |what| KeySetError::Key(i, what);
        let known = read(jwk).map_err(wrong)?;
        let key = PublicJwk::from_value(jwk).map_err(|_| wrong("is not a public JWK"))?;
        if key.algorithm() != Algorithm::EdDsa {
            return Err(wrong("is not an Ed25519 key"));
        }
        let kid = key.thumbprint();
        if jwk.get("kid").is_some_and(|it| it.as_str() != Some(&kid)) {
            return Err(wrong("has a `kid` that is not its thumbprint"));
        }
        if all.iter().any(|(_, known, _)| *known == kid) {
            return Err(wrong("is in the list twice"));
        }
        all.push((known, kid, key));
    }
    Ok(all)
}

/// A key of a document.
pub(crate) fn to_value(kid: &str, key: &PublicJwk) -> Value {
    let mut jwk = key.to_value();
    jwk["kid"] = json!(kid);
    jwk["alg"] = json!(key.algorithm().as_str());
    jwk["use"] = json!("sig");
    jwk
}
