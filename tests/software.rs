//! Keys of software phones that the test signs with as well.

use nodkey_kernel::jose::{Algorithm, PrivateKey};
use nodkey_mobile_sdk::{
    Algorithm as PhoneAlgorithm, PresenceKind,
    software::{SoftwareKey, SoftwareKeyStore},
};

/// The same key for a phone.
pub fn software(key: &PrivateKey) -> SoftwareKey {
    let algorithm = match key.public().algorithm() {
        Algorithm::Es256 => PhoneAlgorithm::Es256,
        Algorithm::EdDsa => PhoneAlgorithm::EdDsa,
    };
    SoftwareKey::from_secret_bytes(algorithm, &key.to_secret_bytes()).unwrap()
}

/// The keys of a phone with this device key and a presence key of its own.
pub fn of_device(device: &PrivateKey) -> SoftwareKeyStore {
    let presence = SoftwareKey::generate(PhoneAlgorithm::Es256);
    SoftwareKeyStore::new(software(device), vec![(PresenceKind::Biometric, presence)])
}

/// The keys of a phone with this device key and these presence keys.
pub fn store(device: &PrivateKey, presence: &[(PresenceKind, &PrivateKey)]) -> SoftwareKeyStore {
    SoftwareKeyStore::new(software(device), presence.iter().map(|(kind, key)| (*kind, software(key))).collect())
}
