//! What the trusonafication service does without being asked.

use std::time::Duration;

use nodkey_db::Db;
use nodkey_kernel::{error::chain, time::Clock};
use nodkey_runtime::{Job, housekeeping};
use tracing::warn;

use crate::app::{App, Swept};

/// How often codes are forgotten.
const FORGET: Duration = Duration::from_mins(10);
/// How often what is overdue is looked for from the beginning: what came late is there, and what cannot be read is named again.
const ANEW: Duration = Duration::from_mins(1);

/// The jobs.
#[must_use]
pub fn jobs(app: App, interval: Duration, db: Db, clock: Clock) -> Vec<Job> {
    vec![expiry(app.clone(), interval, clock.clone()), forgetting(app), housekeeping(db, clock)]
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

/// Ends what is overdue. Each look goes on where the one before ended, so that rows that cannot be read are met once in [`ANEW`], not at
/// every look.
fn expiry(app: App, interval: Duration, clock: Clock) -> Job {
    Job::new("expiry", move |shutdown| async move {
        let (mut after, mut begun) = (None, clock.now());
        loop {
            if begun.until(clock.now()) >= ANEW {
                (after, begun) = (None, clock.now());
            }
            let more = match app.sweep(after.as_ref()).await {
                Ok(Swept { last, more }) => {
                    after = last.or(after);
                    more
                }
                Err(e) => {
                    warn!(error = chain(&e), "looking for what has expired failed; trying again");
                    false
                }
            };
            let pause = if more { Duration::ZERO } else { interval };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    })
}
