//! The proof on every call of a phone: DPoP (RFC 9449) with a hash of the body.

use serde::{Deserialize, Serialize};

use crate::{
    id::DeviceId,
    jose::{JoseError, PrivateKey, PublicJwk, b64u, jws, sha256},
    random::Random,
    time::Timestamp,
};

/// The `typ` of the header.
pub const TYP: &str = "dpop+jwt";
/// How far `iat` may be off, in seconds.
pub const MAX_SKEW: i64 = 60;

/// What is signed, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Random, 16 bytes or more.
    pub jti: String,
    /// Method.
    pub htm: String,
    /// URL without query and fragment.
    pub htu: String,
    /// Seconds.
    pub iat: i64,
    /// base64url of the SHA-256 of the body; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bh: Option<String>,
}

/// A verified proof. Whether its `jti` was seen before is the caller's to check.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The thumbprint of the key.
    pub device_id: DeviceId,
    /// The key.
    pub jwk: PublicJwk,
    /// Unique to the call.
    pub jti: String,
    /// When it was made.
    pub issued_at: Timestamp,
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not a JWS by the key it carries.
    #[error("the DPoP proof is not a JWS by the key in its header")]
    Jose(#[source] JoseError),
    /// Made for another call.
    #[error("the DPoP proof is for another {0}")]
    Mismatch(&'static str),
    /// Too old, or from the future.
    #[error("the DPoP proof's iat is more than 60 seconds off; set the clock by the Date header")]
    Skew,
    /// `jti` too short or too long.
    #[error("the DPoP proof's jti must be 22 to 128 characters")]
    Jti,
}

/// Verifies a proof against the call it came with.
pub fn verify(proof: &str, htm: &str, htu: &str, body: &[u8], now: Timestamp) -> Result<Proof, ProofError> {
    let compact = jws::Compact::parse(proof).map_err(ProofError::Jose)?;
    let jwk = compact.header().jwk.ok_or(ProofError::Jose(JoseError::Key))?;
    let claims: Claims = compact.verify(&jwk, TYP).map_err(ProofError::Jose)?;
    if !(22..=128).contains(&claims.jti.len()) {
        return Err(ProofError::Jti);
    }
    if claims.htm != htm {
        return Err(ProofError::Mismatch("method"));
    }
    if claims.htu != htu {
        return Err(ProofError::Mismatch("URL"));
    }
    if claims.bh != body_hash(body) {
        return Err(ProofError::Mismatch("body"));
    }
    if claims.iat.saturating_sub(now.as_seconds()).unsigned_abs() > MAX_SKEW.unsigned_abs() {
        return Err(ProofError::Skew);
    }
    let device_id = DeviceId::parse(&jwk.thumbprint()).map_err(|_| ProofError::Jose(JoseError::Key))?;
    Ok(Proof { device_id, jwk, jti: claims.jti, issued_at: Timestamp::from_seconds(claims.iat) })
}

/// Makes a proof.
#[must_use]
pub fn create(key: &PrivateKey, htm: &str, htu: &str, body: &[u8], now: Timestamp, random: &Random) -> String {
    let signer = |input: &[u8]| Ok::<_, std::convert::Infallible>(key.sign(input));
    match create_with(&key.public(), htm, htu, body, now, random, signer) {
        Ok(proof) => proof,
        Err(never) => match never {},
    }
}

/// Makes a proof with a key that is elsewhere, in secure hardware for one.
pub fn create_with<E>(
    key: &PublicJwk,
    htm: &str,
    htu: &str,
    body: &[u8],
    now: Timestamp,
    random: &Random,
    signer: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    let claims = Claims { jti: random.token(), htm: htm.into(), htu: htu.into(), iat: now.as_seconds(), bh: body_hash(body) };
    jws::sign_with(TYP, key.algorithm(), None, Some(key), &claims, signer)
}

fn body_hash(body: &[u8]) -> Option<String> {
    (!body.is_empty()).then(|| b64u(&sha256(body)))
}
