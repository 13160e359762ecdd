//! The database, whichever it is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Notify;

use crate::{
    condition::Condition,
    counters::Counters,
    error::DbError,
    postgres::Postgres,
    query::{Query, Target},
    sqlite::Sqlite,
    tx::Tx,
};

/// Where the database is.
#[derive(Clone, Debug, Deserialize)]
pub struct DbConfig {
    /// `postgres://user:password@host/database` or `sqlite:path/to/file`.
    pub url: SecretString,
    /// How many connections to PostgreSQL at most. SQLite has one writer, and as many readers as threads.
    #[serde(default = "max_connections")]
    pub max_connections: u32,
    /// How many milliseconds opening a connection to PostgreSQL may take.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u32,
    /// How many milliseconds a statement on PostgreSQL may take; locks are waited for four fifths of it.
    #[serde(default = "statement_timeout_ms")]
    pub statement_timeout_ms: u32,
}

const fn max_connections() -> u32 {
    16
}

const fn connect_timeout_ms() -> u32 {
    3000
}

const fn statement_timeout_ms() -> u32 {
    5000
}

impl DbConfig {
    /// The settings of this URL that nobody changed.
    #[must_use]
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            max_connections: max_connections(),
            connect_timeout_ms: connect_timeout_ms(),
            statement_timeout_ms: statement_timeout_ms(),
        }
    }
}

/// How long a statement waits for a connection, and a SQLite writer for its turn.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    engine: Engine,
    state: Arc<State>,
}

/// Which engine it is.
#[derive(Clone, Debug)]
pub(crate) enum Engine {
    /// PostgreSQL.
    Postgres(Postgres),
    /// SQLite.
    Sqlite(Sqlite),
}

#[derive(Debug, Default)]
struct State {
    /// Notified when events were committed.
    outbox: Arc<Notify>,
    /// Whether the last write failed for a reason that concerns every write.
    doubtful: AtomicBool,
}

impl Db {
    /// Connects; the scheme of the URL chooses the engine. A SQLite file is created when missing.
    pub async fn connect(config: &DbConfig) -> Result<Self, DbError> {
        let url = config.url.expose_secret();
        let engine = if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Engine::Postgres(Postgres::connect(config).await?)
        } else if url.starts_with("sqlite:") {
            Engine::Sqlite(Sqlite::connect(config)?)
        } else {
            return Err(DbError::Url);
        };
        Ok(Self { engine, state: Arc::default() })
    }

    /// Begins a transaction that may write.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        Tx::begin(self, false).await
    }

    /// Begins a transaction that may write much. On SQLite it shares its commit with no other: what has no room would take them with it.
    pub async fn begin_large(&self) -> Result<Tx, DbError> {
        Tx::begin(self, true).await
    }

    /// A statement that reads, outside any transaction.
    pub fn query(&self, sql: &'static str) -> Query<'_> {
        Query::new(Target::Read(self), sql)
    }

    /// A statement that writes and commits by itself.
    pub fn execute(&self, sql: &'static str) -> Query<'_> {
        Query::new(Target::Write(self), sql)
    }

    /// Notified whenever events were committed.
    #[must_use]
    pub fn outbox_notify(&self) -> Arc<Notify> {
        Arc::clone(&self.state.outbox)
    }

    /// Whether the engine is PostgreSQL.
    #[must_use]
    pub const fn is_postgres(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    /// Tells whether the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        self.query("SELECT 1 AS one").fetch_one().await.map(|_| ())
    }

    /// Tells whether it can be read and written. It is written only after a write failed: to learn whether that has passed.
    pub async fn probe(&self) -> Result<(), DbError> {
        if self.is_postgres() {
            let sql = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS read_only";
            if self.query(sql).fetch_one().await?.get("read_only")? {
                return Err(DbError::unavailable(Condition::ReadOnly, "it is a standby, or its transactions are read-only"));
            }
        } else {
            self.ping().await?;
        }
        if self.state.doubtful.load(Ordering::Relaxed) {
            let sql = "INSERT INTO probe (id, writes) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET writes = probe.writes + 1";
            self.execute(sql).execute().await?;
        }
        Ok(())
    }

    /// Closes every connection once it is idle.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Postgres(postgres) => postgres.close(),
            Engine::Sqlite(sqlite) => sqlite.close().await,
        }
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

    /// Notes how a write ended.
    pub(crate) fn wrote<T>(&self, outcome: &Result<T, DbError>) {
        match outcome {
            Ok(_) => self.state.doubtful.store(false, Ordering::Relaxed),
            Err(error) => self.failed(error),
        }
    }

    /// Notes that a write failed.
    pub(crate) fn failed(&self, error: &DbError) {
        // The others say nothing of other writes.
        if matches!(error.condition(), Some(Condition::Full | Condition::ReadOnly | Condition::Away)) {
            self.state.doubtful.store(true, Ordering::Relaxed);
        }
    }
}
