//! Schemas: forward only, embedded, applied at start.

use std::{borrow::Cow, time::Duration};

use nodkey_kernel::time::Timestamp;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqlStr,
    migrate::{Migrate, MigrateError, Migration as SqlxMigration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};
use tracing::warn;

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
        Migration { version: 5, name: "outbox key", sql: include_str!("../migrations/postgres/0005_outbox_key.sql") },
        Migration { version: 6, name: "backlog", sql: include_str!("../migrations/postgres/0006_backlog.sql") },
    ],
    sqlite: &[
        Migration { version: 1, name: "common", sql: include_str!("../migrations/sqlite/0001_common.sql") },
        Migration { version: 2, name: "retention", sql: include_str!("../migrations/sqlite/0002_retention.sql") },
        Migration { version: 3, name: "probe", sql: include_str!("../migrations/sqlite/0003_probe.sql") },
        Migration { version: 4, name: "unsigned events", sql: include_str!("../migrations/sqlite/0004_unsigned_events.sql") },
        Migration { version: 5, name: "outbox key", sql: include_str!("../migrations/sqlite/0005_outbox_key.sql") },
        Migration { version: 6, name: "backlog", sql: include_str!("../migrations/sqlite/0006_backlog.sql") },
    ],
};

/// Versions from here on belong to the next major schema. Below it a migration only adds what builds before it neither read nor have to
/// write, so they can run beside it during an upgrade (expand). What removes or changes something (contract) is for the next major.
const NEXT_MAJOR: i64 = 1_000_000;

/// The advisory lock of whoever migrates this database.
const LOCK: i64 = i64::from_be_bytes(*b"nodkey s");
/// Interval at which to ask for it.
const ASK: Duration = Duration::from_millis(100);

/// How a migration begins that builds or drops one index without blocking writes, as sqlx writes it. It is a single statement, which
/// PostgreSQL runs outside a transaction: `CREATE INDEX CONCURRENTLY IF NOT EXISTS ...`.
const NO_TRANSACTION: &str = "-- no-transaction";

/// The table of the migrations that were applied.
pub(crate) const TABLE: &str = "_sqlx_migrations";
/// Their versions, in order.
pub(crate) const APPLIED: &str = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version";

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
        let applied = self.query(APPLIED).fetch_all().await?;
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
    /// Replicas may migrate concurrently: on PostgreSQL an advisory lock serializes them. A newer schema is left as it is, unless it is of
    /// the next major: that is refused.
    pub async fn migrate(&self, service: &Migrations) -> Result<(), DbError> {
        match self.engine() {
            Engine::Postgres(postgres) => {
                let mut connection = postgres.connect_alone().await?;
                lock(&mut connection).await?;
                let applied = applied(&mut connection).await?;
                let all = COMMON.postgres.iter().chain(service.postgres);
                drop_unfinished_indexes(&mut connection, all.filter(|migration| !applied.contains(&migration.version))).await?;
                run(&mut connection, &applied, COMMON.postgres, service.postgres).await?;
                // This gives the lock back.
                Ok(connection.close().await?)
            }
            Engine::Sqlite(sqlite) => {
                let options = SqliteConnectOptions::new().filename(sqlite.path()).synchronous(SqliteSynchronous::Full).foreign_keys(true);
                let mut connection = options.connect().await?;
                let applied = applied(&mut connection).await?;
                run(&mut connection, &applied, COMMON.sqlite, service.sqlite).await?;
                Ok(connection.close().await?)
            }
        }
    }
}

/// The versions that were applied. It makes the table that remembers them, if there is none.
async fn applied<C: Migrate>(connection: &mut C) -> Result<Vec<i64>, DbError> {
    connection.ensure_migrations_table(TABLE).await.map_err(DbError::Migrate)?;
    let applied = connection.list_applied_migrations(TABLE).await.map_err(DbError::Migrate)?;
    Ok(applied.iter().map(|migration| migration.version).collect())
}

async fn run<C: Migrate>(connection: &mut C, applied: &[i64], common: &[Migration], own: &[Migration]) -> Result<(), DbError> {
    let mut migrator = Migrator::with_migrations(common.iter().chain(own).map(step).collect());
    if let Some(newer) = applied.iter().find(|version| **version >= NEXT_MAJOR && !migrator.version_exists(**version)) {
        return Err(DbError::Migrate(MigrateError::VersionMissing(*newer)));
    }
    migrator.set_ignore_missing(true).set_locking(false);
    migrator.run_direct(None, connection, false).await.map_err(DbError::Migrate)
}

/// Takes the lock by asking for it again and again. A statement that waits for it would hold a snapshot, and `CREATE INDEX CONCURRENTLY` of
/// the replica that has the lock waits for all of those: neither would ever go on.
async fn lock(connection: &mut PgConnection) -> Result<(), DbError> {
    loop {
        let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(LOCK).fetch_one(&mut *connection).await?;
        if is_ours {
            return Ok(());
        }
        tokio::time::sleep(ASK).await;
    }
}

/// Drops what a pending migration left when it was killed while it built an index: that is kept up to date and used by nothing, and `IF NOT
/// EXISTS` would take it for the index. An index that somebody else is building, or has left, is not ours to drop.
async fn drop_unfinished_indexes(connection: &mut PgConnection, pending: impl Iterator<Item = &Migration>) -> Result<(), DbError> {
    let sql = "SELECT c.relname::text, format('DROP INDEX CONCURRENTLY %I.%I', n.nspname, c.relname) FROM pg_index i \
               JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE NOT i.indisvalid AND n.nspname = current_schema() \
               AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)";
    let unfinished: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&mut *connection).await?;
    let builds = pending.filter(|migration| migration.sql.starts_with(NO_TRANSACTION));
    let words: Vec<_> = builds.flat_map(|migration| migration.sql.split_whitespace()).collect();
    for (_, drop) in unfinished.into_iter().filter(|(name, _)| words.contains(&name.as_str())) {
        warn!(statement = drop, "an index was left unfinished");
        // The server has quoted the names.
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *connection).await?;
    }
    Ok(())
}

fn step(migration: &Migration) -> SqlxMigration {
    let sql = SqlStr::from_static(migration.sql);
    SqlxMigration::new(
        migration.version,
        Cow::Borrowed(migration.name),
        MigrationType::Simple,
        sql,
        migration.sql.starts_with(NO_TRANSACTION),
    )
}
