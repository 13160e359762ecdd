//! Public keys.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use ed25519_dalek::VerifyingKey as Ed25519Public;
use p256::{
    ecdsa::{Signature as P256Signature, VerifyingKey as P256Public},
    pkcs8::DecodePublicKey as _,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Value, json};

use super::{JoseError, b64u, b64u_decode, sha256};

/// Members that only the owner of a key may have (RFC 7518 section 6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The signature algorithm of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 7518 section 3.4).
    Es256,
    /// Ed25519 (RFC 8037).
    EdDsa,
}

impl Algorithm {
    /// The `alg` of a header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm with that name. `Ed25519` (RFC 9864) is `EdDSA` with the curve named, the only curve supported here.
    pub fn parse(name: &str) -> Result<Self, JoseError> {
        match name {
            "ES256" => Ok(Self::Es256),
            "EdDSA" | "Ed25519" => Ok(Self::EdDsa),
            _ => Err(JoseError::Algorithm),
        }
    }
}

/// A validated public key: a P-256 key is on the curve, an Ed25519 key is not of small order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicJwk(Point);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Point {
    /// `x` and `y`.
    P256([u8; 32], [u8; 32]),
    /// `x`.
    Ed25519([u8; 32]),
}

impl PublicJwk {
    /// From a private key, and therefore a valid point.
    pub(super) const fn trusted(point: Point) -> Self {
        Self(point)
    }

    /// Reads a JWK. Refuses private members, other key types, an `alg` that does not match the key and a `use` other than `sig`. A `null`
    /// member counts as absent.
    pub fn from_value(value: &Value) -> Result<Self, JoseError> {
        let member = |name: &str| value.get(name).filter(|value| !value.is_null());
        let text = |name: &str| member(name).and_then(Value::as_str);
        let number = |name: &str| -> Result<[u8; 32], JoseError> {
            let bytes = b64u_decode(text(name).ok_or(JoseError::Key)?).map_err(|_| JoseError::Key)?;
            bytes.try_into().map_err(|_| JoseError::Key)
        };
        if PRIVATE.iter().any(|name| member(name).is_some()) {
            return Err(JoseError::Key);
        }
        let key = match (text("kty"), text("crv")) {
            (Some("EC"), Some("P-256")) => {
                let (x, y) = (number("x")?, number("y")?);
                Self::from_raw_p256(&[&[4], &x[..], &y[..]].concat())?
            }
            (Some("OKP"), Some("Ed25519")) => Self::from_raw_ed25519(&number("x")?)?,
            _ => return Err(JoseError::Key),
        };
        let is_its_own = |alg: &Value| alg.as_str().is_some_and(|alg| Algorithm::parse(alg) == Ok(key.algorithm()));
        let signs = member("alg").is_none_or(is_its_own) && member("use").is_none_or(|it| it == "sig");
        signs.then_some(key).ok_or(JoseError::Key)
    }

    /// A P-256 key from its uncompressed point (SEC 1 section 2.3.3).
    pub fn from_raw_p256(bytes: &[u8]) -> Result<Self, JoseError> {
        let ([4], point) = bytes.split_at_checked(1).ok_or(JoseError::Key)? else { return Err(JoseError::Key) };
        let (x, y) = point.split_at_checked(32).ok_or(JoseError::Key)?;
        let number = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).map_err(|_| JoseError::Key);
        let key = Self(Point::P256(number(x)?, number(y)?));
        p256::PublicKey::from_sec1_bytes(bytes).map_err(|_| JoseError::Key)?;
        Ok(key)
    }

    /// A P-256 key from its `SubjectPublicKeyInfo` in DER (RFC 5480).
    pub fn from_p256_spki(der: &[u8]) -> Result<Self, JoseError> {
        let key = P256Public::from_public_key_der(der).map_err(|_| JoseError::Key)?;
        Self::from_raw_p256(key.to_sec1_point(false).as_bytes())
    }

    /// An Ed25519 key from its 32 bytes (RFC 8032).
    pub fn from_raw_ed25519(bytes: &[u8]) -> Result<Self, JoseError> {
        let x: [u8; 32] = bytes.try_into().map_err(|_| JoseError::Key)?;
        let point = Ed25519Public::from_bytes(&x).map_err(|_| JoseError::Key)?;
        if point.is_weak() { Err(JoseError::Key) } else { Ok(Self(Point::Ed25519(x))) }
    }

    /// Reads a JWK from JSON text.
    pub fn parse(json: &str) -> Result<Self, JoseError> {
        Self::from_value(&serde_json::from_str(json).map_err(|_| JoseError::Key)?)
    }

    /// The JWK, public members only.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.0 {
            Point::P256(x, y) => json!({"kty": "EC", "crv": "P-256", "x": b64u(x), "y": b64u(y)}),
            Point::Ed25519(x) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64u(x)}),
        }
    }

    /// The key's signature algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Point::P256(..) => Algorithm::Es256,
            Point::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Thumbprint of RFC 7638 with SHA-256 in base64url: 43 characters.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let canonical = match &self.0 {
            Point::P256(x, y) => format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, b64u(x), b64u(y)),
            Point::Ed25519(x) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, b64u(x)),
        };
        b64u(&sha256(canonical.as_bytes()))
    }

    /// Verifies a 64-byte signature. ES256 accepts high and low `s`, since secure hardware produces both; Ed25519 is strict.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
        match &self.0 {
            Point::P256(..) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.to_raw()).verify(message, signature).map_err(|_| JoseError::Signature)
            }
            Point::Ed25519(x) => {
                let key = Ed25519Public::from_bytes(x).map_err(|_| JoseError::Key)?;
                let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| JoseError::Signature)?;
                key.verify_strict(message, &signature).map_err(|_| JoseError::Signature)
            }
        }
    }

    /// The uncompressed SEC1 point, or the bytes of an Ed25519 key (RFC 8032).
    #[must_use]
    pub fn to_raw(&self) -> Vec<u8> {
        match &self.0 {
            Point::P256(x, y) => [&[4], &x[..], &y[..]].concat(),
            Point::Ed25519(x) => x.to_vec(),
        }
    }
}

/// The 64 bytes `r || s` of an ECDSA signature with P-256 in DER (RFC 3279), as most key stores make it.
pub fn p256_signature_from_der(der: &[u8]) -> Result<Vec<u8>, JoseError> {
    P256Signature::from_der(der).map(|signature| signature.to_bytes().to_vec()).map_err(|_| JoseError::Signature)
}

impl fmt::Debug for PublicJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.algorithm().as_str(), self.thumbprint())
    }
}

impl Serialize for PublicJwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PublicJwk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By openssl, with `-sha256` over `message`. 70, 71 and 72 bytes: either number may need a leading zero.
    const SPKI: &str =
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE0ef0d9by-Ijb7iMCGBog6HEsaupHAEO4vwEnWU4mjgCjRW7Tuzehnjq-rXnSD9PeQdM88fqv5GHXfO_rS7v5hA";
    const SIGNATURES: [&str; 3] = [
        "MEQCIH1WIQgDyemxRasPLzGPzCGfe_pgKrfcM_0ePRqz6PBqAiBrzpHm5yAhsKUdPLVb2J15R5EhdVhyhr4BoEiTboZlaQ",
        "MEUCIH7In9Szn2-XPt74-8IurDOzlciCh4C-9_jZ36TgbN4QAiEA8GiZSIdjCGMr0tHYF3JIe8JRpaKiqGCdCNLXP7ki4Ls",
        "MEYCIQDWLgJq12OsxFpSibt1c7yD0tqAlVqqkI9ISBsD_2Sv8QIhAPFTaWHfin64ctsL_IedoNYzQdtR4_klsEF5AaMChZ9F",
    ];

    #[test]
    fn what_key_stores_give_in_der_is_read_and_nothing_cut_or_longer_is() {
        let spki = b64u_decode(SPKI).unwrap();
        let key = PublicJwk::from_p256_spki(&spki).unwrap();
        assert_eq!(key.to_raw(), spki[26..]);
        for der in SIGNATURES {
            let der = b64u_decode(der).unwrap();
            let raw = p256_signature_from_der(&der).unwrap();
            assert_eq!(raw.len(), 64);
            key.verify(b"message", &raw).unwrap();
            for bad in [&der[1..], &der[..der.len() - 1], &[&der[..], &[0]].concat(), &raw, &[]] {
                assert_eq!(p256_signature_from_der(bad), Err(JoseError::Signature));
            }
        }
        for bad in [&spki[1..], &spki[..90], &[&spki[..], &[0]].concat(), &spki[26..], &[]] {
            assert_eq!(PublicJwk::from_p256_spki(bad), Err(JoseError::Key));
        }
    }
}
