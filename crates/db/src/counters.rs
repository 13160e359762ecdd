//! What a database is asked to do, counted: the costs of a login are steered by these.

use metrics::Counter;

/// Counts of one database.
pub(crate) struct Counters {
    /// Statements, without BEGIN, COMMIT and ROLLBACK.
    pub(crate) statements: Counter,
    /// Requests that an answer was awaited for. On SQLite a function call.
    pub(crate) round_trips: Counter,
    /// Transactions that were committed; those of statements outside of any are not among them.
    pub(crate) commits: Counter,
    /// Times that a commit waited for the disk, on SQLite.
    pub(crate) syncs: Counter,
}

impl Counters {
    /// `database` is a name of the operator's: that of the PostgreSQL database, or the SQLite file without its extension.
    pub(crate) fn new(database: &str) -> Self {
        let counter = |name: &'static str| metrics::counter!(name, "database" => database.to_owned());
        Self {
            statements: counter("nodkey_db_statements_total"),
            round_trips: counter("nodkey_db_round_trips_total"),
            commits: counter("nodkey_db_commits_total"),
            syncs: counter("nodkey_db_syncs_total"),
        }
    }
}
