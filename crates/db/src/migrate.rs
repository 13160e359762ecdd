//! Schemas: forward only, embedded, applied at start.

use std::borrow::Cow;

use nodkey_kernel::time::Timestamp;
use sqlx::{
    ConnectOptions as _, Connection as _, SqlStr,
    migrate::{Migration as SqlxMigration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};

use crate::{Db, DbError, connection::Engine};

/// One step of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Ascending. A service's own migrations start at 1000.
    pub version: i64,
    /// What it does.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
}

/// The schema of a service in both dialects.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// For PostgreSQL.
    pub postgres: &'static [Migration],
    /// For SQLite.
    pub sqlite: &'static [Migration],
}

const COMMON: Migrations = Migrations {
    postgres: &[
        Migration { version: 1, name: "common", sql: include_str!("../migrations/postgres/0001_common.sql") },
        Migration { version: 2, name: "retention", sql: include_str!("../migrations/postgres/0002_retention.sql") },
        Migration { version: 3, name: "probe", sql: include_str!("../migrations/postgres/0003_probe.sql") },
        Migration { version: 4, name: "unsigned events", sql: include_str!("../migrations/postgres/0004_unsigned_events.sql") },
    ],
    sqlite: &[
        Migration { version: 1, name: "common", sql: include_str!("../migrations/sqlite/0001_common.sql") },
        Migration { version: 2, name: "retention", sql: include_str!("../migrations/sqlite/0002_retention.sql") },
        Migration { version: 3, name: "probe", sql: include_str!("../migrations/sqlite/0003_probe.sql") },
        Migration { version: 4, name: "unsigned events", sql: include_str!("../migrations/sqlite/0004_unsigned_events.sql") },
    ],
};

impl Migrations {
    /// The versions that a database on this engine has when it is up to date, in order: the common ones, then the service's.
    #[must_use]
    pub fn versions(&self, on_postgres: bool) -> Vec<i64> {
        let (common, own) = if on_postgres { (COMMON.postgres, self.postgres) } else { (COMMON.sqlite, self.sqlite) };
        common.iter().chain(own).map(|migration| migration.version).collect()
    }
}

impl Db {
    /// The versions of the migrations that were applied, in order; empty without a schema.
    pub async fn migrations(&self) -> Result<Vec<i64>, DbError> {
        let exists = if self.is_postgres() {
            "SELECT 1 AS one FROM pg_tables WHERE schemaname = current_schema() AND tablename = '_sqlx_migrations'"
        } else {
            "SELECT 1 AS one FROM sqlite_master WHERE name = '_sqlx_migrations'"
        };
        if self.query(exists).fetch_optional().await?.is_none() {
            return Ok(Vec::new());
        }
        let applied = self.query("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version").fetch_all().await?;
        applied.iter().map(|row| row.get("version")).collect()
    }

    /// The clock of the database server; `None` on SQLite, which has none of its own.
    pub async fn now(&self) -> Result<Option<Timestamp>, DbError> {
        if !self.is_postgres() {
            return Ok(None);
        }
        self.query("SELECT clock_timestamp() AS now").fetch_one().await?.get("now").map(Some)
    }

    /// Brings the schema up to date: the common tables, then the service's.
    ///
    /// Replicas may migrate concurrently: on PostgreSQL an advisory lock serializes them. A schema newer than this build is refused.
    pub async fn migrate(&self, service: &Migrations) -> Result<(), DbError> {
        let migrator = |common: &[Migration], own: &[Migration]| Migrator::with_migrations(common.iter().chain(own).map(step).collect());
        match self.engine() {
            Engine::Postgres(postgres) => {
                let mut connection = postgres.connect_alone().await?;
                migrator(COMMON.postgres, service.postgres).run(&mut connection).await.map_err(DbError::Migrate)?;
                Ok(connection.close().await?)
            }
            Engine::Sqlite(sqlite) => {
                let options = SqliteConnectOptions::new().filename(sqlite.path()).synchronous(SqliteSynchronous::Full).foreign_keys(true);
                let mut connection = options.connect().await?;
                migrator(COMMON.sqlite, service.sqlite).run(&mut connection).await.map_err(DbError::Migrate)?;
                Ok(connection.close().await?)
            }
        }
    }
}

fn step(migration: &Migration) -> SqlxMigration {
    SqlxMigration::new(migration.version, Cow::Borrowed(migration.name), MigrationType::Simple, SqlStr::from_static(migration.sql), false)
}
