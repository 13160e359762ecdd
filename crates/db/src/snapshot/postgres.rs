//! Snapshots of PostgreSQL databases.
//!
//! Writes are held by `LOCK TABLE ... IN SHARE MODE`, which waits for the transactions that write, and makes later ones wait. It is taken
//! under `SHARE UPDATE EXCLUSIVE`, which no write waits for: vacuum, migrations and other backups are waited for, or kept away, before
//! anybody is held.

use std::{str::FromStr as _, time::Duration};

use futures_util::{StreamExt as _, future::try_join_all};
use rusqlite::types::Value;
use secrecy::ExposeSecret as _;
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, Executor as _, PgConnection, Row as _, TypeInfo as _, ValueRef as _,
    postgres::{PgConnectOptions, PgRow},
};
use uuid::Uuid;

use super::content::{Content, Sum};
use crate::{codec::Micros, config::DbConfig, error::DbError, migrate::APPLIED};

/// How long to wait for vacuum, a migration or another backup to end.
const PATIENCE: &str = "60s";

/// The tables of the current schema.
const TABLES: &str = "SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') ORDER BY c.relname";

/// A connection that holds writes, and one that reads.
struct Pair {
    holder: PgConnection,
    lock: String,
    reader: PgConnection,
    snapshot: Option<String>,
}

/// Snapshots that are being opened.
pub(super) struct Opening(Vec<Pair>);

/// An open snapshot.
#[derive(Debug)]
pub(super) struct Reader {
    connection: PgConnection,
    pub(super) snapshot: String,
    pub(super) version: u32,
}

impl Opening {
    /// Connects, and keeps away what would be in the way. Holds nobody.
    pub(super) async fn new(databases: &[DbConfig]) -> Result<Self, DbError> {
        Ok(Self(try_join_all(databases.iter().map(Pair::new)).await?))
    }

    /// Holds writes in all databases and opens the snapshots; false if running transactions did not end in time. Writes are held until
    /// [`Self::release`].
    pub(super) async fn attempt(&mut self, patience: Duration) -> Result<bool, DbError> {
        let held = try_join_all(self.0.iter_mut().map(|pair| pair.hold(patience))).await?;
        if held.contains(&false) {
            return Ok(false);
        }
        try_join_all(self.0.iter_mut().map(Pair::read)).await?;
        Ok(true)
    }

    /// Lets writers go on.
    pub(super) async fn release(&mut self) -> Result<(), DbError> {
        try_join_all(self.0.iter_mut().map(Pair::release)).await.map(drop)
    }

    pub(super) async fn into_readers(self) -> Result<Vec<Reader>, DbError> {
        try_join_all(self.0.into_iter().map(Pair::into_reader)).await
    }
}

impl Pair {
    async fn new(database: &DbConfig) -> Result<Self, DbError> {
        let (mut holder, mut reader) = (connect(database).await?, connect(database).await?);
        holder.execute("BEGIN").await?;
        let tables = tables(&mut holder).await?;
        let names = tables.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        if !tables.is_empty() {
            let sql = format!("SET LOCAL lock_timeout = '{PATIENCE}'; LOCK TABLE {names} IN SHARE UPDATE EXCLUSIVE MODE");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut holder).await?;
        }
        holder.execute("SAVEPOINT before").await?;
        // The snapshot of such a transaction is that of its first statement, which comes later.
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let lock = if tables.is_empty() { "SELECT 1".to_owned() } else { format!("LOCK TABLE {names} IN SHARE MODE") };
        Ok(Self { holder, lock, reader, snapshot: None })
    }

    async fn hold(&mut self, patience: Duration) -> Result<bool, DbError> {
        // For all tables together: a lock timeout would apply to each.
        let sql = format!("SET LOCAL statement_timeout = {}", patience.as_millis());
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.holder).await?;
        match sqlx::raw_sql(AssertSqlSafe(self.lock.clone())).execute(&mut self.holder).await {
            Ok(_) => Ok(true),
            // 57014: the statement timeout.
            Err(sqlx::Error::Database(e)) if e.code().as_deref() == Some("57014") => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    async fn read(&mut self) -> Result<(), DbError> {
        self.snapshot = Some(sqlx::query_scalar("SELECT pg_export_snapshot()").fetch_one(&mut self.reader).await?);
        Ok(())
    }

    async fn release(&mut self) -> Result<(), DbError> {
        self.holder.execute("ROLLBACK TO SAVEPOINT before").await?;
        Ok(())
    }

    async fn into_reader(mut self) -> Result<Reader, DbError> {
        self.holder.close().await?;
        let version: String = sqlx::query_scalar("SELECT current_setting('server_version_num')").fetch_one(&mut self.reader).await?;
        let version = version.parse().map_err(|e| DbError::Data(Box::new(e)))?;
        let snapshot = self.snapshot.ok_or(DbError::NoRow)?;
        Ok(Reader { connection: self.reader, snapshot, version })
    }
}

impl Reader {
    pub(super) async fn tables(&mut self) -> Result<Vec<String>, DbError> {
        tables(&mut self.connection).await
    }

    pub(super) async fn migrations(&mut self) -> Result<Vec<i64>, DbError> {
        Ok(sqlx::query_scalar(APPLIED).fetch_all(&mut self.connection).await?)
    }

    pub(super) async fn content(&mut self, table: &str, read: impl FnMut(u64)) -> Result<Content, DbError> {
        let columns: Vec<String> = columns(&mut self.connection, table).await?.into_iter().map(|(name, _)| name).collect();
        let names = columns.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        let sql = AssertSqlSafe(format!("SELECT {names} FROM {}", quoted(table)));
        let mut sum = Sum::new(&columns, read);
        let mut rows = sqlx::query(sql).persistent(false).fetch(&mut self.connection);
        let mut values = Vec::with_capacity(columns.len());
        while let Some(row) = rows.next().await {
            let row = row?;
            values.clear();
            for at in 0..columns.len() {
                values.push(value(&row, at)?);
            }
            sum.add(&values);
        }
        Ok(sum.finish())
    }
}

/// Opens a connection that ends no transaction by itself.
pub(super) async fn connect(database: &DbConfig) -> Result<PgConnection, DbError> {
    let options = PgConnectOptions::from_str(database.url.expose_secret())?.disable_statement_logging();
    let late = |e| DbError::unavailable(crate::Condition::TimedOut, e);
    let limit = Duration::from_millis(database.connect_timeout_ms.into());
    let mut connection = tokio::time::timeout(limit, PgConnection::connect_with(&options)).await.map_err(late)??;
    let settings = "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0";
    sqlx::raw_sql(settings).execute(&mut connection).await?;
    Ok(connection)
}

pub(super) async fn is_empty(database: &DbConfig) -> Result<bool, DbError> {
    let mut connection = connect(database).await?;
    let sql = "SELECT NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%')";
    let empty = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(empty)
}

pub(super) async fn tables(connection: &mut PgConnection) -> Result<Vec<String>, DbError> {
    Ok(sqlx::query_scalar(TABLES).fetch_all(connection).await?)
}

/// Names and types of a table's columns.
pub(super) async fn columns(connection: &mut PgConnection, table: &str) -> Result<Vec<(String, String)>, DbError> {
    let sql = AssertSqlSafe(format!("SELECT * FROM {} LIMIT 0", quoted(table)));
    let described = connection.prepare(sqlx::SqlSafeStr::into_sql_str(sql)).await?;
    Ok(sqlx::Statement::columns(&described).iter().map(|it| (it.name().to_owned(), it.type_info().name().to_owned())).collect())
}

/// A name from the catalog in a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A value as SQLite stores the same.
fn value(row: &PgRow, at: usize) -> Result<Value, DbError> {
    let raw = row.try_get_raw(at)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    Ok(match raw.type_info().name() {
        "BOOL" => Value::Integer(row.try_get::<bool, _>(at)?.into()),
        "INT2" => Value::Integer(row.try_get::<i16, _>(at)?.into()),
        "INT4" => Value::Integer(row.try_get::<i32, _>(at)?.into()),
        "INT8" => Value::Integer(row.try_get(at)?),
        "FLOAT8" => Value::Real(row.try_get(at)?),
        "TEXT" => Value::Text(row.try_get(at)?),
        "BYTEA" => Value::Blob(row.try_get(at)?),
        "UUID" => Value::Blob(row.try_get::<Uuid, _>(at)?.as_bytes().to_vec()),
        "TIMESTAMPTZ" => Value::Integer(row.try_get::<Micros, _>(at)?.0),
        other => return Err(DbError::Data(format!("a column has a type that no schema of Nodkey has: {other}").into())),
    })
}
