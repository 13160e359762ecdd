//! Detects replays: remembers what was used, for as long as it would be accepted.

use std::time::{Duration, Instant};

use moka::{Expiry, future::Cache};
use nodkey_kernel::jose::sha256;

/// How long a DPoP proof is remembered. It is accepted up to 60 s before and after its `iat`.
pub const PROOF: Duration = Duration::from_secs(125);

/// The memory of used proofs and signatures, of one instance. Somebody who has already broken TLS could use one once at each of several
/// gateways before it expires.
#[derive(Clone, Debug)]
pub struct Replays(Cache<[u8; 32], Duration>);

impl Replays {
    /// Remembers at most this many.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self(Cache::builder().max_capacity(capacity).expire_after(AsLong).build())
    }

    /// Returns true the first time that `what` comes from `whom`, and remembers it for `lifetime`.
    pub async fn first(&self, whom: &str, what: &str, lifetime: Duration) -> bool {
        self.0.entry(key(whom, what)).or_insert(lifetime).await.is_fresh()
    }

    /// Whether it was used before. Remembers nothing.
    pub fn has(&self, whom: &str, what: &str) -> bool {
        self.0.contains_key(&key(whom, what))
    }
}

fn key(whom: &str, what: &str) -> [u8; 32] {
    sha256(format!("{whom}.{what}").as_bytes())
}

/// Keeps each entry for the lifetime that it holds.
struct AsLong;

impl Expiry<[u8; 32], Duration> for AsLong {
    fn expire_after_create(&self, _: &[u8; 32], lifetime: &Duration, _: Instant) -> Option<Duration> {
        Some(*lifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_again_is_noticed_by_whom_it_is_from() {
        let replays = Replays::new(100);
        assert!(replays.first("a", "x", PROOF).await);
        assert!(!replays.first("a", "x", PROOF).await);
        assert!(replays.first("b", "x", PROOF).await && replays.first("a", "y", PROOF).await);
        assert!(replays.first("a", "z", Duration::ZERO).await && replays.first("a", "z", PROOF).await, "its time is over");
    }
}
