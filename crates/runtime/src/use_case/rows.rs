//! Rows that cannot be read, and rows that break an invariant: named in the log, counted, and in nobody's way.

use std::{error::Error, fmt};

use metrics::counter;
use nodkey_db::{DbError, Row};
use nodkey_kernel::error::chain;
use tracing::error;
use uuid::Uuid;

use super::page::{Cursor, Listed};

/// Returns what was read of a row. One that cannot be read is logged and counted, and the list or the sweep it belongs to goes on without
/// it.
pub fn readable<T>(read: Result<T, DbError>) -> Option<T> {
    read.map_err(|e| {
        let table = if let DbError::Inconsistent { table, .. } = &e { table } else { "unknown" };
        error!(error = chain(&e), "a row cannot be read and is left out");
        counter!("nodkey_rows_unreadable_total", "table" => table).increment(1);
    })
    .ok()
}

/// Makes a page of at most `size` rows of one more that were fetched. Rows that cannot be read are left out.
pub fn listed<T>(size: i64, rows: &[Row], at: &'static str, read: impl Fn(&Row) -> Result<T, DbError>) -> Listed<T> {
    Listed::new(size, rows.iter().map(|row| (place(row, at), readable(read(row)))))
}

/// The place of a row in the order of a column of moments and of its `id`, if both can be read.
pub fn place(row: &Row, at: &'static str) -> Option<Cursor> {
    let id = row.get::<Uuid>("id").map(|id| id.to_string()).or_else(|_| row.get::<String>("id"));
    Some(Cursor { at: row.get(at).ok()?, id: id.ok()? })
}

/// Passes by a row that was asked for by itself and cannot be read, and no other failure.
pub fn found<T>(read: Result<Option<T>, DbError>) -> Result<Option<T>, DbError> {
    match read {
        unreadable @ Err(DbError::Inconsistent { .. }) => Ok(readable(unreadable).flatten()),
        other => other,
    }
}

/// The error of a row that holds what cannot be used, found by somebody who did not read it.
pub fn inconsistent(
    table: &'static str,
    column: &'static str,
    row: impl fmt::Display,
    source: impl Into<Box<dyn Error + Send + Sync>>,
) -> DbError {
    DbError::Inconsistent { table, column, row: row.to_string(), source: source.into() }
}

/// The key of a row that is a UUID, for the error that names the row.
pub fn key(row: &Row, column: &'static str) -> String {
    row.get::<Uuid>(column).map_or_else(|_| format!("of unreadable {column}"), |id| id.to_string())
}

/// Something that must hold of a row does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the invariant {invariant} does not hold")]
pub struct Violation {
    /// Its name.
    pub invariant: &'static str,
    /// The column that contradicts the others.
    pub column: &'static str,
}

impl Violation {
    /// `Ok` when it holds.
    pub const fn unless(holds: bool, invariant: &'static str, column: &'static str) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self { invariant, column }) }
    }

    /// The same violation, counted.
    #[must_use]
    pub fn counted(self, service: &'static str) -> Self {
        counter!("nodkey_invariant_violations_total", "service" => service, "invariant" => self.invariant).increment(1);
        self
    }

    /// Counts the violation, and returns the error that names the row.
    pub fn of(self, service: &'static str, table: &'static str, row: impl fmt::Display) -> DbError {
        DbError::Inconsistent { table, column: self.column, row: row.to_string(), source: Box::new(self.counted(service)) }
    }
}
