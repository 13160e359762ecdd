//! What the trusonafication service does without being asked.

use std::time::Duration;

use nodkey_db::Db;
use nodkey_kernel::{error::chain, time::Clock};
use nodkey_runtime::{Job, housekeeping};
use tracing::warn;

use crate::app::App;

/// How often codes are forgotten.
const FORGET: Duration = Duration::from_mins(10);

/// The jobs.
#[must_use]
pub fn jobs(app: App, interval: Duration, db: Db, clock: Clock) -> Vec<Job> {
    vec![expiry(app.clone(), interval), forgetting(app), housekeeping(db, clock)]
}

/// Forgets codes that were over long ago.
fn forgetting(app: App) -> Job {
    Job::new("forget trucodes", move |shutdown| async move {
        loop {
            if let Err(e) = app.forget_trucodes().await {
                warn!(error = chain(&e), "forgetting old codes failed; trying again");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(FORGET) => {}
            }
        }
    })
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
