//! Where the database is, and how long it is waited for.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

/// Where the database is.
#[derive(Clone, Debug, Deserialize)]
pub struct DbConfig {
    /// `postgres://user:password@host/database` or `sqlite:path/to/file`.
    pub url: SecretString,
    /// How many connections to PostgreSQL at most. SQLite has one writer, and as many readers as threads.
    #[serde(default = "max_connections")]
    pub max_connections: u32,
    /// How many milliseconds opening a connection to PostgreSQL may take.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u32,
    /// How many milliseconds a statement on PostgreSQL may take; locks are waited for four fifths of it.
    #[serde(default = "statement_timeout_ms")]
    pub statement_timeout_ms: u32,
}

const fn max_connections() -> u32 {
    16
}

const fn connect_timeout_ms() -> u32 {
    3000
}

const fn statement_timeout_ms() -> u32 {
    5000
}

impl DbConfig {
    /// The settings of this URL that nobody changed.
    #[must_use]
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            max_connections: max_connections(),
            connect_timeout_ms: connect_timeout_ms(),
            statement_timeout_ms: statement_timeout_ms(),
        }
    }
}

/// How long a statement waits for a connection, and a SQLite writer for its turn.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
