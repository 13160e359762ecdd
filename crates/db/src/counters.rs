//! Counters of the database's work, which keep the cost of a login in check.

use metrics::Counter;

use crate::metrics::{COMMITS, ROUND_TRIPS, STATEMENTS, SYNCS};

/// Counters of one database.
pub(crate) struct Counters {
    /// Statements, without BEGIN, COMMIT and ROLLBACK.
    pub(crate) statements: Counter,
    /// Requests for which a response was awaited. On SQLite, function calls.
    pub(crate) round_trips: Counter,
    /// Committed transactions. Statements outside a transaction do not count.
    pub(crate) commits: Counter,
    /// Times that a commit waited for the disk, on SQLite.
    pub(crate) syncs: Counter,
}

impl Counters {
    /// `database` is a name that operators know: that of the PostgreSQL database, or the SQLite file without its extension.
    pub(crate) fn new(database: &str) -> Self {
        let name = || [database.to_owned()];
        Self {
            statements: STATEMENTS.with(name()),
            round_trips: ROUND_TRIPS.with(name()),
            commits: COMMITS.with(name()),
            syncs: SYNCS.with(name()),
        }
    }
}
