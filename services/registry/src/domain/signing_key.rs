//! The deployment's own keys.

use nodkey_kernel::{
    id::SigningKeyId,
    jose::{Algorithm, JoseError, Jwks, PublicJwk, PublishedKey},
    time::Timestamp,
};

use super::Refusal;

/// The largest claims that are signed, in bytes: their JWS is just below what readers take.
const MAX_CLAIMS: usize = 1_150_000;

/// The public half of a signing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// Orders keys by age.
    pub id: SigningKeyId,
    /// The key; its thumbprint is the `kid`.
    pub key: PublicJwk,
    /// When it came.
    pub created_at: Timestamp,
    /// When it leaves the JWKS; `None` while it signs.
    pub retires_at: Option<Timestamp>,
}

/// The keys whose signatures may still be alive.
#[must_use]
pub fn published(keys: &[SigningKey], now: Timestamp) -> Jwks {
    let alive = |key: &&SigningKey| key.retires_at.is_none_or(|at| now < at);
    Jwks { keys: keys.iter().filter(alive).map(|key| PublishedKey { kid: key.key.thumbprint(), key: key.key }).collect() }
}

/// Reads the algorithm of a request; empty means EdDSA.
pub fn algorithm(name: &str) -> Result<Algorithm, Refusal> {
    if name.is_empty() {
        return Ok(Algorithm::EdDsa);
    }
    Algorithm::parse(name).map_err(|_: JoseError| Refusal::invalid("algorithm", "must be EdDSA or ES256"))
}

/// Checks what is to be signed: a short `typ`, and claims that are a JSON object.
pub fn check_claims(typ: &str, claims: &[u8]) -> Result<(), Refusal> {
    if typ.is_empty() || typ.len() > 64 || !typ.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Refusal::invalid("typ", "must be 1 to 64 visible ASCII characters"));
    }
    if claims.len() > MAX_CLAIMS {
        return Err(Refusal::invalid("claims", format!("must be at most {MAX_CLAIMS} bytes")));
    }
    let object = claims.trim_ascii_start().starts_with(b"{")
        && std::str::from_utf8(claims).is_ok_and(|json| serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok());
    if object { Ok(()) } else { Err(Refusal::invalid("claims", "must be a JSON object")) }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::{jose::PrivateKey, random::Random};

    use super::*;

    #[test]
    fn a_key_is_published_until_it_retires() {
        let (now, random) = (Timestamp::from_seconds(100), Random::seeded(1));
        let key = |retires_at| SigningKey {
            id: SigningKeyId::generate(now, &random),
            key: PrivateKey::generate(Algorithm::EdDsa, &random).public(),
            created_at: now,
            retires_at,
        };
        let keys = [key(None), key(Some(Timestamp::from_seconds(101))), key(Some(now))];
        let kids: Vec<_> = published(&keys, now).keys.into_iter().map(|k| k.kid).collect();
        assert_eq!(kids, [keys[0].key.thumbprint(), keys[1].key.thumbprint()]);
    }

    #[test]
    fn only_json_objects_are_signed() {
        assert_eq!(check_claims("a+jwt", br#"{"a":1}"#), Ok(()));
        for claims in [&b"[1]"[..], b"", b"{", b"{\"a\":\"\xff\"}", b"{} {}"] {
            assert!(check_claims("a+jwt", claims).is_err());
        }
        assert!(check_claims("", b"{}").is_err());
        assert!(check_claims("a b", b"{}").is_err());
    }
}
