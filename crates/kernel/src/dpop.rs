//! The proof on every call from a phone: DPoP (RFC 9449) with a hash of the body.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    id::DeviceId,
    jose::{
        Algorithm, JoseError, PrivateKey, PublicJwk, b64u,
        jws::{self, Unsigned},
        numeric_date, sha256,
    },
    random::Random,
    time::Timestamp,
};

/// The `typ` of the header.
pub const TYP: &str = "dpop+jwt";
/// Maximum difference between `iat` and the current time, in seconds.
pub const MAX_SKEW: i64 = 60;
/// Additional difference allowed for a forwarded proof, in seconds: for the way, and for the clock of the service that verified it first.
pub const FORWARDING: i64 = 5;

/// The signed claims, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Random identifier from 16 bytes or more.
    pub jti: String,
    /// Method.
    pub htm: String,
    /// URL without query and fragment.
    pub htu: String,
    /// When it was made, in seconds.
    #[serde(deserialize_with = "numeric_date")]
    pub iat: i64,
    /// base64url of the SHA-256 of the body; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bh: Option<String>,
}

/// A verified proof. The caller must check whether its `jti` was seen before.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The thumbprint of the key.
    pub device_id: DeviceId,
    /// The key.
    pub jwk: PublicJwk,
    /// Unique to the call.
    pub jti: String,
    /// When the proof was made.
    pub issued_at: Timestamp,
    /// Hash of the body it was made for.
    body_hash: Option<String>,
}

impl Proof {
    /// Checks that the proof was made for this body.
    pub fn check_body(&self, body: &[u8]) -> Result<(), ProofError> {
        if self.body_hash == body_hash(body) { Ok(()) } else { Err(ProofError::Body) }
    }
}

/// Why a proof is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not a JWS with the claims of a proof, signed by the key it carries.
    #[error("the DPoP proof {}", of_jws(*.0))]
    Jose(#[source] JoseError),
    /// `jti` is too short or too long, or contains characters that cannot be stored.
    #[error("the DPoP proof's jti must be 22 to 128 characters, none of them a control character")]
    Jti,
    /// Made for another method.
    #[error("the DPoP proof's htm is not the method of this call")]
    Method,
    /// Made for another URL.
    #[error("the DPoP proof's htu is not the URL of this call, which is the gateway's public URL and the path")]
    Url,
    /// Too old, or from the future.
    #[error(
        "the DPoP proof's iat is {} and the time here {now}: {} apart, and may be {MAX_SKEW} s; set the clock by the Date header",
        .iat.as_seconds(), apart(*.iat, *.now)
    )]
    Skew {
        /// When it was made, by the clock of its maker.
        iat: Timestamp,
        /// When it arrived.
        now: Timestamp,
    },
    /// Made for another body, for a body where there is none, or for none where there is one.
    #[error("the DPoP proof's bh is not base64url of the SHA-256 of this body; it is absent where there is no body")]
    Body,
}

/// Why a proof is invalid as a JWS.
const fn of_jws(error: JoseError) -> &'static str {
    match error {
        JoseError::Malformed | JoseError::Base64 => "is not a compact JWS with a JSON header, each member once and none of them crit",
        JoseError::Type => "is of another typ than dpop+jwt",
        JoseError::Algorithm => "has an alg that is not its key's: ES256 of P-256, EdDSA or Ed25519 of Ed25519, and no other",
        JoseError::Key => "has no jwk in its header that is a public P-256 or Ed25519 key",
        JoseError::Signature => "is not signed by the key in its header, over what it says",
        JoseError::Claims => "does not have the claims jti, htm, htu, iat and, with a body, bh, each once",
    }
}

fn apart(one: Timestamp, other: Timestamp) -> String {
    format!("{} s", one.as_seconds().abs_diff(other.as_seconds()))
}

impl ProofError {
    /// Name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jose(JoseError::Signature) => "wrong_signature",
            Self::Jose(JoseError::Algorithm) => "wrong_algorithm",
            Self::Jose(_) => "malformed",
            Self::Method => "method",
            Self::Url => "URL",
            Self::Body => "body",
            Self::Skew { .. } => "date_off",
            Self::Jti => "jti",
        }
    }

    /// Code for programs; each cause has its own.
    #[must_use]
    pub const fn cause_code(self) -> &'static str {
        match self {
            Self::Jose(JoseError::Malformed | JoseError::Base64) => "malformed",
            Self::Jose(JoseError::Type) => "wrong_typ",
            Self::Jose(JoseError::Algorithm) => "wrong_alg",
            Self::Jose(JoseError::Key) => "wrong_jwk",
            Self::Jose(JoseError::Signature) => "wrong_signature",
            Self::Jose(JoseError::Claims) => "wrong_claims",
            Self::Jti => "wrong_jti",
            Self::Method => "wrong_htm",
            Self::Url => "wrong_htu",
            Self::Skew { .. } => "wrong_iat",
            Self::Body => "wrong_bh",
        }
    }
}

/// Why a call that was forwarded with its proof is not accepted as the phone's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// No proof was forwarded.
    #[error("the phone's own call is missing")]
    Missing,
    /// The proof is for another call or another time, or its signature is invalid.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// Another device signed it.
    #[error("the DPoP proof was signed by another device")]
    Device,
    /// The phone signed something else.
    #[error("{0} is not what the phone sent")]
    Differs(&'static str),
    /// It took effect already.
    #[error("the DPoP proof's jti was used before")]
    Used,
}

impl Unproven {
    /// Code for programs; each cause has its own.
    #[must_use]
    pub const fn cause_code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Proof(error) => error.cause_code(),
            Self::Device => "other_device",
            Self::Differs(_) => "other_call",
            Self::Used => "used_jti",
        }
    }
}

/// The device whose key a proof carries, whether or not the proof is valid. Use it only to name the device in logs and errors.
#[must_use]
pub fn claimed_device(proof: &str) -> Option<DeviceId> {
    DeviceId::parse(&jws::Compact::parse(proof).ok()?.header().jwk?.thumbprint()).ok()
}

/// Verifies a proof against the call it came with.
pub fn verify(proof: &str, htm: &str, htu: &str, body: &[u8], now: Timestamp) -> Result<Proof, ProofError> {
    verify_within(MAX_SKEW, proof, htm, htu, body, now)
}

/// Verifies a proof before the body has arrived: call [`Proof::check_body`] afterwards.
pub fn verify_head(proof: &str, htm: &str, htu: &str, now: Timestamp) -> Result<Proof, ProofError> {
    verify_head_within(MAX_SKEW, proof, htm, htu, now)
}

/// Verifies again a proof that another service verified and forwarded with its call.
pub fn verify_forwarded(proof: &str, htm: &str, htu: &str, body: &[u8], now: Timestamp) -> Result<Proof, ProofError> {
    verify_within(MAX_SKEW + FORWARDING, proof, htm, htu, body, now)
}

fn verify_within(skew: i64, proof: &str, htm: &str, htu: &str, body: &[u8], now: Timestamp) -> Result<Proof, ProofError> {
    let proof = verify_head_within(skew, proof, htm, htu, now)?;
    proof.check_body(body)?;
    Ok(proof)
}

fn verify_head_within(skew: i64, proof: &str, htm: &str, htu: &str, now: Timestamp) -> Result<Proof, ProofError> {
    let compact = jws::Compact::parse(proof).map_err(ProofError::Jose)?;
    Algorithm::parse(&compact.header().alg).map_err(ProofError::Jose)?;
    let jwk = compact.header().jwk.ok_or(ProofError::Jose(JoseError::Key))?;
    let claims: Claims = compact.verify(&jwk, TYP).map_err(ProofError::Jose)?;
    // It is stored, and not every database accepts every character.
    if !(22..=128).contains(&claims.jti.len()) || claims.jti.chars().any(char::is_control) {
        return Err(ProofError::Jti);
    }
    if claims.htm != htm {
        return Err(ProofError::Method);
    }
    if claims.htu != htu && !is_same_url(&claims.htu, htu) {
        return Err(ProofError::Url);
    }
    if claims.iat.saturating_sub(now.as_seconds()).unsigned_abs() > skew.unsigned_abs() {
        return Err(ProofError::Skew { iat: Timestamp::from_seconds(claims.iat), now });
    }
    let device_id = DeviceId::parse(&jwk.thumbprint()).map_err(|_| ProofError::Jose(JoseError::Key))?;
    Ok(Proof { device_id, jwk, jti: claims.jti, issued_at: Timestamp::from_seconds(claims.iat), body_hash: claims.bh })
}

/// Whether two URLs are the same (RFC 9449 section 4.3): without query and fragment, after syntax- and scheme-based normalization (RFC 3986
/// sections 6.2.2 and 6.2.3).
fn is_same_url(claimed: &str, called: &str) -> bool {
    normalized(claimed).is_some_and(|claimed| normalized(called) == Some(claimed))
}

fn normalized(text: &str) -> Option<(String, String)> {
    // Parsers accept more than RFC 3986 allows in a URL.
    if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') || !text.contains("://") {
        return None;
    }
    // Decode unreserved characters first: an escaped dot is a dot.
    let url = Url::parse(&unescaped(text)).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let plain = url.username().is_empty() && url.password().is_none();
    plain.then(|| (url.origin().ascii_serialization(), url.path().to_owned()))
}

/// Decodes the escapes of unreserved characters, and writes other escapes in upper case.
fn unescaped(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::with_capacity(text.len());
    while let Some((before, escaped)) = rest.split_once('%') {
        plain.push_str(before);
        let byte = escaped.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')));
        rest = match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                plain.push(char::from(byte));
                &escaped[2..]
            }
            Some(byte) => {
                // Writing to a String cannot fail.
                let _ = write!(plain, "%{byte:02X}");
                &escaped[2..]
            }
            None => {
                plain.push('%');
                escaped
            }
        };
    }
    plain + rest
}

/// Creates a proof.
#[must_use]
pub fn create(key: &PrivateKey, htm: &str, htu: &str, body: &[u8], now: Timestamp, random: &Random) -> String {
    let proof = unsigned(&key.public(), htm, htu, body, now, random.token());
    let signature = key.sign(proof.message());
    proof.with_signature(&signature)
}

/// A proof for a key held elsewhere, for example in secure hardware, to sign. `jti`: random, at least 128 bits.
#[must_use]
pub fn unsigned(key: &PublicJwk, htm: &str, htu: &str, body: &[u8], now: Timestamp, jti: String) -> Unsigned {
    let claims = Claims { jti, htm: htm.into(), htu: htu.into(), iat: now.as_seconds(), bh: body_hash(body) };
    Unsigned::new(TYP, key.algorithm(), None, Some(key), &claims)
}

/// `bh` of a body; `None` without one.
#[must_use]
pub fn body_hash(body: &[u8]) -> Option<String> {
    (!body.is_empty()).then(|| b64u(&sha256(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_the_same_in_every_spelling_of_rfc_3986_and_no_other_is() {
        let called = "https://id.example.com/api/v2/devices/a%20b~c";
        for same in [
            "https://id.example.com/api/v2/devices/a%20b~c",
            "HTTPS://ID.Example.com/api/v2/devices/a%20b~c",
            "https://id.example.com:443/api/v2/devices/a%20b~c",
            "https://id.example.com:/api/v2/devices/a%20b~c",
            "https://id.example.com/api/./v2/x/../devices/a%20b~c",
            "https://id.example.com/api/v2/%2E%2e/v2/%64evices/a%20b%7ec",
            "https://id.example.com/api/v2/devices/a%20b~c?wait=60&x=%2",
            "https://id.example.com/api/v2/devices/a%20b~c#top",
        ] {
            assert!(is_same_url(same, called), "{same}");
        }
        for other in [
            "http://id.example.com/api/v2/devices/a%20b~c",
            "https://id.example.com:8443/api/v2/devices/a%20b~c",
            "https://id.example.com./api/v2/devices/a%20b~c",
            "https://id.example.com/api/v2/devices/A%20b~c",
            "https://id.example.com/api/v2/devices/a%20b~c/",
            "https://id.example.com//api/v2/devices/a%20b~c",
            "https://id.example.com/api/v2/devices/a%2520b~c",
            "https://id.example.com/api/v2%2Fdevices/a%20b~c",
            "https://user@id.example.com/api/v2/devices/a%20b~c",
            "https:/id.example.com/api/v2/devices/a%20b~c",
            "https:id.example.com/api/v2/devices/a%20b~c",
            "https:\\\\id.example.com/api/v2/devices/a%20b~c",
            "https://id.example.com/api/v2/devices/a b~c",
            " https://id.example.com/api/v2/devices/a%20b~c",
            "//id.example.com/api/v2/devices/a%20b~c",
            "/api/v2/devices/a%20b~c",
            "",
        ] {
            assert!(!is_same_url(other, called), "{other}");
        }
        assert!(is_same_url("https://id.example.com", "https://id.example.com/"));
        assert!(is_same_url("https://id.example.com/%c3%a4", "https://id.example.com/%C3%A4"));
        assert!(is_same_url("https://[2001:DB8::1]/", "https://[2001:db8:0::1]"));
    }
}
