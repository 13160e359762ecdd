//! Recovering from lost hints: one read for all waiters, instead of one by each of them.

use std::time::Duration;

use nodkey_kernel::error::{Classify, chain};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bus::Bus;

/// Interval between reads while no hint can arrive, and after a read that failed.
const AWAY: Duration = Duration::from_secs(1);
/// How long reads stay frequent once the bus is back: who sends the hints may reconnect later, after pauses of up to four seconds.
const SETTLING: Duration = Duration::from_secs(5);
/// Interval at which to check whether the next read is due.
const TICK: Duration = Duration::from_millis(500);

/// Result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked<C> {
    /// Where the next read continues.
    pub cursor: C,
    /// Whether more is available already.
    pub more: bool,
}

/// Reads what changed: every `every`, every second while the bus is unreachable and until its other clients are back as well, and again
/// immediately while a read reports that there is more. A read continues where the last successful one ended. Ends with `shutdown`.
pub async fn look_out<C: Clone, E: Classify, F: Future<Output = Result<Looked<C>, E>>>(
    bus: &Bus,
    every: Duration,
    shutdown: CancellationToken,
    look: impl Fn(Option<C>) -> F,
) {
    let (mut cursor, mut last, mut hearing) = (None, Outcome::Done, Hearing::default());
    loop {
        let begun = Instant::now();
        // Before the read: changes made while it runs may have been missed as well.
        hearing.is_deaf(bus.is_connected(), begun);
        let Some(looked) = shutdown.run_until_cancelled(look(cursor.clone())).await else { return };
        let outcome = match looked {
            Ok(looked) => {
                cursor = Some(looked.cursor);
                if looked.more { Outcome::More } else { Outcome::Done }
            }
            Err(e) => {
                if last != Outcome::Failed {
                    warn!(error = chain(&e), "cannot poll for changes; waiters rely on wakes alone");
                }
                Outcome::Failed
            }
        };
        if last == Outcome::Failed && outcome != Outcome::Failed {
            info!("polling for changes again");
        }
        last = outcome;
        while !is_due(outcome, hearing.is_deaf(bus.is_connected(), Instant::now()), begun.elapsed(), every) {
            if shutdown.run_until_cancelled(sleep(TICK)).await.is_none() {
                return;
            }
        }
    }
}

/// Outcome of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    More,
    Failed,
}

/// When the bus was last seen unreachable.
#[derive(Debug, Default)]
struct Hearing(Option<Instant>);

impl Hearing {
    /// Whether hints may not arrive now.
    fn is_deaf(&mut self, connected: bool, now: Instant) -> bool {
        if !connected {
            self.0 = Some(now);
        }
        self.0.is_some_and(|at| now.duration_since(at) < SETTLING)
    }
}

/// Whether the next read is due, this long after the last one began.
fn is_due(outcome: Outcome, deaf: bool, since: Duration, every: Duration) -> bool {
    match outcome {
        Outcome::More => true,
        Outcome::Failed => since >= AWAY,
        Outcome::Done => since >= if deaf { AWAY.min(every) } else { every },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_may_be_missing_until_everybody_had_time_to_come_back() {
        let (mut hearing, start) = (Hearing::default(), Instant::now());
        let mut deaf = |connected, millis| hearing.is_deaf(connected, start + Duration::from_millis(millis));
        assert!(!deaf(true, 0) && deaf(false, 1_000) && deaf(true, 1_500) && deaf(true, 5_999) && !deaf(true, 6_000));
        assert!(deaf(false, 7_000) && deaf(true, 11_000), "every time");
    }

    #[test]
    fn who_hears_looks_seldom_who_does_not_every_second_and_who_is_behind_at_once() {
        let due = |outcome, deaf, millis| is_due(outcome, deaf, Duration::from_millis(millis), Duration::from_secs(10));
        for (outcome, deaf, after) in [
            (Outcome::Done, false, 10_000),
            (Outcome::Done, true, 1_000),
            (Outcome::Failed, false, 1_000),
            (Outcome::Failed, true, 1_000),
            (Outcome::More, false, 0),
        ] {
            assert!(due(outcome, deaf, after) && (after == 0 || !due(outcome, deaf, after - 1)), "{outcome:?} {deaf}");
        }
    }
}
