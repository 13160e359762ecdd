//! The database, on either engine.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use secrecy::ExposeSecret as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{condition::Condition, config::DbConfig, counters::Counters, error::DbError, fresh::Fresh, postgres::Postgres, sqlite::Sqlite};

/// Maximum number of transactions that may be between their network calls and their commit on SQLite.
const SQLITE_PLACES: usize = 64;

/// A database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    engine: Engine,
    state: Arc<State>,
}

/// The engine.
#[derive(Clone, Debug)]
pub(crate) enum Engine {
    /// PostgreSQL.
    Postgres(Postgres),
    /// SQLite.
    Sqlite(Sqlite),
}

#[derive(Debug)]
struct State {
    /// Events that were just committed.
    fresh: Arc<Fresh>,
    /// Whether the last write failed for a reason that affects every write.
    doubtful: AtomicBool,
    /// For transactions that make network calls before they write.
    places: Arc<Semaphore>,
}

impl Db {
    /// Connects; the scheme of the URL chooses the engine. A SQLite file is created when missing.
    pub async fn connect(config: &DbConfig) -> Result<Self, DbError> {
        let url = config.url.expose_secret();
        let (engine, places) = if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let half = usize::try_from(config.max_connections / 2).unwrap_or(Semaphore::MAX_PERMITS);
            (Engine::Postgres(Postgres::connect(config).await?), half.clamp(1, Semaphore::MAX_PERMITS))
        } else if url.starts_with("sqlite:") {
            (Engine::Sqlite(Sqlite::connect(config)?), SQLITE_PLACES)
        } else {
            return Err(DbError::Url);
        };
        let state = State { fresh: Arc::default(), doubtful: AtomicBool::new(false), places: Arc::new(Semaphore::new(places)) };
        Ok(Self { engine, state: Arc::new(state) })
    }

    /// The events that were just committed in this process.
    #[must_use]
    pub fn fresh(&self) -> Arc<Fresh> {
        Arc::clone(&self.state.fresh)
    }

    /// Whether the engine is PostgreSQL.
    #[must_use]
    pub const fn is_postgres(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    /// Reports the state of the connection pool as metrics. Costs next to nothing; SQLite has no pool.
    pub fn report(&self) {
        if let Engine::Postgres(postgres) = &self.engine {
            postgres.report();
        }
    }

    /// Closes every connection once it is idle.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Postgres(postgres) => postgres.close(),
            Engine::Sqlite(sqlite) => sqlite.close().await,
        }
    }

    /// Waits for a permit to make network calls before a write.
    pub(crate) async fn places(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.state.places).acquire_owned().await.unwrap_or_else(|_| unreachable!("places are never closed"))
    }

    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn counters(&self) -> &Counters {
        match &self.engine {
            Engine::Postgres(postgres) => &postgres.counters,
            Engine::Sqlite(sqlite) => &sqlite.counters,
        }
    }

    /// Whether the last write failed for a reason that affects every write.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.state.doubtful.load(Ordering::Relaxed)
    }

    /// Records the outcome of a write.
    pub(crate) fn wrote<T>(&self, outcome: &Result<T, DbError>) {
        match outcome {
            Ok(_) => self.state.doubtful.store(false, Ordering::Relaxed),
            Err(error) => self.failed(error),
        }
    }

    /// Records that a write failed.
    pub(crate) fn failed(&self, error: &DbError) {
        // Other conditions say nothing about other writes.
        if matches!(error.condition(), Some(Condition::Full | Condition::ReadOnly | Condition::Away)) {
            self.state.doubtful.store(true, Ordering::Relaxed);
        }
    }
}
