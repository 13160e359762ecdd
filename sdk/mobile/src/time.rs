//! Where a phone takes time and randomness from.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

pub use nodkey_kernel::{
    random::Random,
    time::{Clock, Timestamp},
};

/// Where a phone takes time and randomness from: the system, or a test.
#[derive(Clone, Debug)]
pub struct Time {
    /// Says what time it is.
    pub clock: Clock,
    /// Makes nonces, and pauses that are not the same for all.
    pub random: Random,
    /// Lets time pass between two attempts.
    pub sleep: Sleep,
}

impl Time {
    /// The system's.
    #[must_use]
    pub fn system() -> Self {
        Self { clock: Clock::system(), random: Random::system(), sleep: Sleep::new(tokio::time::sleep) }
    }
}

/// Lets time pass.
#[derive(Clone)]
pub struct Sleep(Arc<Sleeping>);

type Sleeping = dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

impl Sleep {
    /// Lets it pass so.
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
