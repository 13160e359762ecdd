//! Compact JWS between parties that share a secret (RFC 7518 section 3.2).

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{JoseError, b64u, b64u_decode};

/// Maximum length of a token.
const MAX_LENGTH: usize = 4096;

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    alg: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, deserialize_with = "super::present", skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

/// Signs claims.
///
/// # Panics
/// If the claims do not serialize. Ours do.
pub fn sign(kid: Option<&str>, claims: &impl Serialize, secret: &[u8]) -> String {
    let header = serde_json::to_vec(&Header { alg: "HS256".into(), kid: kid.map(Into::into), crit: None }).expect("a header serializes");
    let claims = serde_json::to_vec(claims).expect("claims serialize");
    let input = format!("{}.{}", b64u(&header), b64u(&claims));
    let tag = super::hmac_sha256(secret, input.as_bytes());
    format!("{input}.{}", b64u(&tag))
}

/// Returns the unverified `kid`. Use it only to find the secret to verify with.
pub fn key_id(token: &str) -> Result<Option<String>, JoseError> {
    Ok(header(token)?.kid.map(std::borrow::Cow::into_owned))
}

/// Verifies in constant time and returns the claims.
pub fn verify<T: DeserializeOwned>(token: &str, secret: &[u8]) -> Result<T, JoseError> {
    if header(token)?.alg != "HS256" {
        return Err(JoseError::Algorithm);
    }
    let (input, tag) = token.rsplit_once('.').ok_or(JoseError::Malformed)?;
    let (_, claims) = input.split_once('.').ok_or(JoseError::Malformed)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::verify(&key, input.as_bytes(), &b64u_decode(tag)?).map_err(|_| JoseError::Signature)?;
    serde_json::from_slice(&b64u_decode(claims)?).map_err(|_| JoseError::Claims)
}

fn header(token: &str) -> Result<Header<'static>, JoseError> {
    if token.len() > MAX_LENGTH || token.split('.').count() != 3 {
        return Err(JoseError::Malformed);
    }
    let header = b64u_decode(token.split('.').next().unwrap_or_default())?;
    let header: Header = serde_json::from_slice(&header).map_err(|_| JoseError::Malformed)?;
    header.crit.is_none().then_some(header).ok_or(JoseError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_secret_algorithm_or_shape_is_refused() {
        let token = sign(Some("k"), &serde_json::json!({"a": 1}), b"secret");
        assert_eq!(key_id(&token).unwrap().as_deref(), Some("k"));
        assert_eq!(verify::<serde_json::Value>(&token, b"secret").unwrap()["a"], 1);
        assert_eq!(verify::<serde_json::Value>(&token, b"other").unwrap_err(), JoseError::Signature);
        let none = format!("{}.{}.", b64u(br#"{"alg":"none"}"#), b64u(b"{}"));
        assert_eq!(verify::<serde_json::Value>(&none, b"secret").unwrap_err(), JoseError::Algorithm);
        assert_eq!(verify::<serde_json::Value>("a.b", b"secret").unwrap_err(), JoseError::Malformed);
    }
}
