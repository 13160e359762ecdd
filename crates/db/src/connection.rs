//! Connections and transactions.

use std::{fmt, str::FromStr as _, sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sqlx::{
    PgPool, Postgres, Sqlite, SqlitePool, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Notify;

use crate::{
    error::DbError,
    query::{Query, Target},
};

/// Where the database is.
#[derive(Clone, Debug, Deserialize)]
pub struct DbConfig {
    /// `postgres://user:password@host/database` or `sqlite:path/to/file`.
    pub url: SecretString,
    /// How many connections at most; on SQLite, how many readers beside the one writer.
    #[serde(default = "max_connections")]
    pub max_connections: u32,
}

const fn max_connections() -> u32 {
    16
}

/// How long a statement waits for a connection, and a SQLite writer for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// A database. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Db {
    /// PostgreSQL.
    Postgres {
        /// Connections.
        pool: PgPool,
        /// Told when events were committed.
        outbox: Arc<Notify>,
    },
    /// SQLite: one file, one writer, readers that do not wait for it.
    Sqlite {
        /// The one connection that writes.
        writer: SqlitePool,
        /// Those that read.
        readers: SqlitePool,
        /// Told when events were committed.
        outbox: Arc<Notify>,
    },
}

impl Db {
    /// Connects; the scheme of the URL chooses the engine. A SQLite file is created when missing.
    pub async fn connect(config: &DbConfig) -> Result<Self, DbError> {
        let url = config.url.expose_secret();
        let outbox = Arc::new(Notify::new());
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url)?;
            let pool = PgPoolOptions::new().max_connections(config.max_connections).acquire_timeout(PATIENCE).connect_with(options).await?;
            return Ok(Self::Postgres { pool, outbox });
        }
        if !url.starts_with("sqlite:") {
            return Err(DbError::Url);
        }
        // FULL: what was answered is on the disk, not only with the operating system.
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE);
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
        let writer = pool(1).connect_with(options.clone()).await?;
        let readers = pool(config.max_connections.clamp(1, 4)).connect_with(options.read_only(true)).await?;
        Ok(Self::Sqlite { writer, readers, outbox })
    }

    /// Begins a transaction that may write.
    ///
    /// It begins in a task of its own: a caller that goes away inside `BEGIN` would poison a pooled PostgreSQL connection.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        let db = self.clone();
        let begun = tokio::spawn(async move {
            Ok(match db {
                Self::Postgres { pool, outbox } => Tx { inner: Inner::Postgres(pool.begin().await?), outbox, then: Vec::new() },
                // IMMEDIATE: a deferred one that turns to writing fails at once when another writes.
                Self::Sqlite { writer, outbox, .. } => {
                    Tx { inner: Inner::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?), outbox, then: Vec::new() }
                }
            })
        });
        begun.await.unwrap_or_else(|e| Err(DbError::Unavailable(sqlx::Error::Io(std::io::Error::other(e)))))
    }

    /// A statement that reads, outside any transaction.
    pub fn query(&self, sql: &'static str) -> Query<'_> {
        match self {
            Self::Postgres { pool, .. } => Query::new(Target::PostgresPool(pool), sql),
            Self::Sqlite { readers, .. } => Query::new(Target::SqlitePool(readers), sql),
        }
    }

    /// A statement that writes and commits by itself.
    pub fn execute(&self, sql: &'static str) -> Query<'_> {
        match self {
            Self::Postgres { pool, .. } => Query::new(Target::PostgresPool(pool), sql),
            Self::Sqlite { writer, .. } => Query::new(Target::SqlitePool(writer), sql),
        }
    }

    /// Told whenever events were committed.
    #[must_use]
    pub fn outbox_notify(&self) -> Arc<Notify> {
        match self {
            Self::Postgres { outbox, .. } | Self::Sqlite { outbox, .. } => Arc::clone(outbox),
        }
    }

    /// Whether the engine is PostgreSQL.
    #[must_use]
    pub const fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres { .. })
    }

    /// Tells whether the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        self.query("SELECT 1 AS one").fetch_one().await.map(|_| ())
    }

    /// Closes every connection once it is idle.
    pub async fn close(&self) {
        match self {
            Self::Postgres { pool, .. } => pool.close().await,
            Self::Sqlite { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }
}

/// A transaction. Dropped without a commit, it never was.
pub struct Tx {
    inner: Inner,
    outbox: Arc<Notify>,
    then: Vec<Box<dyn FnOnce() + Send>>,
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[derive(Debug)]
enum Inner {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

impl Tx {
    /// A statement inside the transaction.
    pub fn query(&mut self, sql: &'static str) -> Query<'_> {
        match &mut self.inner {
            Inner::Postgres(tx) => Query::new(Target::Postgres(tx), sql),
            Inner::Sqlite(tx) => Query::new(Target::Sqlite(tx), sql),
        }
    }

    /// Has something done once the transaction is committed; never if it is not. A crash right after the commit skips it, so
    /// it is for hints.
    pub fn after_commit(&mut self, then: impl FnOnce() + Send + 'static) {
        self.then.push(Box::new(then));
    }

    /// Commits, then does what was to be done after that.
    pub async fn commit(self) -> Result<(), DbError> {
        match self.inner {
            Inner::Postgres(tx) => tx.commit().await?,
            Inner::Sqlite(tx) => tx.commit().await?,
        }
        for then in self.then {
            then();
        }
        Ok(())
    }

    /// Takes everything back.
    pub async fn rollback(self) -> Result<(), DbError> {
        match self.inner {
            Inner::Postgres(tx) => tx.rollback().await?,
            Inner::Sqlite(tx) => tx.rollback().await?,
        }
        Ok(())
    }

    /// Wakes the relay once there is something to send.
    pub(crate) fn mark_published(&mut self) {
        let outbox = Arc::clone(&self.outbox);
        self.after_commit(move || outbox.notify_one());
    }
}
