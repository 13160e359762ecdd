//! Proofs that were seen, as long as they would be taken.

use std::time::Duration;

use moka::future::Cache;
use nodkey_kernel::jose::sha256;

/// A proof is taken up to 60 s before and after its `iat`.
const WINDOW: Duration = Duration::from_secs(125);

/// Remembers proofs. One instance's memory: a proof could be used once at each of several gateways, within its minute, by who
/// already broke TLS, and every call is idempotent.
#[derive(Clone, Debug)]
pub struct Replays(Cache<[u8; 32], ()>);

impl Replays {
    /// Remembers at most so many.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self(Cache::builder().max_capacity(capacity).time_to_live(WINDOW).build())
    }

    /// True the first time.
    pub async fn first(&self, device: &str, jti: &str) -> bool {
        let key = sha256(format!("{device}.{jti}").as_bytes());
        self.0.entry(key).or_insert(()).await.is_fresh()
    }
}
