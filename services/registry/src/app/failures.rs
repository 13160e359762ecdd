//! Counters of failed authentications by attempted method, source and reason. They are kept in memory and written as one audit entry a
//! minute, however many failures there are.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use serde_json::json;

/// Maximum number of distinct kinds counted per minute; the rest is counted together.
const MAX_KINDS: usize = 1024;
/// Maximum number of kinds named in an entry, most frequent first: all of them fit into one.
const MAX_NAMED: usize = 24;
/// Maximum length of a source (an address or an id), in characters.
const MAX_SOURCE: usize = 48;

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    kinds: BTreeMap<(&'static str, String, &'static str), u64>,
    others: u64,
}

impl Failures {
    /// Counts one failure.
    pub(super) fn note(&self, what: &'static str, source: &str, reason: &'static str) {
        let counts = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let plain = |c: &char| c.is_ascii_alphanumeric() || ".:-_[]".contains(*c);
        let source: String = source.chars().filter(plain).take(MAX_SOURCE).collect();
        let kind = (what, source, reason);
        if counts.kinds.len() >= MAX_KINDS && !counts.kinds.contains_key(&kind) {
            counts.others += 1;
        } else {
            *counts.kinds.entry(kind).or_default() += 1;
        }
    }

    /// Returns the counts since the last call as JSON; `None` if there are none.
    pub(super) fn take(&self) -> Option<String> {
        let Counts { kinds, others } = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if kinds.is_empty() {
            return None;
        }
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let beyond = kinds.split_off(kinds.len().min(MAX_NAMED));
        let others = others + beyond.iter().map(|(_, count)| count).sum::<u64>();
        let named = |((what, source, reason), count): ((&str, String, &str), u64)| json!({"what": what, "source": source, "reason": reason, "count": count});
        let failures: Vec<_> = kinds.into_iter().map(named).collect();
        Some(json!({"failures": failures, "others": others}).to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn failures_of_a_kind_are_one_line_with_their_number() {
        let failures = Failures::default();
        assert_eq!(failures.take(), None);
        for (source, times) in [("192.0.2.1", 3), ("192.0.2.2", 1)] {
            (0..times).for_each(|_| failures.note("sign_in", source, "NOT_FOUND"));
        }
        let expected = json!({"failures": [
            {"what": "sign_in", "source": "192.0.2.1", "reason": "NOT_FOUND", "count": 3},
            {"what": "sign_in", "source": "192.0.2.2", "reason": "NOT_FOUND", "count": 1},
        ], "others": 0});
        assert_eq!(failures.take(), Some(expected.to_string()));
        assert_eq!(failures.take(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn however_many_sources_there_are_all_are_counted_and_the_entry_fits(sources in 1_usize..3000, text in "[a-f0-9:.\"]{0,60}") {
            let failures = Failures::default();
            (0..sources).for_each(|n| failures.note("credential", &format!("{n}{text}"), "wrong_signature"));
            let kept = failures.0.lock().unwrap().kinds.len();
            prop_assert!(kept <= MAX_KINDS);
            let written = failures.take().unwrap();
            prop_assert!(written.len() <= 4096, "{}", written.len());
            let written: Value = serde_json::from_str(&written).unwrap();
            let named: u64 = written["failures"].as_array().unwrap().iter().map(|kind| kind["count"].as_u64().unwrap()).sum();
            prop_assert_eq!(named + written["others"].as_u64().unwrap(), sources as u64);
        }
    }
}
