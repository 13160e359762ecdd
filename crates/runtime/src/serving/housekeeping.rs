//! Deletes data that is no longer needed, a few rows at a time, on one replica.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use nodkey_db::{
    Db, Lease, dead_letter, idempotency, inbox,
    retention::{self, Window},
};
use nodkey_kernel::{
    error::{Classify, chain},
    random::Random,
    time::{Clock, Timestamp},
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{metrics::RETENTION_DELETED, service::Job};

/// Default interval of a rule.
const INTERVAL: Duration = Duration::from_mins(10);
/// Pause between two batches: serving callers takes precedence.
const PAUSE: Duration = Duration::from_millis(100);
/// Retention of inbox marks: longer than streams keep events.
const INBOX: Duration = Duration::from_hours(8 * 24);
/// How long a repeated request id gets the same response.
const ANSWERS: Duration = Duration::from_hours(24);

/// Default number of days that a dead letter is kept.
const DEAD_LETTER_DAYS: u32 = 180;

/// What to delete from a table.
pub struct Rule {
    table: &'static str,
    every: Duration,
    apply: Box<dyn Fn(Pass) -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("table", &self.table).field("every", &self.every).finish_non_exhaustive()
    }
}

impl Rule {
    /// Creates a rule. `apply` deletes old rows from the table, batch by batch, as [`Pass::repeat`] does.
    pub fn new<F, Fut, E>(table: &'static str, apply: F) -> Self
    where
        F: Fn(Pass) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Classify,
    {
        let apply = move |pass| -> BoxFuture<'static, Result<(), String>> {
            let applied = apply(pass);
            Box::pin(async move { applied.await.map_err(|e| chain(&e)) })
        };
        Self { table, every: INTERVAL, apply: Box::new(apply) }
    }

    /// Sets a longer interval, for rows that are costly to find.
    #[must_use]
    pub const fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }
}

/// One run of a rule.
#[derive(Clone, Debug)]
pub struct Pass {
    now: Timestamp,
    pace: Option<(Arc<Keeper>, &'static str)>,
}

impl Pass {
    /// A pass without pauses and counts, for tests.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self { now, pace: None }
    }

    /// When the pass began.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Deletes batch by batch, with pauses, until nothing is left; false when it was stopped before. A batch is at most
    /// [`nodkey_db::retention::BATCH`] rows in one transaction.
    pub async fn repeat<F, E>(&self, batch: impl Fn() -> F + Send + Sync) -> Result<bool, E>
    where
        F: Future<Output = Result<u64, E>> + Send,
    {
        loop {
            let deleted = batch().await?;
            if deleted == 0 {
                return Ok(true);
            }
            if !self.note(deleted).await {
                return Ok(false);
            }
        }
    }

    /// Counts a batch, and pauses; false when the pass should stop.
    pub async fn note(&self, deleted: u64) -> bool {
        match &self.pace {
            None => true,
            Some((keeper, table)) => keeper.note(table, deleted).await,
        }
    }
}

/// The rules for the tables that every service has. `dead_letters` is the number of days they are kept, if that is set; 0 keeps them
/// forever.
#[must_use]
pub fn common_rules(db: &Db, dead_letters: Option<u32>) -> Vec<Rule> {
    let (inbox, answers, letters) = (db.clone(), db.clone(), db.clone());
    vec![
        Rule::new("inbox", move |pass| {
            let db = inbox.clone();
            async move { pass.repeat(|| inbox::prune(&db, pass.now() - INBOX)).await.map(drop) }
        }),
        Rule::new("idempotency", move |pass| {
            let db = answers.clone();
            async move { pass.repeat(|| idempotency::prune(&db, pass.now() - ANSWERS)).await.map(drop) }
        }),
        Rule::new("dead_letter", move |pass| {
            let db = letters.clone();
            async move {
                let since = retention::since(&db).await?;
                let Some(window) = Window::of(dead_letters, DEAD_LETTER_DAYS, since, pass.now()) else { return Ok(()) };
                pass.repeat(|| dead_letter::prune(&db, window)).await.map(drop)
            }
        }),
    ]
}

/// The job that keeps tables from growing without limit. Only one of several replicas runs it at a time.
#[must_use]
pub fn job(service: &'static str, db: Db, clock: Clock, rules: Vec<Rule>) -> Job {
    Job::new("retention", move |shutdown| async move {
        let lease = Lease::new("retention", &Random::system());
        let keeper = Arc::new(Keeper { service, db, clock, lease, shutdown });
        let mut due = vec![Instant::now(); rules.len()];
        loop {
            for (rule, due) in rules.iter().zip(&mut due) {
                if *due <= Instant::now() && keeper.holds().await {
                    let every = if keeper.apply(rule).await { rule.every } else { INTERVAL };
                    *due = Instant::now() + every;
                }
            }
            tokio::select! {
                () = keeper.shutdown.cancelled() => return keeper.leave().await,
                () = sleep(INTERVAL) => {}
            }
        }
    })
}

#[derive(Debug)]
struct Keeper {
    service: &'static str,
    db: Db,
    clock: Clock,
    lease: Lease,
    shutdown: CancellationToken,
}

impl Keeper {
    async fn holds(&self) -> bool {
        if self.shutdown.is_cancelled() {
            return false;
        }
        self.lease.hold(&self.db).await.unwrap_or_else(|e| {
            warn!(service = self.service, error = chain(&e), "retention cannot reach its database; trying again later");
            false
        })
    }

    /// Returns false when it failed.
    async fn apply(self: &Arc<Self>, rule: &Rule) -> bool {
        let pass = Pass { now: self.clock.now(), pace: Some((Arc::clone(self), rule.table)) };
        let applied = (rule.apply)(pass).await;
        if let Err(cause) = &applied {
            warn!(service = self.service, table = rule.table, cause, "old rows could not be deleted; trying again later");
        }
        applied.is_ok()
    }

    /// Counts a batch, pauses, and renews the lease, which lasts longer than both.
    async fn note(&self, table: &'static str, deleted: u64) -> bool {
        RETENTION_DELETED.with([self.service, table]).increment(deleted);
        tokio::select! {
            () = self.shutdown.cancelled() => false,
            () = sleep(PAUSE) => self.holds().await,
        }
    }

    async fn leave(&self) {
        if let Err(e) = self.lease.release(&self.db).await {
            warn!(service = self.service, error = chain(&e), "retention's lease could not be released and will expire");
        }
    }
}

#[cfg(test)]
mod tests;
