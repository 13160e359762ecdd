//! Rows of a SQLite snapshot in a PostgreSQL database with the same schema.

use rusqlite::types::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::{
    MIGRATIONS, Snapshot,
    postgres::{columns, connect, quoted, tables},
};
use crate::{config::DbConfig, error::DbError};

/// Rows that are sent at a time.
const ROWS: u32 = 500;
/// The beginning and the end of PostgreSQL's binary format.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// Microseconds from 1970 to 2000, where PostgreSQL begins to count.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// A PostgreSQL database that rows are copied to, in one transaction.
#[derive(Debug)]
pub struct Target {
    connection: PgConnection,
    /// Those that others refer to come first.
    tables: Vec<String>,
}

impl Target {
    /// Begins. What the schema's migrations wrote is deleted: it is among the rows that come.
    pub async fn begin(database: &DbConfig) -> Result<Self, DbError> {
        let mut connection = connect(database).await?;
        connection.execute("BEGIN").await?;
        let tables = in_order(&mut connection).await?;
        for table in tables.iter().rev() {
            connection.execute(AssertSqlSafe(format!("DELETE FROM {}", quoted(table)))).await?;
        }
        Ok(Self { connection, tables })
    }

    /// The tables, in the order in which they must be copied.
    #[must_use]
    pub fn tables(&self) -> Vec<String> {
        self.tables.clone()
    }

    /// Copies every row of a table; reports how many. [`DbError::Data`] if the table has other columns there, or a value does not fit.
    pub async fn copy(&mut self, from: &mut Snapshot, table: &str, mut copied: impl FnMut(u64)) -> Result<(), DbError> {
        let columns = columns(&mut self.connection, table).await?;
        let (mut here, mut there): (Vec<_>, _) = (columns.iter().map(|(name, _)| name.clone()).collect(), from.sqlite()?.columns(table)?);
        here.sort();
        there.sort();
        if here != there {
            return Err(DbError::Data(format!("the table {table} does not have the same columns in both databases").into()));
        }
        let list = columns.iter().map(|(name, _)| quoted(name)).collect::<Vec<_>>().join(", ");
        // Identity columns take the values that COPY brings.
        let mut sink = self.connection.copy_in_raw(&format!("COPY {} ({list}) FROM STDIN (FORMAT binary)", quoted(table))).await?;
        let (mut after, mut rows, mut buffer) = (Vec::new(), 0, HEADER.to_vec());
        loop {
            match read(from, table, &columns, &mut after, &mut buffer) {
                Err(e) => {
                    sink.abort("a value does not fit").await?;
                    return Err(e);
                }
                Ok(0) => break,
                Ok(read) => rows += read,
            }
            sink.send(std::mem::take(&mut buffer)).await?;
            copied(rows);
        }
        buffer.extend(TRAILER);
        sink.send(buffer).await?;
        sink.finish().await?;
        Ok(())
    }

    /// Commits, and lets identity columns go on behind the rows that came.
    pub async fn commit(mut self) -> Result<(), DbError> {
        let sql = "SELECT table_name::text, column_name::text FROM information_schema.columns \
             WHERE table_schema = current_schema() AND is_identity = 'YES'";
        let identities: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&mut self.connection).await?;
        for (table, column) in identities {
            let sql = format!("SELECT setval(pg_get_serial_sequence($1, $2), max({})) FROM {}", quoted(&column), quoted(&table));
            sqlx::query(AssertSqlSafe(sql)).bind(quoted(&table)).bind(column).execute(&mut self.connection).await?;
        }
        self.connection.execute("COMMIT").await?;
        Ok(self.connection.close().await?)
    }
}

/// Tables, each after those that it refers to.
async fn in_order(connection: &mut PgConnection) -> Result<Vec<String>, DbError> {
    let mut left = tables(connection).await?;
    left.retain(|table| table != MIGRATIONS);
    let sql = "SELECT c.relname::text, f.relname::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
         JOIN pg_class f ON f.oid = k.confrelid WHERE k.contype = 'f' AND k.conrelid <> k.confrelid";
    let references: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(connection).await?;
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let waits = |table: &String| references.iter().any(|(from, to)| from == table && left.contains(to));
        let (waiting, ready): (Vec<_>, Vec<_>) = left.iter().cloned().partition(waits);
        if ready.is_empty() {
            return Err(DbError::Data(format!("tables refer to one another in a circle: {}", left.join(", ")).into()));
        }
        ordered.extend(ready);
        left = waiting;
    }
    Ok(ordered)
}

/// Appends the next rows behind the one with this key; returns how many.
fn read(from: &Snapshot, table: &str, columns: &[(String, String)], after: &mut Vec<Value>, buffer: &mut Vec<u8>) -> Result<u64, DbError> {
    from.sqlite()?.batch(table, columns.iter().map(|(name, _)| name.as_str()), ROWS, after, |row| {
        buffer.extend(i16::try_from(columns.len()).unwrap_or(i16::MAX).to_be_bytes());
        columns.iter().zip(row).try_for_each(|((name, kind), value)| put(buffer, value, kind).map_err(|e| of_column(table, name, e)))
    })
}

fn of_column(table: &str, column: &str, reason: &str) -> DbError {
    DbError::Data(format!("a value of {table}.{column} {reason}").into())
}

/// Appends a value in the binary format of a PostgreSQL type.
fn put(buffer: &mut Vec<u8>, value: &Value, kind: &str) -> Result<(), &'static str> {
    let mut field = |bytes: &[u8]| {
        let length = i32::try_from(bytes.len()).map_err(|_| "is too long")?;
        buffer.extend(length.to_be_bytes());
        buffer.extend(bytes);
        Ok(())
    };
    match (kind, value) {
        (_, Value::Null) => {
            buffer.extend((-1_i32).to_be_bytes());
            Ok(())
        }
        ("BOOL", Value::Integer(n @ (0 | 1))) => field(&[u8::from(*n == 1)]),
        ("INT4", Value::Integer(n)) => field(&i32::try_from(*n).map_err(|_| "is too large")?.to_be_bytes()),
        ("INT8", Value::Integer(n)) => field(&n.to_be_bytes()),
        ("TIMESTAMPTZ", Value::Integer(n)) => field(&n.checked_sub(POSTGRES_EPOCH).ok_or("is out of range")?.to_be_bytes()),
        ("TEXT", Value::Text(text)) if text.contains('\0') => Err("has a character that PostgreSQL does not store (U+0000)"),
        ("TEXT", Value::Text(text)) => field(text.as_bytes()),
        ("UUID", Value::Blob(bytes)) if bytes.len() == 16 => field(bytes),
        ("BYTEA", Value::Blob(bytes)) => field(bytes),
        _ => Err("has a type that does not fit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_does_not_fit_is_refused() {
        for (kind, value) in [
            ("INT4", Value::Integer(1 << 40)),
            ("BOOL", Value::Integer(2)),
            ("UUID", Value::Blob(vec![0; 15])),
            ("TEXT", Value::Text("a\0b".into())),
            ("TEXT", Value::Blob(vec![1])),
            ("BYTEA", Value::Text("x".into())),
            ("TIMESTAMPTZ", Value::Integer(i64::MIN)),
            ("POINT", Value::Text("x".into())),
        ] {
            assert!(put(&mut Vec::new(), &value, kind).is_err(), "{kind} {value:?}");
        }
    }
}
