//! The address of the database, and how long to wait for it.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;

/// The address of the database.
#[derive(Clone, Debug, Deserialize)]
pub struct DbConfig {
    /// `postgres://user:password@host/database` or `sqlite:path/to/file`.
    pub url: SecretString,
    /// Maximum number of connections to PostgreSQL. SQLite has one writer, and as many readers as threads.
    #[serde(default = "max_connections")]
    pub max_connections: u32,
    /// Maximum number of milliseconds for opening a connection to PostgreSQL.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u32,
    /// Maximum number of milliseconds for a statement on PostgreSQL. Of these, waiting for a lock may take four fifths.
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
    /// The settings for this URL with every default.
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

impl DbConfig {
    /// The server's address for operators, without user and password.
    #[must_use]
    pub fn server(&self) -> String {
        let url = self.url.expose_secret();
        if !url.starts_with("postgres") {
            return "the database".to_owned();
        }
        let Ok(options) = url.parse::<PgConnectOptions>() else { return "PostgreSQL".to_owned() };
        let at = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let database = options.get_database().map(|name| format!(", database {name}")).unwrap_or_default();
        format!("PostgreSQL at {at}{database}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_without_what_is_secret() {
        let server = |url: &str| DbConfig::new(url).server();
        assert_eq!(server("postgres://me:secret@db.example.com/nodkey"), "PostgreSQL at db.example.com:5432, database nodkey");
        assert_eq!(server("postgres://me:secret@127.0.0.1:1"), "PostgreSQL at 127.0.0.1:1");
        assert_eq!(server("postgres://secret@[nonsense"), "PostgreSQL");
        assert_eq!(server("sqlite:secret.db"), "the database");
    }
}
