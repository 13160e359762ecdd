//! How long to pause before another service is called again.

use std::time::Duration;

use nodkey_kernel::{
    backoff::{doubled, jittered},
    random::Random,
};

/// The first pause after a failure, about, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How long to pause after so many failures in a row, from 1: twice as long each time, and never all who wait at once.
#[must_use]
pub fn backoff(random: &Random, failures: u32) -> Duration {
    let (first, longest) = PAUSES;
    jittered(random, doubled(first, failures, longest))
}
