//! Time and randomness, as parameters.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use nodkey_kernel::{
    random::Random,
    time::{Clock, Timestamp},
};

use crate::wire::{system_time, timestamp};

/// A phone's source of time and randomness: [`SystemEnvironment`], or a test.
#[async_trait]
pub trait Environment: Send + Sync {
    /// The current time.
    fn now(&self) -> SystemTime;

    /// Fills the buffer with random bytes, which have to be unpredictable: proofs contain them.
    fn fill(&self, buffer: &mut [u8]);

    /// Waits for that long.
    async fn sleep(&self, pause: Duration);
}

/// The system's clock and randomness, and the timer of Tokio.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnvironment;

#[async_trait]
impl Environment for SystemEnvironment {
    fn now(&self) -> SystemTime {
        system_time(Clock::system().now())
    }

    fn fill(&self, buffer: &mut [u8]) {
        Random::system().fill(buffer);
    }

    async fn sleep(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
    }
}

/// What the library needs of an environment.
impl dyn Environment {
    pub(crate) fn timestamp(&self) -> Timestamp {
        timestamp(self.now())
    }

    /// 128 random bits in base64url.
    pub(crate) fn token(&self) -> String {
        nodkey_kernel::jose::b64u(&self.bytes::<16>())
    }

    /// Randomness for a pause.
    pub(crate) fn jitter(&self) -> Random {
        Random::seeded(u64::from_be_bytes(self.bytes()))
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}
