//! Snapshots of SQLite files, which another process may be writing.
//!
//! Writes are held by `BEGIN IMMEDIATE` on every file: the process that serves waits for its turn as it would for any other writer.

use std::{
    path::{Path, PathBuf},
    str::FromStr as _,
    time::Duration,
};

use rusqlite::{
    Connection, ErrorCode, OpenFlags,
    backup::{Backup, StepResult},
    types::Value,
};
use secrecy::ExposeSecret as _;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::time::Instant;

use super::{
    LONGEST_HOLD,
    content::{Content, Sum},
    postgres::quoted,
};
use crate::{condition::Condition, config::DbConfig, error::DbError, migrate::APPLIED};

/// How often to ask for the writer's turn: a busy process gives it back for a moment at each commit.
const ASK: Duration = Duration::from_micros(100);
/// How long a reader waits for a file that is locked as a whole.
const READ: Duration = Duration::from_millis(500);
/// Pages that are copied at a time.
const PAGES: i32 = 1024;

/// Snapshots that are being opened.
pub(super) struct Opening(Vec<(Connection, Reader)>);

/// An open snapshot.
#[derive(Debug)]
pub(super) struct Reader(Connection);

impl Opening {
    pub(super) fn new(databases: &[DbConfig]) -> Result<Self, DbError> {
        let open = |database| {
            let path = path(database)?;
            Ok((open(&path)?, Reader(open(&path)?)))
        };
        Ok(Self(databases.iter().map(open).collect::<Result<_, DbError>>()?))
    }

    /// Holds writes in all files, opens the snapshots, and lets writers go on. `None` if a writer did not end in time: then no snapshot was
    /// opened, and another attempt may be made. None may be made after an error.
    pub(super) async fn attempt(&mut self, patience: Duration) -> Result<Option<Duration>, DbError> {
        let since = Instant::now();
        for at in 0..self.0.len() {
            while !begin(&self.0[at].0)? {
                if since.elapsed() > patience {
                    self.0[..at].iter().try_for_each(|(holder, _)| holder.execute_batch("ROLLBACK"))?;
                    return Ok(None);
                }
                tokio::time::sleep(ASK).await;
            }
        }
        let opened = self.0.iter().try_for_each(|(_, reader)| reader.begin(READ.min(LONGEST_HOLD.saturating_sub(since.elapsed()))));
        for (holder, _) in &self.0 {
            holder.execute_batch("ROLLBACK")?;
        }
        opened.map(|()| Some(since.elapsed()))
    }

    pub(super) fn into_readers(self) -> Vec<Reader> {
        self.0.into_iter().map(|(_, reader)| reader).collect()
    }
}

impl Reader {
    fn begin(&self, patience: Duration) -> Result<(), DbError> {
        // A checkpoint may be in its way for a moment.
        self.0.busy_timeout(patience)?;
        // The snapshot is that of the first statement that reads.
        self.0.execute_batch("BEGIN")?;
        self.0.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
        Ok(())
    }

    pub(super) fn tables(&self) -> Result<Vec<String>, DbError> {
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
        let mut statement = self.0.prepare(sql)?;
        let names = statement.query_map([], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    pub(super) fn migrations(&self) -> Result<Vec<i64>, DbError> {
        let mut statement = self.0.prepare(APPLIED)?;
        let versions = statement.query_map([], |row| row.get(0))?;
        Ok(versions.collect::<Result<_, _>>()?)
    }

    pub(super) fn content(&self, table: &str, read: impl FnMut(u64)) -> Result<Content, DbError> {
        let mut statement = self.0.prepare(&format!("SELECT * FROM {}", quoted(table)))?;
        let columns: Vec<String> = statement.column_names().into_iter().map(ToOwned::to_owned).collect();
        let mut sum = Sum::new(&columns, read);
        let mut rows = statement.query([])?;
        let mut values = Vec::with_capacity(columns.len());
        while let Some(row) = rows.next()? {
            values.clear();
            for at in 0..columns.len() {
                values.push(row.get::<_, Value>(at)?);
            }
            sum.add(&values);
        }
        Ok(sum.finish())
    }

    /// Calls `each` with the values of these columns for the next rows in the order of the primary key, from behind `after` on, which is
    /// empty at first. Returns how many there were.
    pub(super) fn batch<'a>(
        &self,
        table: &str,
        columns: impl Iterator<Item = &'a str>,
        limit: u32,
        after: &mut Vec<Value>,
        mut each: impl FnMut(&[Value]) -> Result<(), DbError>,
    ) -> Result<u64, DbError> {
        let (columns, key) = (columns.map(quoted).collect::<Vec<_>>(), self.key(table)?);
        let places = (1..=after.len()).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ");
        let (selected, key_list, table) = (columns.join(", "), key.join(", "), quoted(table));
        let behind = if after.is_empty() { String::new() } else { format!("WHERE ({key_list}) > ({places})") };
        let sql = format!("SELECT {selected}, {key_list} FROM {table} {behind} ORDER BY {key_list} LIMIT {limit}");
        let mut statement = self.0.prepare_cached(&sql)?;
        let values = columns.len() + key.len();
        let (mut rows, mut read, mut last) = (statement.query(rusqlite::params_from_iter(after.iter()))?, 0, None);
        while let Some(row) = rows.next()? {
            let mut row: Vec<Value> = (0..values).map(|at| row.get(at)).collect::<Result<_, _>>()?;
            last = Some(row.split_off(columns.len()));
            each(&row)?;
            read += 1;
        }
        if let Some(last) = last {
            *after = last;
        }
        Ok(read)
    }

    /// The columns of a table's primary key; the number of the row where it has none.
    fn key(&self, table: &str) -> Result<Vec<String>, DbError> {
        let mut statement = self.0.prepare_cached("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")?;
        let names = statement.query_map([table], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        Ok(if names.is_empty() { vec!["rowid".to_owned()] } else { names.iter().map(|name| quoted(name)).collect() })
    }

    /// Names of a table's columns.
    pub(super) fn columns(&self, table: &str) -> Result<Vec<String>, DbError> {
        let statement = self.0.prepare(&format!("SELECT * FROM {}", quoted(table)))?;
        Ok(statement.column_names().into_iter().map(ToOwned::to_owned).collect())
    }

    /// Copies page by page, in the transaction that is open here.
    pub(super) fn copy_to(&self, file: &Path, mut copied: impl FnMut(u64, u64)) -> Result<(), DbError> {
        let mut copy = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        let backup = Backup::new(&self.0, &mut copy)?;
        loop {
            let step = backup.step(PAGES)?;
            let (left, all) = (backup.progress().remaining, backup.progress().pagecount);
            copied(u64::try_from(all - left).unwrap_or(0), u64::try_from(all).unwrap_or(0));
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ => return Err(DbError::unavailable(Condition::Busy, "the copy is locked")),
            }
        }
        drop(backup);
        // One file: whoever reads it needs no other beside it.
        copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
        copy.close().map_err(|(_, e)| e.into())
    }
}

pub(super) fn is_empty(database: &DbConfig) -> Result<bool, DbError> {
    let path = path(database)?;
    if !path.exists() {
        return Ok(true);
    }
    Ok(open(&path)?.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_master)", [], |row| row.get(0))?)
}

/// Takes the writer's turn; false if another has it.
fn begin(holder: &Connection) -> Result<bool, DbError> {
    match holder.execute_batch("BEGIN IMMEDIATE") {
        Ok(()) => Ok(true),
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Opens a file that exists. It is not created, and nobody is waited for.
fn open(path: &Path) -> Result<Connection, DbError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::ZERO)?;
    Ok(connection)
}

fn path(database: &DbConfig) -> Result<PathBuf, DbError> {
    Ok(SqliteConnectOptions::from_str(database.url.expose_secret())?.get_filename().to_owned())
}
