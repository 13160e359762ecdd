//! Compact JWS with asymmetric keys (RFC 7515 section 3.1).

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Algorithm, JoseError, PrivateKey, PublicJwk, b64u, b64u_decode};

/// Maximum length of a JWS, 1.5 MiB: a challenge with 1 MiB of custom fields.
pub const MAX_LENGTH: usize = 3 << 19;

/// The protected header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Header {
    /// Algorithm.
    pub alg: String,
    /// Type of the JWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
    /// Identifier of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The key itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwk: Option<PublicJwk>,
}

/// A header as received.
#[derive(Deserialize)]
struct ReadHeader {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    jwk: Option<Value>,
    /// Extensions that must be understood. None is supported, so it must be absent.
    #[serde(default, deserialize_with = "super::present")]
    crit: Option<Value>,
}

impl ReadHeader {
    /// A key of another algorithm is reported as an algorithm error.
    fn check(self) -> Result<Header, JoseError> {
        let Self { alg, typ, kid, jwk, crit } = self;
        if crit.is_some() {
            return Err(JoseError::Malformed);
        }
        let jwk = jwk.map(|jwk| PublicJwk::from_value(&jwk)).transpose().map_err(|e| Algorithm::parse(&alg).err().unwrap_or(e))?;
        Ok(Header { alg, typ, kid, jwk })
    }
}

/// Signs claims.
///
/// # Panics
/// If the claims do not serialize. Ours do.
pub fn sign(typ: &str, kid: Option<&str>, jwk: Option<&PublicJwk>, claims: &impl Serialize, key: &PrivateKey) -> String {
    let algorithm = key.public().algorithm();
    match sign_with(typ, algorithm, kid, jwk, claims, |input| Ok::<_, std::convert::Infallible>(key.sign(input))) {
        Ok(jws) => jws,
        Err(never) => match never {},
    }
}

/// Signs claims with a key held elsewhere, for example in secure hardware.
///
/// # Panics
/// If the claims do not serialize. Ours do.
pub fn sign_with<E>(
    typ: &str,
    algorithm: Algorithm,
    kid: Option<&str>,
    jwk: Option<&PublicJwk>,
    claims: &impl Serialize,
    signer: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    let claims = serde_json::to_vec(claims).expect("claims serialize");
    sign_bytes(typ, algorithm, kid, jwk, &claims, signer)
}

/// Signs a payload that is JSON already, unchanged.
///
/// # Panics
/// Never: a header of strings serializes.
pub fn sign_bytes<E>(
    typ: &str,
    algorithm: Algorithm,
    kid: Option<&str>,
    jwk: Option<&PublicJwk>,
    payload: &[u8],
    signer: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    let unsigned = Unsigned::of_payload(typ, algorithm, kid, jwk, payload);
    let signature = signer(unsigned.message())?;
    Ok(unsigned.with_signature(&signature))
}

/// A JWS without its signature, for a key that takes its time: secure hardware may have to prompt the person first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned(String);

impl Unsigned {
    /// Encodes claims.
    ///
    /// # Panics
    /// If the claims do not serialize. Ours do.
    pub fn new(typ: &str, algorithm: Algorithm, kid: Option<&str>, jwk: Option<&PublicJwk>, claims: &impl Serialize) -> Self {
        let claims = serde_json::to_vec(claims).expect("claims serialize");
        Self::of_payload(typ, algorithm, kid, jwk, &claims)
    }

    fn of_payload(typ: &str, algorithm: Algorithm, kid: Option<&str>, jwk: Option<&PublicJwk>, payload: &[u8]) -> Self {
        let header = Header { alg: algorithm.as_str().into(), typ: Some(typ.into()), kid: kid.map(Into::into), jwk: jwk.copied() };
        let header = serde_json::to_vec(&header).expect("a header serializes");
        Self(format!("{}.{}", b64u(&header), b64u(payload)))
    }

    /// What the key signs.
    #[must_use]
    pub const fn message(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The JWS.
    #[must_use]
    pub fn with_signature(self, signature: &[u8]) -> String {
        format!("{}.{}", self.0, b64u(signature))
    }
}

/// A parsed JWS, not yet verified.
#[derive(Clone, Debug)]
pub struct Compact<'a> {
    header: Header,
    payload: Vec<u8>,
    signature: Vec<u8>,
    input: &'a str,
}

impl<'a> Compact<'a> {
    /// Splits and decodes a JWS.
    pub fn parse(jws: &'a str) -> Result<Self, JoseError> {
        if jws.len() > MAX_LENGTH || jws.split('.').count() != 3 {
            return Err(JoseError::Malformed);
        }
        let (input, signature) = jws.rsplit_once('.').ok_or(JoseError::Malformed)?;
        let (header, payload) = input.split_once('.').ok_or(JoseError::Malformed)?;
        let header: ReadHeader = serde_json::from_slice(&b64u_decode(header)?).map_err(|_| JoseError::Malformed)?;
        Ok(Self { header: header.check()?, payload: b64u_decode(payload)?, signature: b64u_decode(signature)?, input })
    }

    /// The header. Nothing in it is trustworthy before [`Compact::verify`].
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The unverified claims. Use them only to find the key to verify with.
    pub fn unverified_claims<T: DeserializeOwned>(&self) -> Result<T, JoseError> {
        serde_json::from_slice(&self.payload).map_err(|_| JoseError::Claims)
    }

    /// Verifies with `key` and returns the claims. The algorithm is always the key's; a header that names another is refused.
    pub fn verify<T: DeserializeOwned>(&self, key: &PublicJwk, typ: &str) -> Result<T, JoseError> {
        if self.header.typ.as_deref() != Some(typ) {
            return Err(JoseError::Type);
        }
        if Algorithm::parse(&self.header.alg)? != key.algorithm() {
            return Err(JoseError::Algorithm);
        }
        key.verify(self.input.as_bytes(), &self.signature)?;
        self.unverified_claims()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::random::Random;

    fn signed(header: &Value, key: &PrivateKey) -> String {
        let input = format!("{}.{}", b64u(header.to_string().as_bytes()), b64u(br#"{"a":1}"#));
        format!("{input}.{}", b64u(&key.sign(input.as_bytes())))
    }

    #[test]
    fn ed25519_is_eddsa_by_another_name_and_of_such_keys_alone() {
        let [ed25519, p256] = [Algorithm::EdDsa, Algorithm::Es256].map(|algorithm| PrivateKey::generate(algorithm, &Random::seeded(1)));
        let verify = |alg: &str, key: &PrivateKey| {
            let jws = signed(&json!({"alg": alg, "typ": "t"}), key);
            Compact::parse(&jws).and_then(|jws| jws.verify::<Value>(&key.public(), "t"))
        };
        for (alg, key) in [("EdDSA", &ed25519), ("Ed25519", &ed25519), ("ES256", &p256)] {
            assert_eq!(verify(alg, key), Ok(json!({"a": 1})), "{alg}");
        }
        for (alg, key) in [("Ed25519", &p256), ("ES256", &ed25519), ("Ed448", &ed25519), ("ed25519", &ed25519), ("none", &ed25519)] {
            assert_eq!(verify(alg, key), Err(JoseError::Algorithm), "{alg}");
        }
        let made = sign("t", None, None, &json!({}), &ed25519);
        assert_eq!(Compact::parse(&made).unwrap().header().alg, "EdDSA", "what is made here is read by everybody");
    }

    #[test]
    fn null_is_as_good_as_absent_but_for_crit_and_what_is_wrong_with_a_key_is_said() {
        let key = PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(1));
        let parse = |header: Value| Compact::parse(&signed(&header, &key)).map(|jws| jws.header().clone());
        let mut jwk = key.public().to_value();
        for name in ["alg", "use", "kid", "d"] {
            jwk[name] = Value::Null;
        }
        let header = parse(json!({"alg": "EdDSA", "typ": null, "kid": null, "jwk": jwk})).unwrap();
        assert_eq!((header.typ, header.kid, header.jwk), (None, None, Some(key.public())));
        assert_eq!(parse(json!({"alg": "EdDSA", "jwk": null})).unwrap().jwk, None);
        let rsa = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"});
        for (header, error) in [
            (json!({"alg": "EdDSA", "crit": null}), JoseError::Malformed),
            (json!({"alg": null}), JoseError::Malformed),
            (json!({"alg": "EdDSA", "jwk": rsa}), JoseError::Key),
            (json!({"alg": "RS256", "jwk": rsa}), JoseError::Algorithm),
        ] {
            assert_eq!(parse(header.clone()).unwrap_err(), error, "{header}");
        }
    }
}
