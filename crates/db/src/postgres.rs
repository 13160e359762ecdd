//! Connections to PostgreSQL: a pool that sends nothing to a connection when it is taken or returned.
//!
//! A broken connection is noticed when its user gets an error. It is then discarded together with the idle connections.

use std::{fmt, io, str::FromStr as _, sync::Arc, time::Duration};

use deadpool::{
    Runtime,
    managed::{
        Manager as Manage, Metrics, Object, Pool, PoolConfig, PoolError, QueueMode, RecycleError, RecycleResult, TimeoutType, Timeouts,
    },
};
use secrecy::ExposeSecret as _;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, SqlSafeStr as _, SqlStr,
    postgres::{PgArguments, PgConnectOptions, PgRow},
};
use tokio::time::Instant;

use crate::{
    condition::Condition,
    config::{DbConfig, PATIENCE},
    counters::Counters,
    error::DbError,
    gauges::Gauges,
};

/// Age at which a connection is replaced. The memory that a server keeps for it grows, and a newly added server should get its share.
const MAX_AGE: Duration = Duration::from_mins(30);
/// How many prepared statements a connection caches; more than any service has.
const PREPARED: usize = 256;
/// How much longer than the server we wait for a statement to end before the connection counts as dead.
const GRACE: Duration = Duration::from_secs(2);

/// A PostgreSQL database. Cheap to clone.
#[derive(Clone)]
pub struct Postgres {
    pool: Pool<Manager>,
    /// After this long a response will no longer arrive.
    deadline: Duration,
    pub(crate) counters: Arc<Counters>,
    gauges: Arc<Gauges>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("status", &self.pool.status()).finish_non_exhaustive()
    }
}

/// A connection and its state.
struct Connection {
    inner: PgConnection,
    /// Whether it was idle since it was opened: the server may have closed it meanwhile.
    reused: bool,
    /// Whether the end of a statement is outstanding. Such a connection can no longer be used.
    unsettled: bool,
}

struct Manager {
    options: PgConnectOptions,
    /// The settings of each session, in one statement.
    settings: String,
    connect_timeout: Duration,
}

impl Manage for Manager {
    type Type = Connection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Connection, sqlx::Error> {
        let connect = async {
            let mut inner = PgConnection::connect_with(&self.options).await?;
            inner.execute(AssertSqlSafe(self.settings.clone())).await?;
            Ok(Connection { inner, reused: false, unsettled: false })
        };
        let late = |_| Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")));
        tokio::time::timeout(self.connect_timeout, connect).await.unwrap_or_else(late)
    }

    async fn recycle(&self, connection: &mut Connection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() > MAX_AGE {
            return Err(RecycleError::message("old"));
        }
        connection.reused = true;
        Ok(())
    }
}

impl Postgres {
    /// Parses the URL and opens a first connection.
    pub(crate) async fn connect(config: &DbConfig) -> Result<Self, DbError> {
        let options =
            PgConnectOptions::from_str(config.url.expose_secret())?.statement_cache_capacity(PREPARED).disable_statement_logging();
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        let (counters, gauges) = (Arc::new(Counters::new(database)), Arc::new(Gauges::new(database)));
        let statement_timeout = Duration::from_millis(config.statement_timeout_ms.into());
        let manager = Manager {
            settings: settings(statement_timeout),
            options,
            connect_timeout: Duration::from_millis(config.connect_timeout_ms.into()),
        };
        let pool = PoolConfig {
            max_size: usize::try_from(config.max_connections).unwrap_or(usize::MAX).max(1),
            timeouts: Timeouts { wait: Some(PATIENCE), create: None, recycle: None },
            // Most recently used first: its caches are warm, and surplus connections grow old.
            queue_mode: QueueMode::Lifo,
        };
        let pool = Pool::builder(manager).config(pool).runtime(Runtime::Tokio1).build().map_err(|e| DbError::Statement(e.into()))?;
        let postgres = Self { pool, deadline: statement_timeout + GRACE, counters, gauges };
        postgres.session().await.map_err(|e| match e {
            DbError::Statement(cause) => DbError::Refused(cause),
            other => other,
        })?;
        Ok(postgres)
    }

    /// Opens a connection outside the pool, without timeouts.
    pub(crate) async fn connect_alone(&self) -> Result<PgConnection, DbError> {
        Ok(PgConnection::connect_with(&self.pool.manager().options).await?)
    }

    /// Takes a connection.
    pub(crate) async fn session(&self) -> Result<Session, DbError> {
        let since = Instant::now();
        let object = self.pool.get().await;
        self.gauges.acquire.record(since.elapsed());
        let object = object.map_err(|e| match e {
            PoolError::Backend(e) => DbError::from(e),
            PoolError::Timeout(TimeoutType::Wait) => DbError::unavailable(Condition::Busy, "every connection is in use"),
            other => DbError::unavailable(Condition::Away, other),
        })?;
        Ok(Session { object: Some(object), deadline: self.deadline, counters: Arc::clone(&self.counters) })
    }

    /// Begins a transaction on a connection that is held, or on another if the server turns out to have closed it.
    pub(crate) async fn begin_on(&self, session: &mut Session) -> Result<(), DbError> {
        loop {
            match session.command("BEGIN").await {
                Err(_) if session.died_idle() => *session = self.session().await?,
                begun => return begun,
            }
        }
    }

    /// Reports the state of the pool as metrics.
    pub(crate) fn report(&self) {
        self.gauges.report(&self.pool.status());
    }

    /// Closes idle connections, and the others when they are returned.
    pub(crate) fn close(&self) {
        self.pool.close();
    }
}

/// The settings of every session, limited to those that the server knows: other servers speak this protocol as well.
fn settings(statement_timeout: Duration) -> String {
    let statement = statement_timeout.as_millis();
    let values = [
        ("statement_timeout", statement.to_string()),
        // Waiting for a lock is part of a statement. The lock timeout ends first, so that the error names the cause.
        ("lock_timeout", (statement * 4 / 5).to_string()),
        ("idle_in_transaction_session_timeout", (statement * 2).to_string()),
        // Cancels statements of clients that disconnected. Milliseconds.
        ("client_connection_check_interval", "1000".to_owned()),
        // A vanished client holds its locks for this long at most. Seconds; the last value is in milliseconds.
        ("tcp_keepalives_idle", "15".to_owned()),
        ("tcp_keepalives_interval", "5".to_owned()),
        ("tcp_keepalives_count", "3".to_owned()),
        ("tcp_user_timeout", "30000".to_owned()),
    ];
    let values: Vec<String> = values.iter().map(|(name, value)| format!("('{name}', '{value}')")).collect();
    format!(
        "SELECT set_config(wanted.name, wanted.value, false) FROM (VALUES {}) AS wanted (name, value) \
         WHERE EXISTS (SELECT FROM pg_settings WHERE pg_settings.name = wanted.name)",
        values.join(", ")
    )
}

/// A connection in use. It returns to the pool when dropped, unless a response is outstanding.
pub(crate) struct Session {
    /// Taken out to be discarded.
    object: Option<Object<Manager>>,
    deadline: Duration,
    counters: Arc<Counters>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// Runs `$call` on the connection of a session. The connection is discarded if the caller is dropped meanwhile, or if the server does not
/// answer in time.
macro_rules! settle {
    ($session:expr, $connection:ident => $call:expr) => {{
        let session = $session;
        let deadline = session.deadline;
        let Some(object) = session.object.as_mut() else {
            return Err(DbError::unavailable(Condition::Away, "the connection broke before"));
        };
        object.unsettled = true;
        let $connection = &mut object.inner;
        let outcome = tokio::time::timeout(deadline, $call).await;
        session.counters.round_trips.increment(1);
        match outcome {
            Ok(Ok(done)) => {
                object.unsettled = false;
                Ok(done)
            }
            Ok(Err(error)) => {
                object.unsettled = breaks(&error);
                if object.unsettled {
                    forget_idle(object);
                }
                Err(DbError::from(error))
            }
            Err(elapsed) => {
                forget_idle(object);
                Err(DbError::unavailable(Condition::TimedOut, elapsed))
            }
        }
    }};
}

impl Session {
    /// Runs a command without arguments: BEGIN, COMMIT, ROLLBACK.
    pub(crate) async fn command(&mut self, sql: &'static str) -> Result<(), DbError> {
        settle!(self, connection => sqlx::raw_sql(sql).execute(connection)).map(|_| ())
    }

    /// Runs a statement; returns how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: SqlStr, args: PgArguments) -> Result<u64, DbError> {
        self.counters.statements.increment(1);
        settle!(self, connection => sqlx::query_with(sql, args).execute(connection)).map(|done| done.rows_affected())
    }

    /// Runs a statement; returns every row.
    pub(crate) async fn fetch_all(&mut self, sql: SqlStr, args: PgArguments) -> Result<Vec<PgRow>, DbError> {
        self.counters.statements.increment(1);
        settle!(self, connection => sqlx::query_with(sql, args).fetch_all(connection))
    }

    /// Whether the server closed this connection while it was idle: nothing was executed, and another may be tried.
    pub(crate) fn died_idle(&self) -> bool {
        self.object.as_ref().is_some_and(|object| object.unsettled && object.reused)
    }

    /// Rolls back a transaction that was not committed, in a separate task because its caller is gone.
    pub(crate) fn roll_back(mut self) {
        let usable = self.object.as_ref().is_some_and(|object| !object.unsettled);
        if usable && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if self.command("ROLLBACK").await.is_err() {
                    self.discard();
                }
            });
        } else {
            self.discard();
        }
    }

    /// Closes the connection.
    pub(crate) fn discard(&mut self) {
        drop(self.object.take().map(Object::take));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.object.as_ref().is_some_and(|object| object.unsettled) {
            self.discard();
        }
    }
}

/// Closes the idle connections when one broke, so that not every caller has to discover it.
fn forget_idle(broken: &Object<Manager>) {
    if let Some(pool) = Object::pool(broken) {
        pool.retain(|_, _| false);
    }
}

/// Whether an error makes a connection unusable.
fn breaks(error: &sqlx::Error) -> bool {
    match error {
        // 08: connection; 57P: the server shuts down or an administrator ended this session; 25P03 and 25P04: a timeout ended the session.
        sqlx::Error::Database(db) => {
            db.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P") || matches!(&*code, "25P03" | "25P04"))
        }
        sqlx::Error::RowNotFound
        | sqlx::Error::Encode(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::TypeNotFound { .. } => false,
        _ => true,
    }
}

/// One of our statements in the driver's type.
pub(crate) fn text(sql: std::borrow::Cow<'static, str>) -> SqlStr {
    match sql {
        std::borrow::Cow::Borrowed(sql) => SqlStr::from_static(sql),
        std::borrow::Cow::Owned(sql) => AssertSqlSafe(sql).into_sql_str(),
    }
}
