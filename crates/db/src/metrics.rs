//! Metrics of databases. `database` is a name that operators know: that of the PostgreSQL database, or the SQLite file without its
//! extension.

use nodkey_metrics::{List, OpenCounter, OpenGauge, OpenHistogram, WORK};

/// Statements, without BEGIN, COMMIT and ROLLBACK.
pub(crate) static STATEMENTS: OpenCounter<1> =
    OpenCounter::new("nodkey_db_statements_total", ["database"], "Statements, without the beginnings and ends of transactions.");

/// Requests for which a response was awaited. On SQLite, function calls.
pub(crate) static ROUND_TRIPS: OpenCounter<1> = OpenCounter::new(
    "nodkey_db_round_trips_total",
    ["database"],
    "Statements, and the beginnings and ends of transactions: how often a response was awaited.",
);

/// Committed transactions. Statements outside a transaction do not count.
pub(crate) static COMMITS: OpenCounter<1> =
    OpenCounter::new("nodkey_db_commits_total", ["database"], "Committed transactions; a statement outside of any is not counted.");

/// Times that a commit waited for the disk, on SQLite.
pub(crate) static SYNCS: OpenCounter<1> =
    OpenCounter::new("nodkey_db_syncs_total", ["database"], "How often commits waited for the disk (SQLite).");

/// Connections of the pool, on PostgreSQL.
pub(crate) static CONNECTIONS: OpenGauge<2> =
    OpenGauge::new("nodkey_db_connections", ["database", "state"], "Open connections to PostgreSQL, by whether they are in use.");

/// The size that the pool may reach, on PostgreSQL.
pub(crate) static MAX_CONNECTIONS: OpenGauge<1> =
    OpenGauge::new("nodkey_db_connections_max", ["database"], "How many connections to PostgreSQL this process may open.");

/// Those who wait for a connection, on PostgreSQL.
pub(crate) static WAITING: OpenGauge<1> =
    OpenGauge::new("nodkey_db_acquires_waiting", ["database"], "Callers that wait for a connection to PostgreSQL.");

/// Waits for a connection, on PostgreSQL.
pub(crate) static ACQUIRE: OpenHistogram<1> =
    OpenHistogram::new("nodkey_db_acquire_seconds", ["database"], WORK, "Time until a connection to PostgreSQL is available.");

/// The metrics of this crate.
pub static METRICS: List = &[&STATEMENTS, &ROUND_TRIPS, &COMMITS, &SYNCS, &CONNECTIONS, &MAX_CONNECTIONS, &WAITING, &ACQUIRE];
