//! Errors of the database.

use std::error::Error;

use nodkey_kernel::error::{Classify, Kind};

use crate::condition::{Condition, Meaning, of_sqlite, of_sqlstate};

/// The cause of an error; shown in logs, never to callers.
type Source = Box<dyn Error + Send + Sync>;

/// A statement, a connection or a migration failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The URL names neither engine.
    #[error("the database URL must start with postgres:// or sqlite:")]
    Url,
    /// A unique constraint rejected the row.
    #[error("a unique constraint rejected the row: {constraint}")]
    Unique {
        /// Name of the constraint on PostgreSQL; table and columns on SQLite.
        constraint: String,
    },
    /// Another constraint rejected the row.
    #[error("a constraint rejected the row")]
    Constraint(#[source] Source),
    /// The engine cannot store or compare such a value.
    #[error("the database cannot store this value")]
    Data(#[source] Source),
    /// The database cannot do this now; a retry may succeed soon.
    #[error("the database is unavailable: {condition}")]
    Unavailable {
        /// Why.
        condition: Condition,
        /// The driver's error.
        #[source]
        source: Source,
    },
    /// The transaction relied on other services' answers, which were too old when its commit was to begin. Nothing was committed.
    #[error("answers of other services became too old before the commit")]
    Late,
    /// A column holds an invalid value.
    #[error("column {column} cannot be read")]
    Corrupt {
        /// Name of the column.
        column: &'static str,
        /// What is wrong with it.
        #[source]
        source: Source,
    },
    /// A row holds values that are never written.
    #[error("{table}.{column} of row {row} is inconsistent")]
    Inconsistent {
        /// Name of the table.
        table: &'static str,
        /// Name of the column.
        column: &'static str,
        /// Key of the row.
        row: String,
        /// What is wrong with it.
        #[source]
        source: Source,
    },
    /// The schema could not be brought up to date.
    #[error("the schema could not be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// The database refuses this process: a wrong user, password or database.
    #[error("the database refused the login")]
    Refused(#[source] Source),
    /// A query that must find a row found none.
    #[error("there is no row")]
    NoRow,
    /// A commit was requested after a statement of the transaction had failed.
    #[error("a statement of the transaction had failed")]
    Aborted,
    /// Anything else: a bug in this program.
    #[error("a statement failed")]
    Statement(#[source] Source),
}

impl DbError {
    pub(crate) fn unavailable(condition: Condition, source: impl Into<Source>) -> Self {
        Self::Unavailable { condition, source: source.into() }
    }

    /// Why the error may be temporary; `None` for one that is permanent.
    #[must_use]
    pub const fn condition(&self) -> Option<Condition> {
        match self {
            Self::Unavailable { condition, .. } => Some(*condition),
            _ => None,
        }
    }

    fn new(meaning: Meaning, constraint: impl FnOnce() -> String, source: Source) -> Self {
        match meaning {
            Meaning::Passing(condition) => Self::Unavailable { condition, source },
            Meaning::Unique => Self::Unique { constraint: constraint() },
            Meaning::Constraint => Self::Constraint(source),
            Meaning::Data => Self::Data(source),
            Meaning::Ours => Self::Statement(source),
        }
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(cause) => Self::unavailable(Condition::Away, cause),
            sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => Self::unavailable(Condition::Away, error),
            sqlx::Error::Database(db) => {
                let meaning = of_sqlstate(db.code().as_deref().unwrap_or_default());
                let constraint = db.constraint().map(ToOwned::to_owned);
                Self::new(meaning, || constraint.unwrap_or_default(), db.into())
            }
            sqlx::Error::RowNotFound => Self::NoRow,
            other => Self::Statement(other.into()),
        }
    }
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        let Some(failed) = error.sqlite_error() else { return Self::Statement(error.into()) };
        let constraint = error.to_string();
        Self::new(of_sqlite(failed.extended_code), || constraint, error.into())
    }
}

impl Classify for DbError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unavailable { .. } | Self::Late => Kind::Unavailable,
            Self::Unique { .. } => Kind::Conflict,
            Self::Data(_) => Kind::Invalid,
            Self::Url
            | Self::Constraint(_)
            | Self::Corrupt { .. }
            | Self::Inconsistent { .. }
            | Self::Migrate(_)
            | Self::Refused(_)
            | Self::NoRow
            | Self::Aborted
            | Self::Statement(_) => Kind::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "DATABASE_UNAVAILABLE",
            Self::Late => "CHECK_OUTDATED",
            Self::Unique { .. } => "ALREADY_EXISTS",
            Self::Data(_) => "VALIDATION_FAILED",
            _ => "INTERNAL",
        }
    }
}
