//! Closed and open loops.

use std::{
    pin::pin,
    sync::Mutex,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use indicatif::ProgressBar;

use super::{
    fleet::Fleet,
    number,
    samples::{Fault, Samples, Times},
};

/// What starts the next login.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// The end of one of a fixed number of concurrent logins.
    Closed {
        /// The number of concurrent logins.
        concurrency: usize,
    },
    /// The clock: logins start at a fixed rate, whatever becomes of earlier ones.
    Open {
        /// Logins per second.
        rate: f64,
    },
}

/// When to stop, whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// After this time.
    pub duration: Option<Duration>,
    /// After this many have started.
    pub count: Option<u64>,
}

impl End {
    fn reached(self, begun: Instant, started: u64) -> bool {
        self.duration.is_some_and(|duration| begun.elapsed() >= duration) || self.count.is_some_and(|count| started >= count)
    }
}

/// Runs logins until the end, and waits for those in progress. Returns the measurements and the time that it took.
pub async fn run(fleet: &Fleet, pace: Pace, end: End, progress: &ProgressBar) -> anyhow::Result<(Samples, Duration)> {
    let samples = Mutex::new(Samples::new()?);
    let record = |outcome| {
        if let Ok(mut samples) = samples.lock() {
            samples.record(outcome);
            progress.set_message(format!("{} logins, {} failed", samples.completed(), samples.failed()));
        }
    };
    let begun = Instant::now();
    match pace {
        Pace::Closed { concurrency } => closed(fleet, concurrency, end, begun, &record).await?,
        Pace::Open { rate } => open(fleet, rate, end, begun, &record).await,
    }
    let took = begun.elapsed();
    Ok((samples.into_inner().map_err(|_| anyhow::anyhow!("a login panicked"))?, took))
}

async fn closed(fleet: &Fleet, concurrency: usize, end: End, begun: Instant, record: &impl Fn(Result<Times, Fault>)) -> Result<(), Fault> {
    let started = std::cell::Cell::new(0);
    let workers: FuturesUnordered<_> = (0..concurrency)
        .map(|_| async {
            while !end.reached(begun, started.get()) {
                started.set(started.get() + 1);
                let user = fleet.take().await?;
                record(fleet.login(user, Instant::now()).await);
            }
            Ok(())
        })
        .collect();
    let mut workers = pin!(workers);
    while let Some(outcome) = workers.next().await {
        outcome?;
    }
    Ok(())
}

/// Latency counts from when a login was due, so waiting for its turn counts, too.
async fn open(fleet: &Fleet, rate: f64, end: End, begun: Instant, record: &impl Fn(Result<Times, Fault>)) {
    let mut logins = pin!(FuturesUnordered::new());
    let mut started = 0_u64;
    while !end.reached(begun, started) {
        let due = begun + Duration::from_secs_f64(number(started) / rate);
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => {
                started += 1;
                logins.push(async move {
                    match fleet.take().await {
                        Ok(user) => record(fleet.login(user, due).await),
                        Err(fault) => record(Err(fault)),
                    }
                });
            }
            Some(()) = logins.next() => {}
        }
    }
    while logins.next().await.is_some() {}
}
