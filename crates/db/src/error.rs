//! What the database can refuse.

use nodkey_kernel::error::{Classify, Kind};

/// A statement, a connection or a migration failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The URL names neither engine.
    #[error("the database URL must start with postgres:// or sqlite:")]
    Url,
    /// A unique constraint refused the row.
    #[error("a unique constraint refused the row: {constraint}")]
    Unique {
        /// Name of the constraint on PostgreSQL; table and columns on SQLite.
        constraint: String,
    },
    /// The database is away, full or too busy; the same statement may work soon.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// A column holds what it should not.
    #[error("column {column} cannot be read")]
    Corrupt {
        /// Name of the column.
        column: &'static str,
        /// What the driver says.
        #[source]
        source: sqlx::Error,
    },
    /// A row holds what nobody writes.
    #[error("{table}.{column} of row {row} is inconsistent")]
    Inconsistent {
        /// Name of the table.
        table: &'static str,
        /// Name of the column.
        column: &'static str,
        /// The row's key.
        row: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The schema could not be brought up to date.
    #[error("the schema could not be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// Anything else: a fault of ours.
    #[error("a statement failed")]
    Statement(#[source] sqlx::Error),
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Unavailable(error)
            }
            sqlx::Error::Database(db) if db.is_unique_violation() => {
                let constraint = db.constraint().unwrap_or_else(|| db.message()).to_owned();
                Self::Unique { constraint }
            }
            // Serialization failure, deadlock, shutting down, too many connections; SQLITE_BUSY and SQLITE_LOCKED.
            sqlx::Error::Database(db) => match db.code().as_deref() {
                Some("40001" | "40P01" | "57P01" | "57P02" | "57P03" | "53300" | "5" | "6" | "261" | "517") => Self::Unavailable(error),
                _ => Self::Statement(error),
            },
            _ => Self::Statement(error),
        }
    }
}

impl Classify for DbError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unavailable(_) => Kind::Unavailable,
            Self::Unique { .. } => Kind::Conflict,
            Self::Url | Self::Corrupt { .. } | Self::Inconsistent { .. } | Self::Migrate(_) | Self::Statement(_) => Kind::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "DATABASE_UNAVAILABLE",
            Self::Unique { .. } => "ALREADY_EXISTS",
            Self::Url | Self::Corrupt { .. } | Self::Inconsistent { .. } | Self::Migrate(_) | Self::Statement(_) => "INTERNAL",
        }
    }
}
