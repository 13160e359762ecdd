//! Limits the number of unproven attempts per caller within a window. An attempt that turns out to be legitimate is refunded.

use std::{
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use moka::sync::Cache;
use tokio::time::Instant;

/// The maximum number of callers with a count. Beyond it, the counts of some are forgotten.
const CALLERS: u64 = 200_000;

/// Counts per caller. A caller's window begins with the first attempt counted in it.
#[derive(Debug)]
pub struct Budget<K: Hash + Eq + Send + Sync + 'static> {
    window: Duration,
    counts: Cache<K, Arc<Count>>,
}

/// The attempts counted in a window, and when it began.
#[derive(Debug)]
struct Count(Mutex<(Instant, u32)>);

impl Count {
    /// Counts one more at this moment and returns when the window began. At the limit, returns how long the window still lasts.
    fn add(&self, now: Instant, window: Duration, limit: u32) -> Result<Instant, Spent> {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, spent) = &mut *count;
        if now.saturating_duration_since(*begun) >= window {
            (*begun, *spent) = (now, 0);
        }
        if *spent >= limit {
            return Err(Spent(window.saturating_sub(now.saturating_duration_since(*begun))));
        }
        *spent += 1;
        Ok(*begun)
    }

    /// Refunds one attempt of the window that began then. If that window is over, there is nothing to refund.
    fn give_back(&self, began: Instant) {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if count.0 == began {
            count.1 = count.1.saturating_sub(1);
        }
    }
}

/// A counted attempt. It stays counted unless it is refunded.
#[derive(Debug)]
#[must_use]
pub struct Charge(Vec<(Arc<Count>, Instant)>);

/// The limit is reached, for exactly this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent(pub Duration);

impl<K: Hash + Eq + Send + Sync + 'static> Budget<K> {
    /// Makes a budget with this window.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self { window, counts: Cache::builder().max_capacity(CALLERS).time_to_live(window).build() }
    }

    /// Counts one attempt for each of these callers, or for none of them if one has reached its limit.
    pub fn charge(&self, callers: impl IntoIterator<Item = (K, u32)>) -> Result<Charge, Spent> {
        let (now, mut charge) = (Instant::now(), Charge(Vec::new()));
        for (caller, limit) in callers {
            let count = self.counts.get_with(caller, || Arc::new(Count(Mutex::new((now, 0)))));
            match count.add(now, self.window, limit) {
                Ok(began) => charge.0.push((count, began)),
                Err(spent) => {
                    charge.refund();
                    return Err(spent);
                }
            }
        }
        Ok(charge)
    }
}

impl Charge {
    /// Undoes the count.
    pub fn refund(self) {
        self.0.iter().for_each(|(count, began)| count.give_back(*began));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_may_be_spent_and_who_has_none_costs_the_others_nothing() {
        let budget = Budget::new(Duration::from_hours(1));
        let first = budget.charge([("a", 2), ("all", 3)]).unwrap();
        let _second = budget.charge([("a", 2), ("all", 3)]).unwrap();
        let Spent(left) = budget.charge([("a", 2), ("all", 3)]).unwrap_err();
        assert!(left > Duration::from_mins(59), "{left:?}");
        assert!(budget.charge([("b", 2), ("all", 3)]).is_ok(), "the one that was refused counts nowhere");
        assert!(budget.charge([("c", 2), ("all", 3)]).is_err());
        first.refund();
        assert!(budget.charge([("a", 2), ("all", 3)]).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_refused_is_let_in_after_exactly_what_they_were_told() {
        let budget = Budget::new(Duration::from_mins(1));
        for _ in 0..3 {
            let _charge = budget.charge([("a", 1)]).unwrap();
            for waits in [Duration::ZERO, Duration::from_millis(20_500)] {
                tokio::time::advance(waits).await;
                let Spent(left) = budget.charge([("a", 1)]).unwrap_err();
                assert!(!left.is_zero() && left <= Duration::from_mins(1));
            }
            let Spent(left) = budget.charge([("a", 1)]).unwrap_err();
            tokio::time::advance(left.saturating_sub(Duration::from_millis(1))).await;
            assert_eq!(budget.charge([("a", 1)]).unwrap_err(), Spent(Duration::from_millis(1)));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_back_of_a_window_that_is_over_is_nothing() {
        let budget = Budget::new(Duration::from_mins(1));
        let charge = budget.charge([("a", 2)]).unwrap();
        tokio::time::advance(Duration::from_mins(1)).await;
        let _held = budget.charge([("a", 2)]).unwrap();
        charge.refund();
        assert!(budget.charge([("a", 1)]).is_err(), "the one of this window is counted");
    }
}
