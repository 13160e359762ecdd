//! One statement on one connection.

use std::sync::Arc;

use rusqlite::{
    CachedStatement, Connection, Error,
    types::{Value, ValueRef},
};
use sqlx::error::BoxDynError;

/// A complete row.
#[derive(Debug)]
pub struct SqliteRow {
    columns: Arc<[String]>,
    values: Vec<Value>,
}

impl SqliteRow {
    /// The value of a column.
    pub(crate) fn value(&self, name: &str) -> Result<&Value, BoxDynError> {
        let at = self.columns.iter().position(|column| column == name).ok_or("there is no such column")?;
        self.values.get(at).ok_or_else(|| "there is no such column".into())
    }
}

/// Runs a statement to its end; returns its rows.
pub(super) fn fetch(connection: &Connection, sql: &str, args: &[Value]) -> rusqlite::Result<Vec<SqliteRow>> {
    let mut statement = prepare(connection, sql, args)?;
    let columns: Arc<[String]> = statement.column_names().into_iter().map(ToOwned::to_owned).collect();
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let values = (0..columns.len()).map(|at| row.get_ref(at).map(owned)).collect::<rusqlite::Result<_>>()?;
        found.push(SqliteRow { columns: Arc::clone(&columns), values });
    }
    Ok(found)
}

/// Runs a statement to its end; returns how many rows it changed.
pub(super) fn execute(connection: &Connection, sql: &str, args: &[Value]) -> rusqlite::Result<u64> {
    let mut statement = prepare(connection, sql, args)?;
    let writes = !statement.readonly();
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    drop(rows);
    Ok(if writes { connection.changes() } else { 0 })
}

/// Prepares a statement or takes it from the cache, and binds its arguments by number: SQLite itself treats `$1` as a name.
fn prepare<'c>(connection: &'c Connection, sql: &str, args: &[Value]) -> rusqlite::Result<CachedStatement<'c>> {
    let mut statement = connection.prepare_cached(sql)?;
    for at in 1..=statement.parameter_count() {
        let number = statement.parameter_name(at).and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok()).unwrap_or(at);
        let value = number.checked_sub(1).and_then(|index| args.get(index)).ok_or(Error::InvalidParameterCount(args.len(), number))?;
        statement.raw_bind_parameter(at, value)?;
    }
    Ok(statement)
}

/// Text with an invalid encoding stays bytes: the code that reads the column reports it by name.
fn owned(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => Value::Integer(n),
        ValueRef::Real(n) => Value::Real(n),
        ValueRef::Text(text) => String::from_utf8(text.to_vec()).map_or_else(|e| Value::Blob(e.into_bytes()), Value::Text),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}
