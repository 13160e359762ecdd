//! Secrets at rest, under the deployment's master key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::random::Random;

const NONCE: usize = 12;

/// Seals and opens with AES-256-GCM: a random nonce, then the ciphertext with its tag.
pub struct Vault {
    key: LessSafeKey,
}

/// Not sealed by this master key for this context, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealed under another master key, for another purpose, or damaged")]
pub struct Unopened;

impl Vault {
    /// Makes a vault.
    ///
    /// # Panics
    /// Never: 32 bytes are an AES-256 key.
    #[must_use]
    pub fn new(master_key: &[u8; 32]) -> Self {
        Self { key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, master_key).expect("32 bytes")) }
    }

    /// Seals. `context` says what for (`credential/<id>`), so that one sealed value cannot stand in for another.
    ///
    /// # Panics
    /// Never for what fits into memory here: GCM takes 64 GiB.
    #[must_use]
    pub fn seal(&self, random: &Random, context: &str, plaintext: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE] = random.bytes();
        let mut sealed = plaintext.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context.as_bytes()), &mut sealed)
            .expect("below 64 GiB");
        [&nonce[..], &sealed].concat()
    }

    /// Opens what was sealed for the same context.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE).ok_or(Unopened)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unopened)?;
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        let length = self.key.open_in_place(nonce, Aad::from(context.as_bytes()), &mut plaintext).map_err(|_| Unopened)?.len();
        plaintext.truncate(length);
        Ok(plaintext)
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_under_the_same_key_and_context_and_undamaged() {
        let vault = Vault::new(&[1; 32]);
        let mut sealed = vault.seal(&Random::seeded(1), "a", b"secret");
        assert_eq!(vault.open("a", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(vault.open("b", &sealed), Err(Unopened));
        assert_eq!(Vault::new(&[2; 32]).open("a", &sealed), Err(Unopened));
        sealed[NONCE] ^= 1;
        assert_eq!(vault.open("a", &sealed), Err(Unopened));
        assert_eq!(vault.open("a", b"short"), Err(Unopened));
    }
}
