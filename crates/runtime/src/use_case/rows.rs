//! Unreadable rows, and rows that break an invariant: they are named in the log and counted, and do not stop other work.

use std::{error::Error, fmt};

use nodkey_db::{DbError, Row};
use nodkey_kernel::error::chain;
use tracing::error;
use uuid::Uuid;

use super::{
    metrics::{INVARIANT_VIOLATIONS, ROWS_UNREADABLE},
    page::{Cursor, Listed},
};

/// Returns what was read of a row. An unreadable row is logged and counted, and the list or sweep continues without it.
pub fn readable<T>(read: Result<T, DbError>) -> Option<T> {
    read.map_err(|e| {
        let table = if let DbError::Inconsistent { table, .. } = &e { *table } else { "unknown" };
        error!(error = chain(&e), "a row cannot be read and is left out");
        ROWS_UNREADABLE.with([table]).increment(1);
    })
    .ok()
}

/// Creates a page of at most `size` rows from one row more than that. Unreadable rows are omitted.
pub fn listed<T>(size: i64, rows: &[Row], at: &'static str, read: impl Fn(&Row) -> Result<T, DbError>) -> Listed<T> {
    Listed::new(size, rows.iter().map(|row| (place(row, at), readable(read(row)))))
}

/// The position of a row in the order of a timestamp column and its `id`, if both can be read.
pub fn place(row: &Row, at: &'static str) -> Option<Cursor> {
    let id = row.get::<Uuid>("id").map(|id| id.to_string()).or_else(|_| row.get::<String>("id"));
    Some(Cursor { at: row.get(at).ok()?, id: id.ok()? })
}

/// Treats a single row that cannot be read as not found. Other failures are returned.
pub fn found<T>(read: Result<Option<T>, DbError>) -> Result<Option<T>, DbError> {
    match read {
        unreadable @ Err(DbError::Inconsistent { .. }) => Ok(readable(unreadable).flatten()),
        other => other,
    }
}

/// The error for a row with unusable content, found by code that did not read the row.
pub fn inconsistent(
    table: &'static str,
    column: &'static str,
    row: impl fmt::Display,
    source: impl Into<Box<dyn Error + Send + Sync>>,
) -> DbError {
    DbError::Inconsistent { table, column, row: row.to_string(), source: source.into() }
}

/// The key of a row, a UUID, for the error that names the row.
pub fn key(row: &Row, column: &'static str) -> String {
    row.get::<Uuid>(column).map_or_else(|_| format!("of unreadable {column}"), |id| id.to_string())
}

/// A broken invariant of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the invariant {invariant} does not hold")]
pub struct Violation {
    /// Name of the invariant.
    pub invariant: &'static str,
    /// The column that contradicts the others.
    pub column: &'static str,
}

impl Violation {
    /// Returns `Ok` when the invariant holds.
    pub const fn unless(holds: bool, invariant: &'static str, column: &'static str) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self { invariant, column }) }
    }

    /// Counts the violation, and returns it.
    #[must_use]
    pub fn counted(self, service: &'static str) -> Self {
        INVARIANT_VIOLATIONS.with([service, self.invariant]).increment(1);
        self
    }

    /// Counts the violation, and returns the error that names the row.
    pub fn of(self, service: &'static str, table: &'static str, row: impl fmt::Display) -> DbError {
        DbError::Inconsistent { table, column: self.column, row: row.to_string(), source: Box::new(self.counted(service)) }
    }
}
