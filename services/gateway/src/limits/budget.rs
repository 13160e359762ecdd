//! What may happen so many times within a window, of what nobody proved: counted per caller, and given back when it turns out well.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use moka::sync::Cache;
use tokio::time::Instant;

/// How many callers are counted; beyond that the counts of some are forgotten.
const CALLERS: u64 = 200_000;

/// Counts per caller. A window begins with the first that is counted in it.
#[derive(Debug)]
pub struct Budget<K: Hash + Eq + Send + Sync + 'static> {
    window: Duration,
    counts: Cache<K, Arc<Count>>,
}

#[derive(Debug)]
struct Count {
    begun: Instant,
    spent: AtomicU32,
}

/// What was counted. Stays counted unless it is given back.
#[derive(Debug)]
#[must_use]
pub struct Charge(Vec<Arc<Count>>);

/// There is none left, for this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent(pub Duration);

impl<K: Hash + Eq + Send + Sync + 'static> Budget<K> {
    /// Makes one.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self { window, counts: Cache::builder().max_capacity(CALLERS).time_to_live(window).build() }
    }

    /// Counts once for each of these callers, unless one of them has as many as it may have.
    pub fn charge(&self, callers: impl IntoIterator<Item = (K, u32)>) -> Result<Charge, Spent> {
        let mut charge = Charge(Vec::new());
        for (caller, limit) in callers {
            let count = self.counts.get_with(caller, || Arc::new(Count { begun: Instant::now(), spent: AtomicU32::new(0) }));
            if count.spent.fetch_add(1, Ordering::Relaxed) >= limit {
                let left = self.window.saturating_sub(count.begun.elapsed());
                charge.0.push(count);
                charge.refund();
                return Err(Spent(left));
            }
            charge.0.push(count);
        }
        Ok(charge)
    }
}

impl Charge {
    /// Counts nothing after all.
    pub fn refund(self) {
        for count in self.0 {
            count.spent.fetch_sub(1, Ordering::Relaxed);
        }
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
}
