//! The state of a connection pool, as metrics.

use metrics::{Gauge, Histogram};

use crate::metrics::{ACQUIRE, CONNECTIONS, MAX_CONNECTIONS, WAITING};

/// The pool of one database.
pub(crate) struct Gauges {
    busy: Gauge,
    idle: Gauge,
    most: Gauge,
    waiting: Gauge,
    /// Time until a connection was available.
    pub(crate) acquire: Histogram,
}

impl Gauges {
    /// For the database with this name.
    pub(crate) fn new(database: &str) -> Self {
        let connections = |state: &str| CONNECTIONS.with([database.to_owned(), state.to_owned()]);
        Self {
            busy: connections("busy"),
            idle: connections("idle"),
            most: MAX_CONNECTIONS.with([database.to_owned()]),
            waiting: WAITING.with([database.to_owned()]),
            acquire: ACQUIRE.with([database.to_owned()]),
        }
    }

    /// Reports the state of the pool.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
    pub(crate) fn report(&self, pool: &deadpool::Status) {
        self.busy.set(pool.size.saturating_sub(pool.available) as f64);
        self.idle.set(pool.available as f64);
        self.most.set(pool.max_size as f64);
        self.waiting.set(pool.waiting as f64);
    }
}
