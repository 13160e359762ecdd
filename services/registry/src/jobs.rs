//! What the registry does without being asked.

use std::time::Duration;

use nodkey_db::Db;
use nodkey_kernel::{error::chain, time::Clock};
use nodkey_runtime::{Job, housekeeping};
use tracing::warn;

use crate::app::App;

/// How often to look for what need not be kept any more.
const INTERVAL: Duration = Duration::from_mins(10);

/// The jobs of the registry.
#[must_use]
pub fn jobs(app: &App, db: Db, clock: Clock) -> Vec<Job> {
    vec![housekeeping(db, clock), forget(app.clone())]
}

/// Forgets sessions that are over, and what operators did long ago.
fn forget(app: App) -> Job {
    Job::new("forget", |shutdown| async move {
        loop {
            for outcome in [app.prune_operator_sessions().await, app.prune_audit_entries().await] {
                if let Err(e) = outcome {
                    warn!(error = chain(&e), "housekeeping failed; trying again later");
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    })
}
