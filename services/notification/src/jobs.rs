//! Periodic jobs of the notification service.

use std::time::Duration;

use nodkey_kernel::error::chain;
use nodkey_runtime::{Job, housekeeping::Rule};
use tracing::warn;

use crate::{
    app::App,
    metrics::{DELIVERIES_OLDEST, DELIVERIES_PENDING, ENDPOINTS_FAILING, PUSHES_PENDING},
};

/// How often pending deliveries and pushes are counted.
const COUNTING: Duration = Duration::from_secs(15);

/// Counts pending deliveries and pushes for the metrics.
#[must_use]
pub fn backlog(app: App) -> Job {
    Job::new("backlog", move |shutdown| async move {
        loop {
            match tokio::try_join!(app.waiting(), app.waiting_pushes(), app.failing()) {
                Ok(((waiting, oldest), pushes, failing)) => {
                    // Exact up to 2^53.
                    #[expect(clippy::cast_precision_loss, reason = "nobody counts that far")]
                    let (waiting, pushes, failing) = (waiting as f64, pushes as f64, failing as f64);
                    DELIVERIES_PENDING.set(waiting);
                    PUSHES_PENDING.set(pushes);
                    ENDPOINTS_FAILING.set(failing);
                    DELIVERIES_OLDEST.set(oldest.as_secs_f64());
                }
                Err(e) => warn!(error = chain(&e), "pending deliveries and pushes could not be counted; trying again"),
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(COUNTING) => {}
            }
        }
    })
}

/// The rule that deletes old deliveries.
#[must_use]
pub fn deliveries(app: App) -> Rule {
    Rule::new("delivery", move |pass| {
        let app = app.clone();
        async move { app.delete_deliveries(&pass).await }
    })
}
