//! Keys and prompts, which the platform provides.

use std::future::Future;

use nodkey_kernel::{
    jose::{PublicJwk, jws},
    key_statement::PresenceKind,
};
use serde::Serialize;

use crate::Error;

/// Keys that never leave the device. Signatures are raw: 64 bytes, `r || s` for ES256.
pub trait KeyStore: Send + Sync {
    /// The device key, which signs without a prompt.
    fn device_key(&self) -> PublicJwk;

    /// Signs with the device key.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String>;

    /// The presence keys, the preferred one first. Empty where the device cannot hold any.
    fn presence_keys(&self) -> Vec<(PresenceKind, PublicJwk)>;

    /// Signs with the presence key of that kind. The OS verifies the person first, or has just done so.
    fn sign_with_presence(&self, kind: PresenceKind, message: &[u8]) -> Result<Vec<u8>, PresenceError>;

    /// Presence keys that were replaced by newer ones of their kind and can still sign. At the next registration they vouch for their
    /// successors, which then count; delete them afterwards. None by default: an operating system deletes a key when it creates another.
    fn former_presence_keys(&self) -> Vec<(PresenceKind, PublicJwk)> {
        Vec::new()
    }

    /// Signs with that former presence key. The OS verifies the person first, or has just done so.
    fn sign_with_former_presence(&self, key: &PublicJwk, message: &[u8]) -> Result<Vec<u8>, PresenceError> {
        let _ = (key, message);
        Err(PresenceError::KeyStore("there is no former presence key".to_owned()))
    }
}

/// Why a presence key did not sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresenceError {
    /// The person did not prove their presence.
    #[error("the person did not confirm")]
    Denied,
    /// The OS cannot verify the person in this way now: no fingerprint is enrolled, or the sensor is locked or covered. A presence key of
    /// another kind then signs, if there is one.
    #[error("the device cannot check the person now")]
    Unavailable,
    /// The platform's key store failed.
    #[error("the key store failed: {0}")]
    KeyStore(String),
}

/// Prompts the person for biometrics or passcode.
pub trait UserPresence: Send + Sync {
    /// Resolves once the person has proven their presence. `reason` is the text of the prompt.
    fn confirm(&self, kind: PresenceKind, reason: &str) -> impl Future<Output = Result<(), PresenceError>> + Send;
}

/// Signs with the first of these presence keys whose verification method is available; the person is prompted before it signs.
pub(crate) async fn sign_with_presence(
    (keys, presence): (&impl KeyStore, &impl UserPresence),
    candidates: impl IntoIterator<Item = (PresenceKind, PublicJwk)>,
    (typ, claims): (&str, &(impl Serialize + Sync)),
    reason: &str,
) -> Result<String, Error> {
    for (kind, key) in candidates {
        let confirmed = presence.confirm(kind, reason).await;
        let sign = |input: &[u8]| keys.sign_with_presence(kind, input);
        let result = confirmed.and_then(|()| jws::sign_with(typ, key.algorithm(), Some(&key.thumbprint()), None, claims, sign));
        match result {
            Err(PresenceError::Unavailable) => {}
            result => return Ok(result?),
        }
    }
    Err(PresenceError::Unavailable.into())
}
