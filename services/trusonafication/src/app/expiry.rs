//! Ending what nobody answered in time.

use std::{
    sync::atomic::{AtomicI64, Ordering::SeqCst},
    time::Duration,
};

use nodkey_kernel::{error::chain, time::Timestamp};
use nodkey_runtime::{Job, page::Cursor};
use tokio::{sync::Notify, time::timeout};
use tracing::warn;

use super::App;
use crate::{domain::Change, error::Error, store};

/// Maximum number of trusonafications ended in one transaction.
const BATCH: i64 = 50;
/// How often unreadable rows are reported again.
const ANEW: Duration = Duration::from_mins(1);
/// The longest time between two looks: what a replica created that is no longer there, and a clock that was set forward.
const LONGEST: Duration = Duration::from_secs(5);

/// When the sweep looks next.
#[derive(Debug)]
pub(super) struct NextLook {
    micros: AtomicI64,
    earlier: Notify,
}

/// The result of a sweep for overdue trusonafications.
#[derive(Clone, Debug)]
pub(super) struct Swept {
    /// The last unreadable row, which therefore remains; `None` if there is none.
    pub unreadable: Option<Cursor>,
    /// Whether more are overdue.
    pub more: bool,
    /// When the next one expires: `None` if none does within [`LONGEST`], now if some were overdue.
    pub next: Option<Timestamp>,
}

impl NextLook {
    /// Takes note of an expiry. Wakes the sweep if it would look later.
    pub(super) fn note(&self, at: Timestamp) {
        if at.as_micros() < self.micros.fetch_min(at.as_micros(), SeqCst) {
            self.earlier.notify_one();
        }
    }

    /// Plans a look. This comes before the expiries are read, so that one that is noted meanwhile is not lost.
    fn plan(&self, at: Timestamp) {
        self.micros.store(at.as_micros(), SeqCst);
    }
}

impl Default for NextLook {
    fn default() -> Self {
        Self { micros: AtomicI64::new(i64::MIN), earlier: Notify::new() }
    }
}

impl App {
    /// Ends a batch of overdue trusonafications after a position, in one transaction. Unreadable rows are skipped.
    pub(super) async fn sweep(&self, after: Option<&Cursor>) -> Result<Swept, Error> {
        let now = self.now();
        let next = store::next_expiry(&self.db, now + LONGEST, after).await?;
        if next.is_none_or(|next| next > now) {
            return Ok(Swept { unreadable: None, more: false, next });
        }
        let page = store::overdue(&self.db, now, after, BATCH).await?;
        let (unreadable, more) = (page.last_unreadable().cloned(), page.has_next());
        let overdue = page.into_rows();
        if !overdue.is_empty() {
            let signer = self.keys.published().await?;
            let mut tx = self.db.begin_patient().await?;
            for found in overdue {
                if let Change::Changed(expired) = found.expire(now) {
                    // Another replica, or a phone, may have been first.
                    self.end(&mut tx, &signer, &expired).await?;
                }
            }
            tx.commit().await?;
        }
        Ok(Swept { unreadable, more, next: Some(now) })
    }
}

/// Ends overdue trusonafications. It looks when the next one expires, and `interval` after the look before at the soonest. Ended ones are not
/// found again, so each sweep begins after the last unreadable row: these are met once per [`ANEW`], not in every sweep.
pub fn job(app: App, interval: Duration) -> Job {
    Job::new("expiry", move |shutdown| async move {
        let (mut after, mut begun) = (None, app.now());
        loop {
            if begun.until(app.now()) >= ANEW {
                (after, begun) = (None, app.now());
            }
            let latest = app.now() + LONGEST;
            app.next_look.plan(latest);
            let (more, next) = match app.sweep(after.as_ref()).await {
                Ok(Swept { unreadable, more, next }) => {
                    after = unreadable.or(after);
                    (more, next)
                }
                Err(e) => {
                    warn!(error = chain(&e), "looking for what has expired failed; trying again");
                    (false, Some(app.now()))
                }
            };
            let next = next.unwrap_or(latest).min(latest);
            let (pause, at_least) = (app.now().until(next), if more { Duration::ZERO } else { interval });
            let pausing = async {
                tokio::time::sleep(at_least).await;
                let _ = timeout(pause.saturating_sub(at_least), app.next_look.earlier.notified()).await;
            };
            if shutdown.run_until_cancelled(pausing).await.is_none() {
                return;
            }
        }
    })
}

#[cfg(test)]
mod tests;
