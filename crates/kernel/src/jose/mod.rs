//! JOSE, limited to what the protocol uses: JWK (RFC 7517), thumbprints (RFC 7638), compact JWS (RFC 7515) with ES256, EdDSA (also under
//! its RFC 9864 name, Ed25519) and, between parties that share a secret, HS256. Nothing else is accepted, ever.
//!
//! Implemented here because no library offers everything that the protocol needs together: strict Ed25519, keys carried in headers, and the
//! exact bytes of challenges kept as evidence.

mod claims;
pub mod hs256;
mod jwk;
mod jwks;
pub mod jws;
mod private;

use aws_lc_rs::{digest, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

pub use claims::{Audience, numeric_date};
pub use jwk::{Algorithm, PublicJwk, p256_signature_from_der};
pub use jwks::{Jwks, PublishedKey};
pub use private::PrivateKey;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Why JOSE input is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoseError {
    /// Not base64url without padding.
    #[error("not base64url")]
    Base64,
    /// Not a public P-256 or Ed25519 JWK, or no such key in the JWKS for this type.
    #[error("not a public P-256 or Ed25519 JWK, or not in the JWKS for this type")]
    Key,
    /// Not a compact JWS of three parts.
    #[error("not a compact JWS")]
    Malformed,
    /// An algorithm other than the key's.
    #[error("the algorithm is not the key's")]
    Algorithm,
    /// A `typ` other than expected.
    #[error("the type is not the expected one")]
    Type,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// The claims are not as expected.
    #[error("the claims are not the expected ones")]
    Claims,
}

/// Reads an optional member and distinguishes `null` from absent: a header with any `crit` is refused.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// base64url without padding.
#[must_use]
pub fn b64u(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes base64url without padding.
pub fn b64u_decode(text: &str) -> Result<Vec<u8>, JoseError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JoseError::Base64)
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// HMAC-SHA-256 (RFC 2104).
#[must_use]
pub fn hmac_sha256(key: &[u8], bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes).as_ref());
    out
}
