//! The pause before a stream that was lost is opened again.

use std::time::Duration;

use nodkey_kernel::{
    backoff::{doubled, jittered},
    random::Random,
};

/// The approximate pause after the first failure.
const FIRST: Duration = Duration::from_millis(500);
/// The approximate pause that it grows to.
const LONGEST: Duration = Duration::from_secs(15);

/// Pauses after so many failures in a row.
pub async fn pause(failures: u32) {
    tokio::time::sleep(jittered(&Random::system(), doubled(FIRST, failures, LONGEST))).await;
}
