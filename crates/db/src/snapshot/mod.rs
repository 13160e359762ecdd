//! Several databases as they were at one moment: the source of backups and moves.
//!
//! Writes are held while the snapshots are opened, and only then ([ADR 39](../../../docs/adr/0039-one-moment-for-all-databases.md)). The
//! processes that write take no part in it, and pay nothing for it.

mod content;
mod load;
mod postgres;
mod sqlite;

use std::{path::Path, time::Duration};

use secrecy::ExposeSecret as _;
use tokio::time::Instant;

pub use content::Content;
pub use load::Target;

use crate::{condition::Condition, config::DbConfig, error::DbError};

/// The table of migrations, which each engine has of its own.
pub const MIGRATIONS: &str = crate::migrate::TABLE;
/// Longest time for which writes may be held.
pub const LONGEST_HOLD: Duration = Duration::from_secs(2);
/// How long one attempt may wait for running transactions to end. Shorter than a second, after which PostgreSQL looks for deadlocks: an
/// attempt ends before it could be part of one.
const ATTEMPT: Duration = Duration::from_millis(500);
/// Number of attempts, and the pause after each. Callers are served in between.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// The snapshots of several databases, and how long writes were held.
#[derive(Debug)]
pub struct Snapshots {
    /// One for each database, in the order in which they were given.
    pub all: Vec<Snapshot>,
    /// How long writes were held.
    pub held: Duration,
}

/// A database at one moment. Nothing that is written later is seen.
#[derive(Debug)]
pub struct Snapshot(Engine);

#[derive(Debug)]
enum Engine {
    Postgres(Box<postgres::Reader>),
    Sqlite(sqlite::Reader),
}

impl Snapshots {
    /// Opens snapshots of databases that are all on the same engine. [`DbError::Unavailable`] when writes could not be held: then nothing
    /// was held for longer than [`LONGEST_HOLD`].
    pub async fn open(databases: &[DbConfig]) -> Result<Self, DbError> {
        if databases.iter().all(is_postgres) { Self::of_postgres(databases).await } else { Self::of_sqlite(databases).await }
    }

    async fn of_postgres(databases: &[DbConfig]) -> Result<Self, DbError> {
        let mut opening = postgres::Opening::new(databases).await?;
        for attempt in 0..ATTEMPTS {
            pause_before(attempt).await;
            let since = Instant::now();
            let opened = tokio::time::timeout(LONGEST_HOLD, opening.attempt(ATTEMPT)).await;
            // Connections that are closed hold nothing.
            let opened = opened.map_err(|e| DbError::unavailable(Condition::TimedOut, e))?;
            let is_open = opened?;
            opening.release().await?;
            if is_open {
                let held = since.elapsed();
                let readers = opening.into_readers().await?;
                return Ok(Self { all: readers.into_iter().map(|it| Snapshot(Engine::Postgres(Box::new(it)))).collect(), held });
            }
        }
        Err(never_idle())
    }

    async fn of_sqlite(databases: &[DbConfig]) -> Result<Self, DbError> {
        let mut opening = sqlite::Opening::new(databases)?;
        for attempt in 0..ATTEMPTS {
            pause_before(attempt).await;
            if let Some(held) = opening.attempt(ATTEMPT).await? {
                return Ok(Self { all: opening.into_readers().into_iter().map(|it| Snapshot(Engine::Sqlite(it))).collect(), held });
            }
        }
        Err(never_idle())
    }
}

impl Snapshot {
    /// The id by which `pg_dump` sees the same, and the server's version, such as 150018. `None` for SQLite. It is valid while this value
    /// lives.
    #[must_use]
    pub fn exported(&self) -> Option<(&str, u32)> {
        match &self.0 {
            Engine::Postgres(reader) => Some((&reader.snapshot, reader.version)),
            Engine::Sqlite(_) => None,
        }
    }

    /// The names of the tables.
    pub async fn tables(&mut self) -> Result<Vec<String>, DbError> {
        match &mut self.0 {
            Engine::Postgres(reader) => reader.tables().await,
            Engine::Sqlite(reader) => reader.tables(),
        }
    }

    /// The versions of the schema's migrations; empty without a schema.
    pub async fn migrations(&mut self) -> Result<Vec<i64>, DbError> {
        if !self.tables().await?.iter().any(|table| table == MIGRATIONS) {
            return Ok(Vec::new());
        }
        match &mut self.0 {
            Engine::Postgres(reader) => reader.migrations().await,
            Engine::Sqlite(reader) => reader.migrations(),
        }
    }

    /// Reads every row of a table; reports how many it has read.
    pub async fn content(&mut self, table: &str, read: impl FnMut(u64)) -> Result<Content, DbError> {
        match &mut self.0 {
            Engine::Postgres(reader) => reader.content(table, read).await,
            Engine::Sqlite(reader) => reader.content(table, read),
        }
    }

    /// Copies a SQLite database into a new, empty file; reports how many of its pages are copied, of how many.
    pub fn copy_to(&self, file: &Path, copied: impl FnMut(u64, u64)) -> Result<(), DbError> {
        self.sqlite()?.copy_to(file, copied)
    }

    fn sqlite(&self) -> Result<&sqlite::Reader, DbError> {
        match &self.0 {
            Engine::Postgres(_) => Err(DbError::Url),
            Engine::Sqlite(reader) => Ok(reader),
        }
    }
}

/// Whether nothing is in a database: no table, and no other object of somebody else's.
pub async fn is_empty(database: &DbConfig) -> Result<bool, DbError> {
    if is_postgres(database) { postgres::is_empty(database).await } else { sqlite::is_empty(database) }
}

fn is_postgres(database: &DbConfig) -> bool {
    let url = database.url.expose_secret();
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

async fn pause_before(attempt: u32) {
    if attempt > 0 {
        tokio::time::sleep(PAUSE).await;
    }
}

fn never_idle() -> DbError {
    DbError::unavailable(
        Condition::Busy,
        format!("writes could not be held: {ATTEMPTS} times a transaction ran for longer than {ATTEMPT:?}"),
    )
}
