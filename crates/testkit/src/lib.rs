//! Test isolation: databases and bus prefixes of a test's own on real servers, private servers, and a network that fails on demand.
//!
//! `scripts/with-servers` starts the servers and names them in the environment. Without them a test fails with a message, because a
//! silently skipped test looks as if it had passed.

mod engines;
pub mod plans;
mod private;
mod proxy;

pub use private::{TestNats, TestPostgres};
pub use proxy::{Direction, Proxy};

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    path::{Path, PathBuf},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

/// An empty database for one test.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    // Removed when dropped.
    _dir: Option<TempDir>,
}

impl TestDatabase {
    /// Creates a SQLite file, which is removed at the end.
    ///
    /// # Panics
    /// If there is no folder for temporary files.
    #[must_use]
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().expect("a folder for temporary files");
        Self { url: format!("sqlite:{}", dir.path().join("test.db").display()), _dir: Some(dir) }
    }

    /// Creates a database on the PostgreSQL server of the test run. It is removed together with the server.
    ///
    /// # Panics
    /// If there is no such server.
    pub async fn postgres() -> Self {
        let server = postgres_url();
        let name = unique_prefix();
        execute(&server, &[&format!("CREATE DATABASE {name}")]).await;
        let base = server.rsplit_once('/').map_or(server.as_str(), |(base, _)| base);
        Self { url: format!("{base}/{name}"), _dir: None }
    }

    /// The SQLite database of a service as an earlier installation left it: a copy of its file.
    ///
    /// # Panics
    /// If the data of that installation is missing.
    #[must_use]
    pub fn sqlite_of(service: &str) -> Self {
        let fresh = Self::sqlite();
        let path = fresh.url.trim_start_matches("sqlite:");
        std::fs::copy(installation().join(format!("sqlite/{service}.db")), path).expect("the data of an installation");
        fresh
    }

    /// The PostgreSQL database of a service as an earlier installation left it, restored from a dump.
    ///
    /// # Panics
    /// If the server of the test run or the data of that installation is missing.
    pub async fn postgres_of(service: &str) -> Self {
        let fresh = Self::postgres().await;
        let dump = std::fs::read_to_string(installation().join(format!("postgres/{service}.sql"))).expect("the data of an installation");
        let mut connection = PgConnection::connect(&fresh.url).await.expect("the PostgreSQL of the test run answers");
        connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(dump))).await.expect("the dump can be restored");
        fresh
    }

    /// URL of the database.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }
}

/// URL of the PostgreSQL server of the test run, as superuser.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn postgres_url() -> String {
    environment("NODKEY_TEST_POSTGRES_URL")
}

/// Runs statements on PostgreSQL, each in its own transaction.
///
/// # Panics
/// If the server refuses one, or is unreachable.
pub async fn execute(url: &str, statements: &[&str]) {
    let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
    for statement in statements {
        let done = connection.execute(sqlx::AssertSqlSafe((*statement).to_owned())).await;
        done.unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
    connection.close().await.expect("PostgreSQL answers");
}

/// The result of a query for one number on PostgreSQL.
///
/// # Panics
/// If the server refuses it, or is unreachable.
pub async fn number(url: &str, query: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
    let number = sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned())).fetch_one(&mut connection).await;
    connection.close().await.expect("PostgreSQL answers");
    number.unwrap_or_else(|e| panic!("{query}: {e}"))
}

/// A transaction that stays open, with its locks, until it is released.
#[derive(Debug)]
pub struct Held(PgConnection);

impl Held {
    /// Runs a statement in a transaction on PostgreSQL, and leaves it open.
    ///
    /// # Panics
    /// If the server refuses it, or is unreachable.
    pub async fn by(url: &str, statement: &str) -> Self {
        let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
        for statement in ["BEGIN", statement] {
            let done = connection.execute(sqlx::AssertSqlSafe(statement.to_owned())).await;
            done.unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
        Self(connection)
    }

    /// Rolls the transaction back.
    ///
    /// # Panics
    /// If the server is unreachable.
    pub async fn release(self) {
        self.0.close().await.expect("PostgreSQL answers");
    }
}

fn installation() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/installation")
}

/// URL of the nats-server of the test run.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn nats_url() -> String {
    environment("NODKEY_TEST_NATS_URL")
}

/// Monitoring URL of the nats-server of the test run: `/varz`, `/jsz`.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn nats_monitor_url() -> String {
    environment("NODKEY_TEST_NATS_MONITOR_URL")
}

/// A name that no other test uses: lower-case letters, digits, underscores. Process ids would be used again within a long run.
#[must_use]
pub fn unique_prefix() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("t{:x}_{}", *PROCESS, NEXT.fetch_add(1, Ordering::Relaxed))
}

#[expect(clippy::disallowed_methods, reason = "tests are configured by their runner's environment")]
fn environment(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run the tests with `make test` or `scripts/with-servers cargo nextest run`"))
}
