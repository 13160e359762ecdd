//! Values cached in memory for a while.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use nodkey_kernel::time::Timestamp;
use tokio::sync::Mutex;

/// A value that is read again when it is old. One caller reads, the others wait.
#[derive(Debug)]
pub struct Fresh<T> {
    lifetime: Duration,
    value: RwLock<Option<(Arc<T>, Timestamp)>>,
    turn: Mutex<()>,
}

impl<T> Fresh<T> {
    /// Creates an empty cache. A value read is used for `lifetime`: a change by another replica takes effect within this time.
    #[must_use]
    pub fn lasting(lifetime: Duration) -> Self {
        Self { lifetime, value: RwLock::new(None), turn: Mutex::default() }
    }
}

impl<T: Send + Sync> Fresh<T> {
    /// The value, if it is fresh.
    #[must_use]
    pub fn held(&self, now: Timestamp) -> Option<Arc<T>> {
        let value = self.value.read().unwrap_or_else(PoisonError::into_inner);
        value.as_ref().filter(|(_, read_at)| read_at.until(now) < self.lifetime).map(|(value, _)| Arc::clone(value))
    }

    /// The value, read again unless it is fresh.
    pub async fn get<E, F>(&self, now: Timestamp, read: impl FnOnce() -> F + Send) -> Result<Arc<T>, E>
    where
        F: Future<Output = Result<T, E>> + Send,
    {
        if let Some(value) = self.held(now) {
            return Ok(value);
        }
        let _turn = self.turn.lock().await;
        if let Some(value) = self.held(now) {
            return Ok(value);
        }
        let value = Arc::new(read().await?);
        self.set(Some((Arc::clone(&value), now)));
        Ok(value)
    }

    /// Makes the next call read the value again. Waits for a read in progress: its result may be old.
    pub async fn forget(&self) {
        let _turn = self.turn.lock().await;
        self.set(None);
    }

    fn set(&self, value: Option<(Arc<T>, Timestamp)>) {
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = value;
    }
}
