//! SQLite: one file, readers that do not wait, and a writer whose transactions reach the disk together.
//!
//! Statements run on the calling thread, because they take microseconds. Waiting for the disk takes longer and is done by a separate
//! thread.

mod group;
mod statement;

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OpenFlags, types::Value};
use secrecy::ExposeSecret as _;
use sqlx::sqlite::SqliteConnectOptions;

pub(crate) use group::{Committer, Company, Member, Turn};
pub(crate) use statement::SqliteRow;

use crate::{
    condition::Condition,
    config::{DbConfig, PATIENCE},
    counters::Counters,
    error::DbError,
};

/// How many prepared statements a connection caches; more than any service has.
const PREPARED: usize = 256;
/// How many readers stay open.
const READERS: usize = 4;

/// A SQLite database. Cheap to clone.
#[derive(Clone)]
pub struct Sqlite {
    file: Arc<File>,
    committer: Arc<Committer>,
    pub(crate) counters: Arc<Counters>,
}

struct File {
    path: PathBuf,
    /// Idle readers; `None` once closed.
    readers: Mutex<Option<Vec<Connection>>>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("path", &self.file.path).finish_non_exhaustive()
    }
}

impl Sqlite {
    /// Opens the file, and creates it when it is missing.
    pub(crate) fn connect(config: &DbConfig) -> Result<Self, DbError> {
        let options = SqliteConnectOptions::from_str(config.url.expose_secret())?;
        let path = options.get_filename().to_owned();
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let counters = Arc::new(Counters::new(&name));
        // The writer creates the file that readers expect.
        let committer = Committer::start(&path, Arc::clone(&counters))?;
        let file = Arc::new(File { path, readers: Mutex::new(Some(Vec::new())) });
        Ok(Self { file, committer: Arc::new(committer), counters })
    }

    /// Path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.file.path
    }

    /// Begins a transaction that shares its commit with others as `company` allows.
    pub(crate) async fn begin(&self, company: Company) -> Result<Member, DbError> {
        Committer::begin(&self.committer, company).await
    }

    /// Waits for the writer's turn. Transactions already committed do not wait for the disk while it is held.
    pub(crate) async fn turn(&self) -> Result<Turn, DbError> {
        Committer::turn(&self.committer).await?.committed().await
    }

    /// Runs a statement on what is committed; returns its rows.
    pub(crate) fn fetch(&self, sql: &str, args: &[Value]) -> Result<Vec<SqliteRow>, DbError> {
        self.counters.statements.increment(1);
        self.counters.round_trips.increment(1);
        let idle = match self.readers().as_mut() {
            Some(readers) => readers.pop(),
            None => return Err(DbError::unavailable(Condition::Away, "the database is closed")),
        };
        let reader = match idle {
            Some(reader) => reader,
            None => open(&self.file.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
        };
        let rows = statement::fetch(&reader, sql, args).map_err(DbError::from);
        // A reader that failed because of the disk may go on failing.
        if rows.as_ref().err().is_none_or(|e| e.condition().is_none())
            && let Some(readers) = self.readers().as_mut().filter(|readers| readers.len() < READERS)
        {
            readers.push(reader);
        }
        rows
    }

    /// Closes the readers, and the writer once everything that was committed is on the disk.
    pub(crate) async fn close(&self) {
        *self.readers() = None;
        self.committer.close().await;
    }

    fn readers(&self) -> MutexGuard<'_, Option<Vec<Connection>>> {
        self.file.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a connection.
fn open(path: &Path, access: OpenFlags) -> Result<Connection, DbError> {
    // Each connection is protected by a lock of ours.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    connection.busy_timeout(PATIENCE)?;
    if access.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(DbError::unavailable(
                Condition::Away,
                format!("the file system cannot hold a write-ahead log: journal mode {mode}"),
            ));
        }
        // FULL: what was answered is on the disk, not only with the operating system (ADR 8). A log that grew is truncated at the next
        // checkpoint.
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864")?;
    }
    Ok(connection)
}
