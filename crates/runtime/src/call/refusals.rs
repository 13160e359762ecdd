//! Requests refused for overload: the first of a kind is logged immediately, later ones are counted.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tracing::warn;

use super::{metrics::REFUSED, refusal::Refusal};

/// Number of refusals of each kind since the last report.
static SINCE: Mutex<BTreeMap<Refusal, u64>> = Mutex::new(BTreeMap::new());

/// Counts a refusal.
pub fn refused(kind: Refusal) {
    REFUSED.with(kind).increment(1);
    let mut kinds = lock();
    let count = kinds.entry(kind).or_default();
    *count += 1;
    if *count == 1 {
        drop(kinds);
        warn!(kind = kind.as_str(), "refused; further ones of this kind are counted and reported every minute");
    }
}

/// Logs how many further requests were refused since the last call.
pub(crate) fn report() {
    for (kind, count) in std::mem::take(&mut *lock()) {
        if count > 1 {
            warn!(kind = kind.as_str(), count = count - 1, "refused more");
        }
    }
}

fn lock() -> MutexGuard<'static, BTreeMap<Refusal, u64>> {
    SINCE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_a_kind_counts_until_it_is_told() {
        for _ in 0..3 {
            refused(Refusal::Upload);
        }
        assert_eq!(lock()[&Refusal::Upload], 3);
        report();
        assert!(!lock().contains_key(&Refusal::Upload));
    }
}
