//! How long to wait after a failure.

use std::time::Duration;

use nodkey_kernel::{backoff::doubled, random::Random};

/// The pause after a number of failures in a row. It doubles from `first` up to `most`, and half of it is random, so that callers that
/// failed together do not retry together.
pub(crate) fn pause(first: Duration, failures: u32, most: Duration, random: &Random) -> Duration {
    let whole = doubled(first, failures, most);
    whole / 2 + whole.mul_f64(f64::from(random.below(501)) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_stay_within_the_bound() {
        let (first, most, random) = (Duration::from_millis(50), Duration::from_secs(30), Random::seeded(1));
        for failures in 1..100 {
            let whole = doubled(first, failures, most);
            let pause = pause(first, failures, most, &random);
            assert!(pause >= whole / 2 && pause <= whole, "{failures}: {pause:?}");
        }
    }
}
