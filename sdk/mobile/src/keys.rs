//! Keys and prompts, which the platform provides.

use std::fmt;

use async_trait::async_trait;
use nodkey_kernel::{
    jose::{self, JoseError, PublicJwk, p256_signature_from_der},
    key_statement,
};

/// The signature algorithm of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256, which Secure Enclave and Android Keystore have (RFC 7518 section 3.4).
    Es256,
    /// Ed25519 (RFC 8037).
    EdDsa,
}

impl Algorithm {
    /// Its name in a JWS: `ES256` or `EdDSA`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.to_kernel().as_str()
    }

    pub(crate) const fn to_kernel(self) -> jose::Algorithm {
        match self {
            Self::Es256 => jose::Algorithm::Es256,
            Self::EdDsa => jose::Algorithm::EdDsa,
        }
    }
}

/// The bytes are not a key, or not a signature, of the kind that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedKey {
    /// Not a public key, or a point that is not on the curve.
    #[error("malformed public key")]
    PublicKey,
    /// Not a private key.
    #[error("malformed private key")]
    PrivateKey,
    /// Not a signature.
    #[error("malformed signature")]
    Signature,
}

/// A public key: P-256 or Ed25519, a valid point.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(pub(crate) PublicJwk);

impl PublicKey {
    /// A P-256 key from its 65 bytes, `04 || x || y`: `SecKeyCopyExternalRepresentation` and `x963Representation` on iOS.
    pub fn from_p256_point(bytes: &[u8]) -> Result<Self, MalformedKey> {
        Self::read(PublicJwk::from_raw_p256(bytes))
    }

    /// A P-256 key from its `SubjectPublicKeyInfo` in DER: `PublicKey.getEncoded` on Android.
    pub fn from_p256_spki(der: &[u8]) -> Result<Self, MalformedKey> {
        Self::read(PublicJwk::from_p256_spki(der))
    }

    /// An Ed25519 key from its 32 bytes.
    pub fn from_ed25519(bytes: &[u8]) -> Result<Self, MalformedKey> {
        Self::read(PublicJwk::from_raw_ed25519(bytes))
    }

    /// A key from its JWK (RFC 7517). One with private members is refused.
    pub fn from_jwk(json: &str) -> Result<Self, MalformedKey> {
        Self::read(PublicJwk::parse(json))
    }

    fn read(key: Result<PublicJwk, JoseError>) -> Result<Self, MalformedKey> {
        key.map(Self).map_err(|_| MalformedKey::PublicKey)
    }

    /// The JWK in JSON.
    #[must_use]
    pub fn to_jwk(&self) -> String {
        self.0.to_value().to_string()
    }

    /// What it verifies.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.0.algorithm() {
            jose::Algorithm::Es256 => Algorithm::Es256,
            jose::Algorithm::EdDsa => Algorithm::EdDsa,
        }
    }

    /// Its thumbprint (RFC 7638), 43 characters. That of the device key is the device identifier.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.0.thumbprint()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The 64 bytes `r || s` of a P-256 signature in DER, which `SecKeyCreateSignature` on iOS and `SHA256withECDSA` on Android return.
pub fn es256_signature_from_der(der: &[u8]) -> Result<Vec<u8>, MalformedKey> {
    p256_signature_from_der(der).map_err(|_| MalformedKey::Signature)
}

/// How the person is verified before a presence key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PresenceKind {
    /// By fingerprint or face.
    Biometric,
    /// By PIN, pattern or passcode of the device.
    Credential,
}

impl PresenceKind {
    /// `biometric` or `credential`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.to_kernel().as_str()
    }

    pub(crate) const fn to_kernel(self) -> key_statement::PresenceKind {
        match self {
            Self::Biometric => key_statement::PresenceKind::Biometric,
            Self::Credential => key_statement::PresenceKind::Credential,
        }
    }

    pub(crate) const fn from_kernel(kind: key_statement::PresenceKind) -> Self {
        match kind {
            key_statement::PresenceKind::Biometric => Self::Biometric,
            key_statement::PresenceKind::Credential => Self::Credential,
        }
    }
}

/// A key that signs only after the operating system has verified the person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceKey {
    /// How the person is verified.
    pub kind: PresenceKind,
    /// The public key, by which the key store finds the private one.
    pub public_key: PublicKey,
}

impl PresenceKey {
    /// A presence key.
    #[must_use]
    pub const fn new(kind: PresenceKind, public_key: PublicKey) -> Self {
        Self { kind, public_key }
    }
}

/// The operating system's key store: keys that never leave the device.
///
/// A signature has 64 bytes: `r || s` for ES256 ([`es256_signature_from_der`]). The store hashes the message itself, as ECDSA with SHA-256
/// and Ed25519 do.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// The device key. The phone asks once, when it is built.
    async fn device_key(&self) -> Result<PublicKey, KeyStoreError>;

    /// Signs with the device key, without a prompt.
    async fn sign(&self, message: Vec<u8>) -> Result<Vec<u8>, KeyStoreError>;

    /// The presence keys, at most one of each kind, the preferred one first. Empty where the device cannot hold any.
    async fn presence_keys(&self) -> Result<Vec<PresenceKey>, KeyStoreError>;

    /// Presence keys that were replaced by newer ones of their kind and can still sign. At the next registration they vouch for their
    /// successors, which then count; delete them afterwards. Usually empty: an operating system deletes a key when it creates another.
    async fn former_presence_keys(&self) -> Result<Vec<PresenceKey>, KeyStoreError>;

    /// Signs with that presence key, which may be a former one. `reason` is the text of the prompt, for an operating system that shows it
    /// when a key signs. One call is one signature and at most one prompt.
    ///
    /// [`PresenceError::Unavailable`], [`PresenceError::LockedOut`] and a key that is [gone](KeyStoreError::KeyNotFound) make the phone try
    /// its next presence key where any of them will do. Every other error ends the attempt.
    async fn sign_with_presence(&self, key: PresenceKey, message: Vec<u8>, reason: String) -> Result<Vec<u8>, PresenceError>;
}

/// Prompts the person for biometrics or passcode before a presence key signs, for key stores that do not prompt themselves.
#[async_trait]
pub trait UserPresence: Send + Sync {
    /// Resolves once the person has proven their presence. `reason` is the text of the prompt.
    async fn confirm(&self, kind: PresenceKind, reason: String) -> Result<(), PresenceError>;
}

/// Leaves the prompt to the key store.
pub(crate) struct PromptedByKeyStore;

#[async_trait]
impl UserPresence for PromptedByKeyStore {
    async fn confirm(&self, _: PresenceKind, _: String) -> Result<(), PresenceError> {
        Ok(())
    }
}

/// Why a key store failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyStoreError {
    /// The key is gone: the operating system deletes presence keys when fingerprints, faces or the passcode change.
    #[error("the key is gone")]
    KeyNotFound,
    /// The keys cannot be used before the person has unlocked the device.
    #[error("the device is locked")]
    DeviceLocked,
    /// Anything else. The message is for the app's log, not for the person; it must contain nothing secret.
    #[error("the key store failed: {message}")]
    Failed {
        /// What happened.
        message: String,
    },
}

/// Why a presence key did not sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// The person did not confirm.
    #[error("the person did not confirm")]
    Denied,
    /// The operating system cannot verify the person in this way now: no fingerprint is enrolled, no passcode is set, the sensor is covered.
    #[error("the device cannot check the person now")]
    Unavailable,
    /// Too many failed attempts: the operating system does not verify the person in this way for some time, or until the passcode was
    /// entered.
    #[error("too many failed attempts: the device does not check the person in this way now")]
    LockedOut,
    /// The key store failed.
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
}

impl PresenceError {
    /// Whether the person may still confirm in another way.
    pub(crate) const fn leaves_other_ways(&self) -> bool {
        matches!(self, Self::Unavailable | Self::LockedOut | Self::KeyStore(KeyStoreError::KeyNotFound))
    }
}
