//! What the platform owns.

use std::future::Future;

use nodkey_kernel::{jose::PublicJwk, key_statement::PresenceKind};

/// Keys that never leave the device. Signatures are raw: 64 bytes, `r || s` for ES256.
pub trait KeyStore: Send + Sync {
    /// The device key: signs without asking anybody.
    fn device_key(&self) -> PublicJwk;

    /// Signs with the device key.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String>;

    /// The presence keys, the preferred one first. Empty where the device cannot hold any.
    fn presence_keys(&self) -> Vec<(PresenceKind, PublicJwk)>;

    /// Signs with the presence key of that kind. The OS asks the person first, or has just done so.
    fn sign_with_presence(&self, kind: PresenceKind, message: &[u8]) -> Result<Vec<u8>, String>;

    /// Presence keys that newer ones of their kind replaced and that still sign. At the next registration they vouch for their successors,
    /// which count then; afterwards delete them. None by default: an operating system deletes a key when it makes another.
    fn former_presence_keys(&self) -> Vec<(PresenceKind, PublicJwk)> {
        Vec::new()
    }

    /// Signs with that former presence key. The OS asks the person first, or has just done so.
    fn sign_with_former_presence(&self, key: &PublicJwk, message: &[u8]) -> Result<Vec<u8>, String> {
        let _ = (key, message);
        Err("there is no former presence key".to_owned())
    }
}

/// The person did not prove their presence.
#[derive(Debug, thiserror::Error)]
#[error("the person did not confirm")]
pub struct PresenceDenied;

/// Asks the person: biometrics or passcode.
pub trait UserPresence: Send + Sync {
    /// Resolves once the person has proven their presence. `reason` says what for.
    fn confirm(&self, kind: PresenceKind, reason: &str) -> impl Future<Output = Result<(), PresenceDenied>> + Send;
}
