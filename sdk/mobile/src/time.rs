//! A phone's source of time and randomness.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

pub use nodkey_kernel::{
    random::Random,
    time::{Clock, Timestamp},
};

/// A phone's source of time and randomness: the system, or a test.
#[derive(Clone, Debug)]
pub struct Time {
    /// Source of the current time.
    pub clock: Clock,
    /// Source of nonces and randomized pauses.
    pub random: Random,
    /// Waits between two attempts.
    pub sleep: Sleep,
}

impl Time {
    /// The system's clock, randomness and timer.
    #[must_use]
    pub fn system() -> Self {
        Self { clock: Clock::system(), random: Random::system(), sleep: Sleep::new(tokio::time::sleep) }
    }
}

/// Waits for a duration.
#[derive(Clone)]
pub struct Sleep(Arc<Sleeping>);

type Sleeping = dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

impl Sleep {
    /// Creates one that waits with the given function.
    pub fn new<F: Future<Output = ()> + Send + 'static>(sleep: impl Fn(Duration) -> F + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |pause| Box::pin(sleep(pause))))
    }

    pub(crate) async fn pass(&self, pause: Duration) {
        (self.0)(pause).await;
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sleep")
    }
}
