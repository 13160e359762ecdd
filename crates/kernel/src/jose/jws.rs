//! Compact JWS with asymmetric keys (RFC 7515 section 3.1).

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Algorithm, JoseError, PrivateKey, PublicJwk, b64u, b64u_decode};

/// The longest JWS that is read, 1.5 MiB: a challenge with 1 MiB of custom fields.
pub const MAX_LENGTH: usize = 3 << 19;

/// The protected header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Algorithm.
    pub alg: String,
    /// What the JWS is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
    /// Name of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The key itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwk: Option<PublicJwk>,
    /// Extensions that must be understood: none is, so it must be absent.
    #[serde(default, deserialize_with = "super::present", skip_serializing_if = "Option::is_none")]
    crit: Option<Value>,
}

/// Signs claims.
///
/// # Panics
/// When the claims do not serialize: they are ours, and do.
pub fn sign(typ: &str, kid: Option<&str>, jwk: Option<&PublicJwk>, claims: &impl Serialize, key: &PrivateKey) -> String {
    let algorithm = key.public().algorithm();
    match sign_with(typ, algorithm, kid, jwk, claims, |input| Ok::<_, std::convert::Infallible>(key.sign(input))) {
        Ok(jws) => jws,
        Err(never) => match never {},
    }
}

/// Signs claims with a key that is elsewhere, in secure hardware for one.
///
/// # Panics
/// When the claims do not serialize: they are ours, and do.
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

/// Signs a payload that is JSON already, as it is.
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
    let header = Header { alg: algorithm.as_str().into(), typ: Some(typ.into()), kid: kid.map(Into::into), jwk: jwk.copied(), crit: None };
    let header = serde_json::to_vec(&header).expect("a header serializes");
    let input = format!("{}.{}", b64u(&header), b64u(payload));
    let signature = signer(input.as_bytes())?;
    Ok(format!("{input}.{}", b64u(&signature)))
}

/// A JWS taken apart, not yet verified.
#[derive(Clone, Debug)]
pub struct Compact<'a> {
    header: Header,
    payload: Vec<u8>,
    signature: Vec<u8>,
    input: &'a str,
}

impl<'a> Compact<'a> {
    /// Takes a JWS apart.
    pub fn parse(jws: &'a str) -> Result<Self, JoseError> {
        if jws.len() > MAX_LENGTH || jws.split('.').count() != 3 {
            return Err(JoseError::Malformed);
        }
        let (input, signature) = jws.rsplit_once('.').ok_or(JoseError::Malformed)?;
        let (header, payload) = input.split_once('.').ok_or(JoseError::Malformed)?;
        let header: Header = serde_json::from_slice(&b64u_decode(header)?).map_err(|_| JoseError::Malformed)?;
        if header.crit.is_some() {
            return Err(JoseError::Malformed);
        }
        Ok(Self { header, payload: b64u_decode(payload)?, signature: b64u_decode(signature)?, input })
    }

    /// The header. Nothing in it is proven before [`Compact::verify`].
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The claims, unproven: only to find out which key to verify with.
    pub fn unverified_claims<T: DeserializeOwned>(&self) -> Result<T, JoseError> {
        serde_json::from_slice(&self.payload).map_err(|_| JoseError::Claims)
    }

    /// Verifies with `key` and returns the claims. The algorithm is the key's, whatever the header says otherwise.
    pub fn verify<T: DeserializeOwned>(&self, key: &PublicJwk, typ: &str) -> Result<T, JoseError> {
        if self.header.typ.as_deref() != Some(typ) {
            return Err(JoseError::Type);
        }
        if self.header.alg != key.algorithm().as_str() {
            return Err(JoseError::Algorithm);
        }
        key.verify(self.input.as_bytes(), &self.signature)?;
        self.unverified_claims()
    }
}
