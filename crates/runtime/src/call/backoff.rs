//! Pauses before another service is called again.

use std::time::Duration;

use nodkey_kernel::{
    backoff::{doubled, jittered},
    random::Random,
};

/// The approximate first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The pause after a number of failures in a row, from 1. It doubles each time, and is randomized so that not all callers retry together.
#[must_use]
pub fn backoff(random: &Random, failures: u32) -> Duration {
    let (first, longest) = PAUSES;
    jittered(random, doubled(first, failures, longest))
}
