//! Pauses between retries, randomized so that callers do not all retry together.

use std::time::Duration;

use crate::random::Random;

/// `first` after one failure, doubled after each further one in a row, up to `most`.
#[must_use]
pub fn doubled(first: Duration, failures: u32, most: Duration) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(most)
}

/// Multiplies a pause by a random factor from one half to one and a half, so that callers that failed together do not retry together.
#[must_use]
pub fn jittered(random: &Random, about: Duration) -> Duration {
    let millis = u32::try_from(about.as_millis()).unwrap_or(u32::MAX);
    about / 2 + Duration::from_millis(random.below(millis.max(1)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_are_not_the_same_for_all() {
        let (first, most, random) = (Duration::from_millis(100), Duration::from_secs(5), Random::seeded(1));
        for (failures, about) in [(0, 100), (1, 100), (2, 200), (4, 800), (7, 5_000), (u32::MAX, 5_000)] {
            let pause = doubled(first, failures, most);
            assert_eq!(pause.as_millis(), about, "{failures}");
            let pauses: Vec<_> = (0..200).map(|_| jittered(&random, pause).as_millis()).collect();
            let (least, longest) = (*pauses.iter().min().unwrap(), *pauses.iter().max().unwrap());
            assert!(least >= about / 2 && longest <= about * 3 / 2 && longest - least > about / 2, "{failures}: {least} to {longest}");
        }
    }
}
