//! Private keys.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey as Ed25519Key};
use p256::{
    ecdsa::{Signature as P256Signature, SigningKey as P256Key},
    pkcs8::DecodePrivateKey as _,
};
use zeroize::Zeroizing;

use super::{Algorithm, JoseError, PublicJwk, jwk::Point};
use crate::random::Random;

/// A private key. Zeroized when dropped, never printed.
#[derive(Clone)]
pub struct PrivateKey(Secret);

#[derive(Clone)]
enum Secret {
    P256(P256Key),
    Ed25519(Ed25519Key),
}

impl PrivateKey {
    /// Generates a new key.
    #[must_use]
    pub fn generate(algorithm: Algorithm, random: &Random) -> Self {
        loop {
            // A random P-256 scalar is out of range once in 2^32.
            if let Ok(key) = Self::from_secret_bytes(algorithm, &random.bytes::<32>()) {
                return key;
            }
        }
    }

    /// From the 32 bytes of `d`.
    pub fn from_secret_bytes(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, JoseError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| JoseError::Key)?;
        match algorithm {
            Algorithm::Es256 => P256Key::from_slice(bytes).map(|key| Self(Secret::P256(key))).map_err(|_| JoseError::Key),
            Algorithm::EdDsa => Ok(Self(Secret::Ed25519(Ed25519Key::from_bytes(bytes)))),
        }
    }

    /// A P-256 key from PKCS #8 in PEM (RFC 5958, RFC 7468).
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, JoseError> {
        P256Key::from_pkcs8_pem(pem).map(|key| Self(Secret::P256(key))).map_err(|_| JoseError::Key)
    }

    /// The 32 bytes of `d`.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match &self.0 {
            Secret::P256(key) => key.to_bytes().to_vec(),
            Secret::Ed25519(key) => key.to_bytes().to_vec(),
        })
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicJwk {
        match &self.0 {
            Secret::P256(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                let (mut x, mut y) = ([0; 32], [0; 32]);
                x.copy_from_slice(&point.as_bytes()[1..33]);
                y.copy_from_slice(&point.as_bytes()[33..65]);
                PublicJwk::trusted(Point::P256(x, y))
            }
            Secret::Ed25519(key) => PublicJwk::trusted(Point::Ed25519(key.verifying_key().to_bytes())),
        }
    }

    /// Signs; 64 bytes, `r || s` for ES256.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.0 {
            Secret::P256(key) => {
                let signature: P256Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Secret::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey of {:?}", self.public())
    }
}
