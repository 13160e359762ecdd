//! Making up for hints that were lost: one look for all who wait, instead of one by each of them.

use std::time::Duration;

use nodkey_kernel::error::{Classify, chain};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bus::Bus;

/// How often is looked while no hint can come, and after a look that failed.
const AWAY: Duration = Duration::from_secs(1);
/// How often it is asked whether the next look is due.
const TICK: Duration = Duration::from_millis(500);

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked<C> {
    /// Where the next one goes on.
    pub cursor: C,
    /// Whether there is more by now.
    pub more: bool,
}

/// Looks for what changed: `every` so often, every second while the bus is away, once more when it is back, and again at once while a look
/// says that there is more. A look is given where the last one that did not fail ended. Ends with `shutdown`.
pub async fn look_out<C: Clone, E: Classify, F: Future<Output = Result<Looked<C>, E>>>(
    bus: &Bus,
    every: Duration,
    shutdown: CancellationToken,
    look: impl Fn(Option<C>) -> F,
) {
    let (mut cursor, mut last) = (None, Outcome::Done);
    loop {
        // Before the look: what changes while it runs may have been missed, too.
        let (deaf, begun) = (!bus.is_connected(), Instant::now());
        let Some(looked) = shutdown.run_until_cancelled(look(cursor.clone())).await else { return };
        let outcome = match looked {
            Ok(looked) => {
                cursor = Some(looked.cursor);
                if looked.more { Outcome::More } else { Outcome::Done }
            }
            Err(e) => {
                if last != Outcome::Failed {
                    warn!(error = chain(&e), "changes cannot be looked for; who waits relies on wakes alone");
                }
                Outcome::Failed
            }
        };
        if last == Outcome::Failed && outcome != Outcome::Failed {
            info!("changes are looked for again");
        }
        last = outcome;
        while !is_due(outcome, deaf || !bus.is_connected(), begun.elapsed(), every) {
            if shutdown.run_until_cancelled(sleep(TICK)).await.is_none() {
                return;
            }
        }
    }
}

/// What became of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    More,
    Failed,
}

/// Whether the next look is due, this long after one began.
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
