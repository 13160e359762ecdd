//! Randomness as a parameter.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::jose;

/// Source of random bytes.
#[derive(Clone, Debug)]
pub enum Random {
    /// The operating system.
    System,
    /// The same bytes for the same seed, for tests only.
    Seeded(Arc<Seeded>),
}

/// SHA-256 in counter mode.
#[derive(Debug)]
pub struct Seeded {
    seed: u64,
    counter: AtomicU64,
}

impl Random {
    /// The operating system's randomness.
    #[must_use]
    pub const fn system() -> Self {
        Self::System
    }

    /// Repeatable bytes, for tests only.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(Seeded { seed, counter: AtomicU64::new(0) }))
    }

    /// Fills a buffer.
    ///
    /// # Panics
    /// If the operating system cannot provide randomness: nothing secure can be done without it.
    pub fn fill(&self, buffer: &mut [u8]) {
        match self {
            Self::System => getrandom::fill(buffer).expect("the operating system gives random bytes"),
            Self::Seeded(seeded) => {
                for chunk in buffer.chunks_mut(32) {
                    let n = seeded.counter.fetch_add(1, Ordering::SeqCst);
                    let mut block = [0; 16];
                    block[..8].copy_from_slice(&seeded.seed.to_be_bytes());
                    block[8..].copy_from_slice(&n.to_be_bytes());
                    chunk.copy_from_slice(&jose::sha256(&block)[..chunk.len()]);
                }
            }
        }
    }

    /// Returns `N` bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Returns 128 random bits as 22 base64url characters.
    #[must_use]
    pub fn token(&self) -> String {
        jose::b64u(&self.bytes::<16>())
    }

    /// Returns a number below `bound`, each equally likely; 0 for a bound of 0.
    #[must_use]
    pub fn below(&self, bound: u32) -> u32 {
        // 64 bits for a 32-bit bound: the bias is below 2^-32.
        let wide = u64::from_be_bytes(self.bytes());
        u32::try_from(wide % u64::from(bound.max(1))).unwrap_or(0)
    }
}
