//! Forgetting what nobody will ask for again.

use std::time::Duration;

use nodkey_db::{Db, idempotency, inbox};
use nodkey_kernel::{error::chain, time::Clock};
use tracing::warn;

use crate::service::Job;

/// How often to look.
const INTERVAL: Duration = Duration::from_mins(10);
/// Longer than streams keep events.
const INBOX: Duration = Duration::from_hours(8 * 24);
/// How long a request id repeats its answer.
const ANSWERS: Duration = Duration::from_hours(24);

/// The job that keeps the tables every service has from growing for ever.
#[must_use]
pub fn housekeeping(db: Db, clock: Clock) -> Job {
    Job::new("housekeeping", |shutdown| async move {
        loop {
            let now = clock.now();
            for outcome in [inbox::prune(&db, now - INBOX).await, idempotency::prune(&db, now - ANSWERS).await] {
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
