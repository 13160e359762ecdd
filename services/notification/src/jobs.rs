//! What the notification service does without being asked.

use std::time::Duration;

use nodkey_db::Db;
use nodkey_kernel::{error::chain, time::Clock};
use nodkey_runtime::{Job, housekeeping};
use tokio::task::JoinSet;
use tracing::warn;

use crate::{app::App, send::Sender};

/// How often to look for what is due without being told.
const INTERVAL: Duration = Duration::from_secs(1);

/// The jobs.
#[must_use]
pub fn jobs(app: App, sender: Sender, concurrency: usize, db: Db, clock: Clock) -> Vec<Job> {
    vec![deliveries(app, sender, concurrency), housekeeping(db, clock)]
}

/// Works deliveries off, so many at once; never more are in memory.
fn deliveries(app: App, sender: Sender, concurrency: usize) -> Job {
    Job::new("deliveries", move |shutdown| async move {
        let (due, mut sending) = (app.due(), JoinSet::new());
        loop {
            while sending.try_join_next().is_some() {}
            let room = concurrency - sending.len();
            let claimed = if room == 0 { Ok(Vec::new()) } else { app.claim(room).await };
            let claimed = claimed.unwrap_or_else(|e| {
                warn!(error = chain(&e), "looking for what is due failed; trying again");
                Vec::new()
            });
            for delivery in claimed {
                let sender = sender.clone();
                sending.spawn(async move { sender.attempt(delivery).await });
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = due.notified() => {}
                Some(_) = sending.join_next() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
        // What is on the wire is finished: the receiver may have it already.
        while sending.join_next().await.is_some() {}
    })
}
