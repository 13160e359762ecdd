//! Keys.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use ed25519_dalek::{Signer as _, SigningKey as Ed25519Key, VerifyingKey as Ed25519Public};
use p256::ecdsa::{Signature as P256Signature, SigningKey as P256Key};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{JoseError, b64u, b64u_decode, sha256};
use crate::random::Random;

/// How a key signs.
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

    /// The algorithm of that name.
    pub fn parse(name: &str) -> Result<Self, JoseError> {
        match name {
            "ES256" => Ok(Self::Es256),
            "EdDSA" => Ok(Self::EdDsa),
            _ => Err(JoseError::Algorithm),
        }
    }
}

/// A public key, checked: a P-256 one is on the curve.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublicJwk {
    /// `x` and `y`.
    P256([u8; 32], [u8; 32]),
    /// `x`.
    Ed25519([u8; 32]),
}

impl PublicJwk {
    /// Reads a JWK. Refuses private members, other key types and an `alg` that is not the key's.
    pub fn from_value(value: &Value) -> Result<Self, JoseError> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let number = |name: &str| -> Result<[u8; 32], JoseError> {
            let bytes = b64u_decode(text(name).ok_or(JoseError::Key)?).map_err(|_| JoseError::Key)?;
            bytes.try_into().map_err(|_| JoseError::Key)
        };
        if value.get("d").is_some() {
            return Err(JoseError::Key);
        }
        let key = match (text("kty"), text("crv")) {
            (Some("EC"), Some("P-256")) => {
                let key = Self::P256(number("x")?, number("y")?);
                p256::PublicKey::from_sec1_bytes(&key.sec1()).map_err(|_| JoseError::Key)?;
                key
            }
            (Some("OKP"), Some("Ed25519")) => {
                let x = number("x")?;
                let point = Ed25519Public::from_bytes(&x).map_err(|_| JoseError::Key)?;
                if point.is_weak() {
                    return Err(JoseError::Key);
                }
                Self::Ed25519(x)
            }
            _ => return Err(JoseError::Key),
        };
        match value.get("alg") {
            Some(alg) if alg.as_str() != Some(key.algorithm().as_str()) => Err(JoseError::Key),
            _ => Ok(key),
        }
    }

    /// Reads a JWK from JSON text.
    pub fn parse(json: &str) -> Result<Self, JoseError> {
        Self::from_value(&serde_json::from_str(json).map_err(|_| JoseError::Key)?)
    }

    /// The JWK, public members only.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::P256(x, y) => json!({"kty": "EC", "crv": "P-256", "x": b64u(x), "y": b64u(y)}),
            Self::Ed25519(x) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64u(x)}),
        }
    }

    /// How it signs.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::P256(..) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// RFC 7638 with SHA-256, base64url: 43 characters.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let canonical = match self {
            Self::P256(x, y) => format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, b64u(x), b64u(y)),
            Self::Ed25519(x) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, b64u(x)),
        };
        b64u(&sha256(canonical.as_bytes()))
    }

    /// Verifies a 64-byte signature. ES256 takes high and low `s`, since secure hardware makes both; Ed25519 is strict.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
        match self {
            Self::P256(..) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.sec1()).verify(message, signature).map_err(|_| JoseError::Signature)
            }
            Self::Ed25519(x) => {
                let key = Ed25519Public::from_bytes(x).map_err(|_| JoseError::Key)?;
                let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| JoseError::Signature)?;
                key.verify_strict(message, &signature).map_err(|_| JoseError::Signature)
            }
        }
    }

    /// Uncompressed SEC1 point; of an Ed25519 key, its bytes.
    fn sec1(&self) -> Vec<u8> {
        match self {
            Self::P256(x, y) => [&[4], &x[..], &y[..]].concat(),
            Self::Ed25519(x) => x.to_vec(),
        }
    }
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

/// A private key. Zeroized when dropped, never printed.
#[derive(Clone)]
pub enum PrivateKey {
    /// ES256.
    P256(P256Key),
    /// EdDSA.
    Ed25519(Ed25519Key),
}

impl PrivateKey {
    /// Makes a new key.
    #[must_use]
    pub fn generate(algorithm: Algorithm, random: &Random) -> Self {
        loop {
            // A P-256 scalar is out of range once in 2^32.
            if let Ok(key) = Self::from_secret_bytes(algorithm, &random.bytes::<32>()) {
                return key;
            }
        }
    }

    /// From the 32 bytes of `d`.
    pub fn from_secret_bytes(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, JoseError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| JoseError::Key)?;
        match algorithm {
            Algorithm::Es256 => P256Key::from_slice(bytes).map(Self::P256).map_err(|_| JoseError::Key),
            Algorithm::EdDsa => Ok(Self::Ed25519(Ed25519Key::from_bytes(bytes))),
        }
    }

    /// The 32 bytes of `d`.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::P256(key) => key.to_bytes().to_vec(),
            Self::Ed25519(key) => key.to_bytes().to_vec(),
        })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicJwk {
        match self {
            Self::P256(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                let (mut x, mut y) = ([0; 32], [0; 32]);
                x.copy_from_slice(&point.as_bytes()[1..33]);
                y.copy_from_slice(&point.as_bytes()[33..65]);
                PublicJwk::P256(x, y)
            }
            Self::Ed25519(key) => PublicJwk::Ed25519(key.verifying_key().to_bytes()),
        }
    }

    /// Signs; 64 bytes, `r || s` for ES256.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) => {
                let signature: P256Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Self::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey of {:?}", self.public())
    }
}
