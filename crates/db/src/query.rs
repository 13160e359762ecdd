//! Statements.

use std::borrow::Cow;

use rusqlite::types::Value;
use sqlx::{SqlStr, error::BoxDynError, postgres::PgArguments};

use crate::{
    codec::{Args, Param, Row},
    condition::Condition,
    connection::{Db, Engine},
    error::DbError,
    postgres::{Session, text},
    spans,
    sqlite::{Member, Sqlite},
    tx::{Inner, Tx},
};

/// Where a statement runs.
pub(crate) enum Target<'a> {
    /// Outside a transaction, reading.
    Read(&'a Db),
    /// Outside a transaction, committed when it is done.
    Write(&'a Db),
    /// In a transaction.
    Tx(&'a mut Tx),
    /// In a transaction, as its only statement.
    Alone(&'a mut Tx),
}

impl Target<'_> {
    fn is_postgres(&self) -> bool {
        match self {
            Self::Read(db) | Self::Write(db) => db.is_postgres(),
            Self::Tx(tx) | Self::Alone(tx) => tx.is_postgres(),
        }
    }
}

/// A statement with its arguments, `$1` first. The SQL is always our own literal text, whole or assembled from pieces.
#[must_use = "a statement does nothing until it is executed"]
pub struct Query<'a> {
    target: Target<'a>,
    sql: Cow<'static, str>,
    bound: usize,
    args: Result<Args, BoxDynError>,
}

impl Db {
    /// A statement that reads, outside any transaction.
    pub fn query(&self, sql: &'static str) -> Query<'_> {
        Query::new(Target::Read(self), sql)
    }

    /// A statement that writes and commits by itself.
    pub fn execute(&self, sql: &'static str) -> Query<'_> {
        Query::new(Target::Write(self), sql)
    }

    /// Checks that the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        self.query("SELECT 1 AS one").fetch_one().await.map(|_| ())
    }

    /// Checks that the database can be read and written. It writes only after a failed write, to find out whether the failure has passed.
    pub async fn probe(&self) -> Result<(), DbError> {
        if self.is_postgres() {
            let sql = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS read_only";
            if self.query(sql).fetch_one().await?.get("read_only")? {
                return Err(DbError::unavailable(Condition::ReadOnly, "it is a standby, or its transactions are read-only"));
            }
        } else {
            self.ping().await?;
        }
        if self.is_doubtful() {
            let sql = "INSERT INTO probe (id, writes) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET writes = probe.writes + 1";
            self.execute(sql).execute().await?;
        }
        Ok(())
    }
}

impl Tx {
    /// A statement inside the transaction.
    pub fn query(&mut self, sql: &'static str) -> Query<'_> {
        Query::new(Target::Tx(self), sql)
    }

    /// The last statement of the transaction. If it is also the first, PostgreSQL commits it in the same round trip: then it has taken
    /// effect, and all that may follow is [`Tx::commit`]. If it changed nothing, [`Tx::rollback`] or [`Tx::go_on`] may follow as well.
    ///
    /// It must have no effect if it is repeated: it is when the server had closed the connection, which may have been after it was executed.
    /// It must not wait for a lock in a transaction that has a deadline.
    pub fn last_query(&mut self, sql: &'static str) -> Query<'_> {
        Query::new(Target::Alone(self), sql)
    }
}

impl<'a> Query<'a> {
    pub(crate) fn new(target: Target<'a>, sql: &'static str) -> Self {
        let args = if target.is_postgres() { Args::Postgres(PgArguments::default()) } else { Args::Sqlite(Vec::new()) };
        Self { target, sql: Cow::Borrowed(sql), bound: 0, args: Ok(args) }
    }

    /// Binds the next argument.
    pub fn bind(mut self, value: impl Param) -> Self {
        self.args = self.args.and_then(|mut args| value.add(&mut args).map(|()| args));
        self.bound += 1;
        self
    }

    /// Appends text. Together with [`Query::push_bind`] it assembles a statement whose placeholders number themselves.
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

    /// Appends a comma and the placeholder of the next argument, and binds it.
    pub fn and_bind(self, value: impl Param) -> Self {
        self.push(", ").push_bind(value)
    }

    /// Runs the statement; returns how many rows it changed.
    pub async fn execute(self) -> Result<u64, DbError> {
        // On the heap: a use case holds many of these, one after the other.
        Box::pin(self.run()).await
    }

    /// Returns every row.
    pub async fn fetch_all(self) -> Result<Vec<Row>, DbError> {
        Box::pin(self.run()).await
    }

    /// Returns the first row, if there is one. The statement should find one at most.
    pub async fn fetch_optional(self) -> Result<Option<Row>, DbError> {
        Ok(self.fetch_all().await?.into_iter().next())
    }

    /// Returns the first row; [`DbError::NoRow`] without one.
    pub async fn fetch_one(self) -> Result<Row, DbError> {
        self.fetch_optional().await?.ok_or(DbError::NoRow)
    }

    async fn run<O: Output>(self) -> Result<O, DbError> {
        let span = spans::statement(self.target.is_postgres(), &self.sql);
        let outcome = self.perform().await;
        spans::end(span, &outcome);
        outcome
    }

    async fn perform<O: Output>(self) -> Result<O, DbError> {
        let Self { target, sql, args, .. } = self;
        let args = args.map_err(DbError::Data)?;
        // SQLite never makes a task wait, so yield regularly to let other tasks run between many statements.
        tokio::task::coop::consume_budget().await;
        match target {
            Target::Tx(tx) => in_transaction(tx, sql, args).await,
            Target::Alone(tx) => alone(tx, sql, args).await,
            Target::Read(db) => match (db.engine(), args) {
                (Engine::Postgres(postgres), Args::Postgres(args)) => loop {
                    let mut session = postgres.session().await?;
                    match O::of_postgres(&mut session, text(sql.clone()), args.clone()).await {
                        Err(_) if session.died_idle() => {}
                        outcome => break outcome,
                    }
                },
                (Engine::Sqlite(sqlite), Args::Sqlite(args)) => O::of_reader(sqlite, &sql, &args),
                _ => unreachable!("arguments are made for their target"),
            },
            Target::Write(db) => match (db.engine(), args) {
                (Engine::Postgres(postgres), Args::Postgres(args)) => {
                    let outcome = O::of_postgres(&mut postgres.session().await?, text(sql), args).await;
                    db.wrote(&outcome);
                    outcome
                }
                (Engine::Sqlite(_), args) => {
                    let mut tx = db.begin().await?;
                    let outcome = in_transaction(&mut tx, sql, args).await?;
                    tx.commit().await?;
                    Ok(outcome)
                }
                (Engine::Postgres(_), Args::Sqlite(_)) => unreachable!("arguments are made for their target"),
            },
        }
    }
}

async fn alone<O: Output>(tx: &mut Tx, sql: Cow<'static, str>, args: Args) -> Result<O, DbError> {
    loop {
        let (Some(session), Args::Postgres(args)) = (tx.alone()?, &args) else { break };
        let outcome = O::of_postgres(session, text(sql.clone()), args.clone()).await;
        if outcome.is_err() && session.died_idle() {
            tx.reconnect().await?;
            continue;
        }
        tx.done();
        return outcome.inspect_err(|error| tx.failed(error));
    }
    in_transaction(tx, sql, args).await
}

async fn in_transaction<O: Output>(tx: &mut Tx, sql: Cow<'static, str>, args: Args) -> Result<O, DbError> {
    let outcome = match (tx.inner().await?, args) {
        (Inner::Postgres(session), Args::Postgres(args)) => O::of_postgres(session, text(sql), args).await,
        (Inner::Sqlite(member), Args::Sqlite(args)) => O::of_member(member, &sql, &args),
        _ => unreachable!("arguments are made for their target"),
    };
    outcome.inspect_err(|error| tx.failed(error))
}

/// The result that a statement is run for.
trait Output: Sized + Send {
    fn of_postgres(session: &mut Session, sql: SqlStr, args: PgArguments) -> impl Future<Output = Result<Self, DbError>> + Send;
    fn of_member(member: &mut Member, sql: &str, args: &[Value]) -> Result<Self, DbError>;
    fn of_reader(sqlite: &Sqlite, sql: &str, args: &[Value]) -> Result<Self, DbError>;
}

/// Number of changed rows.
impl Output for u64 {
    async fn of_postgres(session: &mut Session, sql: SqlStr, args: PgArguments) -> Result<Self, DbError> {
        session.execute(sql, args).await
    }

    fn of_member(member: &mut Member, sql: &str, args: &[Value]) -> Result<Self, DbError> {
        member.execute(sql, args)
    }

    fn of_reader(sqlite: &Sqlite, sql: &str, args: &[Value]) -> Result<Self, DbError> {
        sqlite.fetch(sql, args).map(|_| 0)
    }
}

/// The rows found.
impl Output for Vec<Row> {
    async fn of_postgres(session: &mut Session, sql: SqlStr, args: PgArguments) -> Result<Self, DbError> {
        Ok(session.fetch_all(sql, args).await?.into_iter().map(Row::Postgres).collect())
    }

    fn of_member(member: &mut Member, sql: &str, args: &[Value]) -> Result<Self, DbError> {
        Ok(member.fetch(sql, args)?.into_iter().map(Row::Sqlite).collect())
    }

    fn of_reader(sqlite: &Sqlite, sql: &str, args: &[Value]) -> Result<Self, DbError> {
        Ok(sqlite.fetch(sql, args)?.into_iter().map(Row::Sqlite).collect())
    }
}
