//! Keys in memory and a person who never confirms: for tests, virtual phones and demos. Not for real phones.

use std::fmt;

use async_trait::async_trait;
use nodkey_kernel::{jose::PrivateKey, random::Random};

use crate::{Algorithm, KeyStore, KeyStoreError, MalformedKey, PresenceError, PresenceKey, PresenceKind, PublicKey, UserPresence};

/// A private key in memory. Zeroized when dropped, never shown in debug output.
#[derive(Clone)]
pub struct SoftwareKey(PrivateKey);

impl SoftwareKey {
    /// Generates a key.
    #[must_use]
    pub fn generate(algorithm: Algorithm) -> Self {
        Self(PrivateKey::generate(algorithm.to_kernel(), &Random::system()))
    }

    /// From its 32 bytes, the `d` of a JWK.
    pub fn from_secret_bytes(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, MalformedKey> {
        PrivateKey::from_secret_bytes(algorithm.to_kernel(), bytes).map(Self).map_err(|_| MalformedKey::PrivateKey)
    }

    /// Its 32 bytes, to store where nobody else can read them.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Vec<u8> {
        self.0.to_secret_bytes().to_vec()
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.public())
    }
}

impl fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Keys in memory. Presence keys sign without a prompt.
#[derive(Clone, Debug)]
pub struct SoftwareKeyStore {
    device: SoftwareKey,
    presence: Vec<(PresenceKind, SoftwareKey)>,
    former: Vec<(PresenceKind, SoftwareKey)>,
}

impl SoftwareKeyStore {
    /// Generates an ES256 device key and one biometric presence key.
    #[must_use]
    pub fn generate() -> Self {
        let presence = SoftwareKey::generate(Algorithm::Es256);
        Self::new(SoftwareKey::generate(Algorithm::Es256), vec![(PresenceKind::Biometric, presence)])
    }

    /// Creates a store with the given keys.
    #[must_use]
    pub const fn new(device: SoftwareKey, presence: Vec<(PresenceKind, SoftwareKey)>) -> Self {
        Self { device, presence, former: Vec::new() }
    }

    /// Replaces the former presence keys.
    #[must_use]
    pub fn with_former(self, former: Vec<(PresenceKind, SoftwareKey)>) -> Self {
        Self { former, ..self }
    }

    /// Replaces the presence key of that kind. The old key is kept as a former one, to vouch for the new one.
    #[must_use]
    pub fn with_new_presence_key(self, kind: PresenceKind, key: SoftwareKey) -> Self {
        let (replaced, mut presence): (Vec<_>, Vec<_>) = self.presence.into_iter().partition(|(k, _)| *k == kind);
        presence.push((kind, key));
        Self { device: self.device, presence, former: [self.former, replaced].concat() }
    }

    /// The private device key.
    #[must_use]
    pub const fn private_device_key(&self) -> &SoftwareKey {
        &self.device
    }

    /// The private presence keys.
    #[must_use]
    pub fn private_presence_keys(&self) -> &[(PresenceKind, SoftwareKey)] {
        &self.presence
    }

    /// The private former presence keys.
    #[must_use]
    pub fn private_former_keys(&self) -> &[(PresenceKind, SoftwareKey)] {
        &self.former
    }
}

fn public(keys: &[(PresenceKind, SoftwareKey)]) -> Vec<PresenceKey> {
    keys.iter().map(|(kind, key)| PresenceKey::new(*kind, key.public_key())).collect()
}

#[async_trait]
impl KeyStore for SoftwareKeyStore {
    async fn device_key(&self) -> Result<PublicKey, KeyStoreError> {
        Ok(self.device.public_key())
    }

    async fn sign(&self, message: Vec<u8>) -> Result<Vec<u8>, KeyStoreError> {
        Ok(self.device.0.sign(&message))
    }

    async fn presence_keys(&self) -> Result<Vec<PresenceKey>, KeyStoreError> {
        Ok(public(&self.presence))
    }

    async fn former_presence_keys(&self) -> Result<Vec<PresenceKey>, KeyStoreError> {
        Ok(public(&self.former))
    }

    async fn sign_with_presence(&self, key: PresenceKey, message: Vec<u8>, _reason: String) -> Result<Vec<u8>, PresenceError> {
        let own = self.presence.iter().chain(&self.former).find(|(_, own)| own.public_key() == key.public_key);
        let (_, own) = own.ok_or(KeyStoreError::KeyNotFound)?;
        Ok(own.0.sign(&message))
    }
}

/// A person who never confirms.
#[derive(Clone, Copy, Debug, Default)]
pub struct NeverPresent;

#[async_trait]
impl UserPresence for NeverPresent {
    async fn confirm(&self, _: PresenceKind, _: String) -> Result<(), PresenceError> {
        Err(PresenceError::Denied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_do_not_show_in_debug_output() {
        let key = SoftwareKey::from_secret_bytes(Algorithm::Es256, &[7; 32]).unwrap();
        let store = SoftwareKeyStore::new(key.clone(), vec![(PresenceKind::Biometric, key.clone())]);
        let shown = format!("{store:?}");
        assert!(shown.contains(&key.public_key().thumbprint()) && !shown.contains("7, 7"), "{shown}");
        assert!(SoftwareKey::from_secret_bytes(Algorithm::Es256, &[0; 32]).is_err());
    }
}
