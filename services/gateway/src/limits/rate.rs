//! Rate limits per caller, of this instance.

use std::{num::NonZeroU32, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use nodkey_runtime::Job;

use super::network::Source;
use crate::problem::Problem;

/// How often idle callers are forgotten.
const FORGET: Duration = Duration::from_mins(1);

/// A rate limit per caller.
#[derive(Debug)]
pub struct Rates(DefaultKeyedRateLimiter<String>);

impl Rates {
    /// Allows this many calls per second, and a burst of twice as many after a pause.
    #[must_use]
    pub fn per_second(rate: u32) -> Self {
        let rate = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
        Self(RateLimiter::keyed(Quota::per_second(rate).allow_burst(rate.saturating_mul(NonZeroU32::MIN.saturating_add(1)))))
    }

    /// Counts a call of an unauthenticated caller, by address.
    pub fn check_source(&self, source: &Source) -> Result<(), Problem> {
        match &source.0 {
            Some(network) => self.check(&network.to_string()),
            None => Ok(()),
        }
    }

    /// Counts a call.
    pub fn check(&self, caller: &str) -> Result<(), Problem> {
        self.0.check_key(&caller.to_owned()).map_err(|full| {
            let text = "too many requests; slow down";
            let left = full.wait_time_from(self.0.clock().now());
            Problem::new(http::StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", text).retry_after(left)
        })
    }

    /// Waits until another call is allowed, and counts it.
    pub async fn ready(&self, caller: &str) {
        self.0.until_key_ready(&caller.to_owned()).await;
    }

    fn forget(&self) {
        self.0.retain_recent();
        self.0.shrink_to_fit();
    }
}

/// A job that forgets idle callers, so that memory stays bounded.
#[must_use]
pub fn forgetting(rates: Vec<std::sync::Arc<Rates>>) -> Job {
    Job::new("rate limits", move |shutdown| async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(FORGET) => rates.iter().for_each(|rates| rates.forget()),
            }
        }
    })
}
