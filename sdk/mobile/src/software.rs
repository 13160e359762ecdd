//! Keys in memory and a person who always confirms: for tests, the virtual phone and demos. Not for real phones.

use nodkey_kernel::{
    jose::{Algorithm, PrivateKey, PublicJwk},
    random::Random,
};

use crate::{KeyStore, PresenceError, PresenceKind, UserPresence};

/// Keys in memory.
#[derive(Clone, Debug)]
pub struct SoftwareKeyStore {
    device: PrivateKey,
    presence: Vec<(PresenceKind, PrivateKey)>,
    former: Vec<(PresenceKind, PrivateKey)>,
}

impl SoftwareKeyStore {
    /// Generates an ES256 device key and one biometric presence key.
    #[must_use]
    pub fn generate() -> Self {
        let random = Random::system();
        let presence = PrivateKey::generate(Algorithm::Es256, &random);
        Self::new(PrivateKey::generate(Algorithm::Es256, &random), vec![(PresenceKind::Biometric, presence)])
    }

    /// Creates a store with the given keys.
    #[must_use]
    pub fn new(device: PrivateKey, presence: Vec<(PresenceKind, PrivateKey)>) -> Self {
        Self { device, presence, former: Vec::new() }
    }

    /// Adds former presence keys.
    #[must_use]
    pub fn with_former(self, former: Vec<(PresenceKind, PrivateKey)>) -> Self {
        Self { former, ..self }
    }

    /// Replaces the presence key of that kind. The old key is kept as a former one, to vouch for the new one.
    #[must_use]
    pub fn with_new_presence_key(self, kind: PresenceKind, key: PrivateKey) -> Self {
        let (replaced, mut presence): (Vec<_>, Vec<_>) = self.presence.into_iter().partition(|(k, _)| *k == kind);
        presence.push((kind, key));
        Self { device: self.device, presence, former: [self.former, replaced].concat() }
    }

    /// The former presence keys, for storage by the creator of the store.
    #[must_use]
    pub fn private_former_keys(&self) -> &[(PresenceKind, PrivateKey)] {
        &self.former
    }

    /// The private keys, for storage by the creator of the store.
    #[must_use]
    pub fn private_keys(&self) -> (&PrivateKey, &[(PresenceKind, PrivateKey)]) {
        (&self.device, &self.presence)
    }
}

impl KeyStore for SoftwareKeyStore {
    fn device_key(&self) -> PublicJwk {
        self.device.public()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        Ok(self.device.sign(message))
    }

    fn presence_keys(&self) -> Vec<(PresenceKind, PublicJwk)> {
        self.presence.iter().map(|(kind, key)| (*kind, key.public())).collect()
    }

    fn sign_with_presence(&self, kind: PresenceKind, message: &[u8]) -> Result<Vec<u8>, PresenceError> {
        let key = self.presence.iter().find(|(k, _)| *k == kind);
        let (_, key) = key.ok_or_else(|| PresenceError::KeyStore("no presence key of this kind".to_owned()))?;
        Ok(key.sign(message))
    }

    fn former_presence_keys(&self) -> Vec<(PresenceKind, PublicJwk)> {
        self.former.iter().map(|(kind, key)| (*kind, key.public())).collect()
    }

    fn sign_with_former_presence(&self, key: &PublicJwk, message: &[u8]) -> Result<Vec<u8>, PresenceError> {
        let former = self.former.iter().find(|(_, former)| former.public() == *key);
        let (_, former) = former.ok_or_else(|| PresenceError::KeyStore("no such former presence key".to_owned()))?;
        Ok(former.sign(message))
    }
}

/// A person who always confirms.
#[derive(Clone, Copy, Debug)]
pub struct AlwaysPresent;

impl UserPresence for AlwaysPresent {
    async fn confirm(&self, _: PresenceKind, _: &str) -> Result<(), PresenceError> {
        Ok(())
    }
}

/// A person who never confirms.
#[derive(Clone, Copy, Debug)]
pub struct NeverPresent;

impl UserPresence for NeverPresent {
    async fn confirm(&self, _: PresenceKind, _: &str) -> Result<(), PresenceError> {
        Err(PresenceError::Denied)
    }
}
