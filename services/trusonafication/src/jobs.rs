//! What the trusonafication service does without being asked.

use std::time::Duration;

use nodkey_db::Db;
use nodkey_kernel::{error::chain, time::Clock};
use nodkey_runtime::{Job, housekeeping};
use tracing::warn;

use crate::app::App;

/// The jobs.
#[must_use]
pub fn jobs(app: App, interval: Duration, db: Db, clock: Clock) -> Vec<Job> {
    vec![expiry(app, interval), housekeeping(db, clock)]
}

/// Ends what is overdue.
fn expiry(app: App, interval: Duration) -> Job {
    Job::new("expiry", move |shutdown| async move {
        loop {
            let more = app.sweep().await.unwrap_or_else(|e| {
                warn!(error = chain(&e), "looking for what has expired failed; trying again");
                false
            });
            let pause = if more { Duration::ZERO } else { interval };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    })
}
