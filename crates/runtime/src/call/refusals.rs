//! Requests refused for overload: the first of a kind is logged immediately, later ones are counted.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use metrics::counter;
use tracing::warn;

/// Number of refusals of each kind since the last report.
static REFUSED: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

/// Counts a refusal. Kinds are few and defined by us: they are metric labels.
pub fn refused(kind: &'static str) {
    counter!("nodkey_refused_total", "kind" => kind).increment(1);
    let mut kinds = lock();
    let count = kinds.entry(kind).or_default();
    *count += 1;
    if *count == 1 {
        drop(kinds);
        warn!(kind, "refused; further ones of this kind are counted and reported every minute");
    }
}

/// Logs how many further requests were refused since the last call.
pub(crate) fn report() {
    for (kind, count) in std::mem::take(&mut *lock()) {
        if count > 1 {
            warn!(kind, count = count - 1, "refused more");
        }
    }
}

fn lock() -> MutexGuard<'static, BTreeMap<&'static str, u64>> {
    REFUSED.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_a_kind_counts_until_it_is_told() {
        for _ in 0..3 {
            refused("of this test");
        }
        assert_eq!(lock()["of this test"], 3);
        report();
        assert!(!lock().contains_key("of this test"));
    }
}
