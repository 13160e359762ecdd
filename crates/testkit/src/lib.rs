//! Databases and bus prefixes of a test's own, on real servers.
//!
//! The servers are those `scripts/with-servers` starts and names in the environment. Without them a test fails and says so:
//! a test that silently skips reads as green.

pub mod plans;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

/// A database of the test's own, empty.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    // Removed when dropped.
    _dir: Option<TempDir>,
}

impl TestDatabase {
    /// A fresh SQLite file, removed at the end.
    ///
    /// # Panics
    /// Without a folder for temporary files.
    #[must_use]
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().expect("a folder for temporary files");
        Self { url: format!("sqlite:{}", dir.path().join("test.db").display()), _dir: Some(dir) }
    }

    /// A fresh database on the PostgreSQL server of the test run; it goes when the server goes.
    ///
    /// # Panics
    /// Without that server.
    pub async fn postgres() -> Self {
        let server = environment("NODKEY_TEST_POSTGRES_URL");
        let name = unique_prefix();
        let mut connection = PgConnection::connect(&server).await.expect("the PostgreSQL of the test run answers");
        connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.expect("a database can be created");
        let base = server.rsplit_once('/').map_or(server.as_str(), |(base, _)| base);
        Self { url: format!("{base}/{name}"), _dir: None }
    }

    /// The database of a service as an installation left it that was made before: of SQLite, a copy of the file.
    ///
    /// # Panics
    /// Without the data of that installation.
    #[must_use]
    pub fn sqlite_of(service: &str) -> Self {
        let fresh = Self::sqlite();
        let path = fresh.url.trim_start_matches("sqlite:");
        std::fs::copy(installation().join(format!("sqlite/{service}.db")), path).expect("the data of an installation");
        fresh
    }

    /// The same of PostgreSQL, restored from a dump.
    ///
    /// # Panics
    /// Without the server of the test run, or the data of that installation.
    pub async fn postgres_of(service: &str) -> Self {
        let fresh = Self::postgres().await;
        let dump = std::fs::read_to_string(installation().join(format!("postgres/{service}.sql"))).expect("the data of an installation");
        let mut connection = PgConnection::connect(&fresh.url).await.expect("the PostgreSQL of the test run answers");
        connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(dump))).await.expect("the dump can be restored");
        fresh
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }
}

fn installation() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/installation")
}

/// The nats-server of the test run.
///
/// # Panics
/// Without one.
#[must_use]
pub fn nats_url() -> String {
    environment("NODKEY_TEST_NATS_URL")
}

/// A name no other test uses: lower-case letters, digits, underscores.
#[must_use]
pub fn unique_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

#[expect(clippy::disallowed_methods, reason = "tests are configured by their runner's environment")]
fn environment(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run the tests with `make test` or `scripts/with-servers cargo nextest run`"))
}
