//! What is measured now and then: connection pools, and dead letters.

use std::time::Duration;

use nodkey_db::{Db, dead_letter};
use nodkey_kernel::error::chain;
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use super::{metrics::DEAD_LETTERS, service::Job};

/// Interval at which pools are measured: more often than a scrape.
const POOLS: Duration = Duration::from_secs(5);
/// Interval at which dead letters are counted, by a statement.
const LETTERS: Duration = Duration::from_mins(1);

/// The job that measures the databases of these services.
pub(super) fn job(databases: Vec<(&'static str, Db)>) -> Job {
    Job::new("gauges", move |shutdown| async move {
        let (mut pools, mut letters) = (interval(POOLS), interval(LETTERS));
        for ticks in [&mut pools, &mut letters] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = pools.tick() => databases.iter().for_each(|(_, db)| db.report()),
                _ = letters.tick() => count(&databases).await,
            }
        }
    })
}

/// While a database is away, what was counted last stays: readiness reports the database.
async fn count(databases: &[(&'static str, Db)]) {
    for (service, db) in databases {
        match dead_letter::count(db).await {
            Ok(letters) => DEAD_LETTERS.with([*service]).set(letters),
            Err(e) => debug!(service, error = chain(&e), "dead letters could not be counted"),
        }
    }
}
