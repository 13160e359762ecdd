//! Secrets at rest, under the deployment's master key.
//!
//! A sealed value is, in bytes: `"nk\x01\x00"`, the id of the master key (8), the nonce (12), and the ciphertext with its tag. Older values
//! begin with the nonce and are opened with whichever key fits.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hmac,
};
use zeroize::Zeroizing;

use crate::{jose::hmac_sha256, random::Random};

const NONCE: usize = 12;
const VERSION: [u8; 4] = *b"nk\x01\x00";
const KEY_ID: usize = 8;

/// Length of the prefix that names the format and the key.
pub const PREFIX: usize = VERSION.len() + KEY_ID;

/// Seals and opens with AES-256-GCM. Seals with the current master key, and opens with its predecessors as well. Public data is
/// authenticated with HMAC-SHA-256 under a separate key, derived from the same master key: anonymous callers may trigger that without
/// limit, whereas a random nonce of GCM is safe for a limited number of uses only.
pub struct Vault {
    current: MasterKey,
    previous: Vec<MasterKey>,
}

struct MasterKey {
    prefix: [u8; PREFIX],
    aead: LessSafeKey,
    mac: hmac::Key,
}

/// Not sealed or authenticated with a known master key for this context, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealed under another master key, for another purpose, or damaged")]
pub struct Unopened;

impl Vault {
    /// Creates a vault with one master key.
    #[must_use]
    pub fn new(master_key: &[u8; 32]) -> Self {
        Self { current: MasterKey::new(master_key), previous: Vec::new() }
    }

    /// Adds earlier keys for opening values.
    #[must_use]
    pub fn opening<'a>(mut self, previous: impl IntoIterator<Item = &'a [u8; 32]>) -> Self {
        self.previous.extend(previous.into_iter().map(MasterKey::new));
        self
    }

    /// The prefix of everything sealed with the current master key. Anything else has it only by chance, with probability 2^-96.
    #[must_use]
    pub const fn prefix(&self) -> &[u8; PREFIX] {
        &self.current.prefix
    }

    /// The ids of the vault's master keys, the current one first. They are not secret: every sealed value names its key.
    pub fn key_ids(&self) -> impl Iterator<Item = String> {
        std::iter::once(&self.current).chain(&self.previous).map(|key| hex::encode(&key.prefix[VERSION.len()..]))
    }

    /// Returns a 32-byte tag over a message, which only the current master key can make. `context` names the purpose
    /// (`device-challenge/<id>`) and must contain no NUL.
    #[must_use]
    pub fn mac(&self, context: &str, message: &[u8]) -> Vec<u8> {
        hmac::sign(&self.current.mac, &of_context(context, message)).as_ref().to_vec()
    }

    /// Checks a tag with the current master key or a predecessor, in constant time.
    pub fn verify_mac(&self, context: &str, message: &[u8], tag: &[u8]) -> Result<(), Unopened> {
        let message = of_context(context, message);
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        keys.find_map(|key| hmac::verify(&key.mac, &message, tag).ok()).ok_or(Unopened)
    }

    /// Seals a value. `context` names the purpose (`credential/<id>`), so that one sealed value cannot be used in place of another.
    ///
    /// # Panics
    /// Never for values that fit in memory here: GCM accepts 64 GiB.
    #[must_use]
    pub fn seal(&self, random: &Random, context: &str, plaintext: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE] = random.bytes();
        let mut sealed = plaintext.to_vec();
        let MasterKey { prefix, aead, .. } = &self.current;
        aead.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context.as_bytes()), &mut sealed)
            .expect("below 64 GiB");
        [prefix, &nonce[..], &sealed].concat()
    }

    /// Opens a value that was sealed for the same context.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        if let Some((prefix, rest)) = sealed.split_at_checked(PREFIX)
            && let Some(key) = keys.clone().find(|key| key.prefix == prefix)
        {
            return key.open(context, rest);
        }
        keys.find_map(|key| key.open(context, sealed).ok()).ok_or(Unopened)
    }

    /// Reseals with the current master key a value that another sealed; `None` when the current one did.
    pub fn reseal(&self, random: &Random, context: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>, Unopened> {
        if sealed.starts_with(&self.current.prefix) {
            return Ok(None);
        }
        Ok(Some(self.seal(random, context, &self.open(context, sealed)?)))
    }
}

impl MasterKey {
    fn new(master_key: &[u8; 32]) -> Self {
        let mut prefix = [0; PREFIX];
        prefix[..VERSION.len()].copy_from_slice(&VERSION);
        prefix[VERSION.len()..].copy_from_slice(&hmac_sha256(master_key, b"nodkey master key id")[..KEY_ID]);
        let mac = hmac::Key::new(hmac::HMAC_SHA256, &hmac_sha256(master_key, b"nodkey/vault/mac"));
        Self { prefix, aead: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, master_key).expect("32 bytes")), mac }
    }

    fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE).ok_or(Unopened)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unopened)?;
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        let length = self.aead.open_in_place(nonce, Aad::from(context.as_bytes()), &mut plaintext).map_err(|_| Unopened)?.len();
        plaintext.truncate(length);
        Ok(plaintext)
    }
}

/// The id of the master key that sealed a value; `None` for older values, which do not name it.
#[must_use]
pub fn key_id(sealed: &[u8]) -> Option<String> {
    Some(hex::encode(sealed.strip_prefix(&VERSION)?.get(..KEY_ID)?))
}

fn of_context(context: &str, message: &[u8]) -> Vec<u8> {
    [context.as_bytes(), &[0], message].concat()
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURRENT: [u8; 32] = [1; 32];
    const PREVIOUS: [u8; 32] = [2; 32];

    #[test]
    fn opens_only_under_the_same_key_and_context_and_undamaged() {
        let vault = Vault::new(&CURRENT);
        let mut sealed = vault.seal(&Random::seeded(1), "a", b"secret");
        assert_eq!(vault.open("a", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(vault.open("b", &sealed), Err(Unopened));
        assert_eq!(Vault::new(&PREVIOUS).open("a", &sealed), Err(Unopened));
        assert_eq!(Vault::new(&PREVIOUS).opening([&CURRENT]).open("b", &sealed), Err(Unopened));
        for at in 0..sealed.len() {
            sealed[at] ^= 1;
            assert_eq!(vault.open("a", &sealed), Err(Unopened), "byte {at}");
            sealed[at] ^= 1;
        }
        for short in 0..sealed.len() {
            assert_eq!(vault.open("a", &sealed[..short]), Err(Unopened));
        }
    }

    #[test]
    fn what_a_predecessor_sealed_opens_and_is_sealed_anew_once() {
        let random = Random::seeded(1);
        let (old, vault) = (Vault::new(&PREVIOUS), Vault::new(&CURRENT).opening([&PREVIOUS]));
        let sealed = old.seal(&random, "a", b"secret");
        assert!(sealed.starts_with(old.prefix()) && old.prefix() != vault.prefix());
        assert_eq!(vault.open("a", &sealed).unwrap().as_slice(), b"secret");
        let anew = vault.reseal(&random, "a", &sealed).unwrap().unwrap();
        assert!(anew.starts_with(vault.prefix()));
        assert_eq!(Vault::new(&CURRENT).open("a", &anew).unwrap().as_slice(), b"secret");
        assert_eq!(vault.reseal(&random, "a", &anew), Ok(None));
        assert_eq!(Vault::new(&CURRENT).reseal(&random, "a", &sealed), Err(Unopened));
        // During a rolling change, a value sealed with the successor opens wherever the successor is known beside the key that still seals.
        assert_eq!(Vault::new(&PREVIOUS).opening([&CURRENT]).open("a", &anew).unwrap().as_slice(), b"secret");
    }

    /// Nonce, ciphertext, tag: the format of earlier releases.
    #[test]
    fn values_without_a_key_id_open_by_whichever_key_fits() {
        let random = Random::seeded(1);
        let vault = Vault::new(&CURRENT).opening([&PREVIOUS]);
        for sealer in [Vault::new(&CURRENT), Vault::new(&PREVIOUS)] {
            let sealed = sealer.seal(&random, "a", b"secret");
            let without = &sealed[PREFIX..];
            assert_eq!(vault.open("a", without).unwrap().as_slice(), b"secret");
            assert!(vault.reseal(&random, "a", without).unwrap().unwrap().starts_with(vault.prefix()));
        }
    }

    #[test]
    fn a_tag_holds_only_under_the_same_key_for_the_same_context_and_message() {
        let vault = Vault::new(&[1; 32]);
        let tag = vault.mac("a", b"message");
        assert_eq!(vault.verify_mac("a", b"message", &tag), Ok(()));
        assert_eq!(vault.verify_mac("b", b"message", &tag), Err(Unopened));
        assert_eq!(vault.verify_mac("a", b"messages", &tag), Err(Unopened));
        assert_eq!(vault.verify_mac("am", b"essage", &tag), Err(Unopened));
        assert_eq!(vault.verify_mac("a", b"message", &tag[..16]), Err(Unopened));
        assert_eq!(Vault::new(&[2; 32]).verify_mac("a", b"message", &tag), Err(Unopened));
        assert_eq!(Vault::new(&[2; 32]).opening([&[1; 32]]).verify_mac("a", b"message", &tag), Ok(()));
    }
}
