//! Statements and rows.

use std::{borrow::Cow, error::Error, fmt};

use sqlx::{AssertSqlSafe, PgConnection, PgPool, SqliteConnection, SqlitePool, error::BoxDynError, postgres::PgRow, sqlite::SqliteRow};

use crate::{
    codec::{Args, Column, Param},
    error::DbError,
};

/// Where a statement runs.
pub(crate) enum Target<'a> {
    PostgresPool(&'a PgPool),
    SqlitePool(&'a SqlitePool),
    Postgres(&'a mut PgConnection),
    Sqlite(&'a mut SqliteConnection),
}

/// A statement with its arguments, `$1` first. SQL is always literal text of ours, whole or put together from pieces.
#[must_use = "a statement does nothing until it is executed"]
pub struct Query<'a> {
    target: Target<'a>,
    sql: Cow<'static, str>,
    bound: usize,
    args: Result<Args, BoxDynError>,
}

/// A row of either engine.
pub enum Row {
    /// Of PostgreSQL.
    Postgres(PgRow),
    /// Of SQLite.
    Sqlite(SqliteRow),
}

impl Row {
    /// Reads a column by name.
    pub fn get<T: Column>(&self, column: &'static str) -> Result<T, DbError> {
        T::read(self, column).map_err(|source| DbError::Corrupt { column, source })
    }

    /// The row as one of a table, so that an error says which row cannot be read.
    pub fn of(&self, table: &'static str, key: impl fmt::Display) -> Record<'_> {
        Record { row: self, table, key: key.to_string() }
    }
}

/// A row whose table and key are known.
pub struct Record<'a> {
    row: &'a Row,
    table: &'static str,
    key: String,
}

impl Record<'_> {
    /// Reads a column by name; [`DbError::Inconsistent`] when it holds another type.
    pub fn get<T: Column>(&self, column: &'static str) -> Result<T, DbError> {
        T::read(self.row, column).map_err(|source| self.inconsistent(column, source))
    }

    /// Reads a column and converts it; [`DbError::Inconsistent`] when it holds what nobody writes.
    pub fn convert<C: Column, T, E>(&self, column: &'static str, convert: impl FnOnce(C) -> Result<T, E>) -> Result<T, DbError>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        convert(self.get(column)?).map_err(|source| self.inconsistent(column, source))
    }

    /// The error of a column that contradicts another, or holds what nobody writes.
    pub fn inconsistent(&self, column: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> DbError {
        DbError::Inconsistent { table: self.table, column, row: self.key.clone(), source: source.into() }
    }
}

macro_rules! run {
    ($query:expr, $method:ident) => {{
        let Query { target, sql, args, .. } = $query;
        let sql = AssertSqlSafe(sql.into_owned());
        let args = args.map_err(|e| DbError::from(sqlx::Error::Encode(e)))?;
        match (target, args) {
            (Target::PostgresPool(pool), Args::Postgres(args)) => sqlx::query_with(sql, args).$method(pool).await.map(Run::Postgres),
            (Target::Postgres(conn), Args::Postgres(args)) => sqlx::query_with(sql, args).$method(conn).await.map(Run::Postgres),
            (Target::SqlitePool(pool), Args::Sqlite(args)) => sqlx::query_with(sql, args).$method(pool).await.map(Run::Sqlite),
            (Target::Sqlite(conn), Args::Sqlite(args)) => sqlx::query_with(sql, args).$method(conn).await.map(Run::Sqlite),
            _ => unreachable!("arguments are made for their target"),
        }
        .map_err(DbError::from)?
    }};
}

enum Run<P, S> {
    Postgres(P),
    Sqlite(S),
}

impl<'a> Query<'a> {
    pub(crate) fn new(target: Target<'a>, sql: &'static str) -> Self {
        let args = match target {
            Target::PostgresPool(_) | Target::Postgres(_) => Args::Postgres(sqlx::postgres::PgArguments::default()),
            Target::SqlitePool(_) | Target::Sqlite(_) => Args::Sqlite(sqlx::sqlite::SqliteArguments::default()),
        };
        Self { target, sql: Cow::Borrowed(sql), bound: 0, args: Ok(args) }
    }

    /// Binds the next argument.
    pub fn bind(mut self, value: impl Param) -> Self {
        self.args = self.args.and_then(|mut args| value.add(&mut args).map(|()| args));
        self.bound += 1;
        self
    }

    /// Appends text. With [`Query::push_bind`] it makes a statement of pieces whose arguments number themselves.
    pub fn push(mut self, sql: &'static str) -> Self {
        self.sql.to_mut().push_str(sql);
        self
    }

    /// Appends the placeholder of the next argument, and binds it.
    pub fn push_bind(mut self, value: impl Param) -> Self {
        let placeholder = format!("${}", self.bound + 1);
        self.sql.to_mut().push_str(&placeholder);
        self.bind(value)
    }

    /// Runs the statement; returns how many rows it changed.
    pub async fn execute(self) -> Result<u64, DbError> {
        Ok(match run!(self, execute) {
            Run::Postgres(done) => done.rows_affected(),
            Run::Sqlite(done) => done.rows_affected(),
        })
    }

    /// Returns every row.
    pub async fn fetch_all(self) -> Result<Vec<Row>, DbError> {
        Ok(match run!(self, fetch_all) {
            Run::Postgres(rows) => rows.into_iter().map(Row::Postgres).collect(),
            Run::Sqlite(rows) => rows.into_iter().map(Row::Sqlite).collect(),
        })
    }

    /// Returns the first row, if there is one.
    pub async fn fetch_optional(self) -> Result<Option<Row>, DbError> {
        Ok(match run!(self, fetch_optional) {
            Run::Postgres(row) => row.map(Row::Postgres),
            Run::Sqlite(row) => row.map(Row::Sqlite),
        })
    }

    /// Returns the first row; `Statement(RowNotFound)` without one.
    pub async fn fetch_one(self) -> Result<Row, DbError> {
        Ok(match run!(self, fetch_one) {
            Run::Postgres(row) => Row::Postgres(row),
            Run::Sqlite(row) => Row::Sqlite(row),
        })
    }
}
