//! Limits unknown devices and credentials. Anybody can make up keys, proofs and credential names without end, and each would cost a call to
//! the registry and, for proofs, an entry in the replay memory.

use std::time::Duration;

use super::{
    budget::{Budget, Charge, Spent},
    network::{Network, Source},
};
use crate::{metrics::STRANGERS_REFUSED, problem::Problem};

/// The window in which proofs of unknown devices are counted together.
const WINDOW: Duration = Duration::from_mins(1);

/// Limits how often an address sends proofs of unregistered devices, and names credentials and sessions without proving them.
#[derive(Debug)]
pub struct Strangers {
    limit: u32,
    budget: Budget<Network>,
}

impl Strangers {
    /// Allows this many per minute from one address.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { limit, budget: Budget::new(WINDOW) }
    }

    /// Counts a device or credential that may be unknown, until it turns out to be known.
    pub fn charge(&self, source: &Source) -> Result<Charge, Problem> {
        let networks = source.0.iter().flat_map(|network| network.counted(self.limit));
        self.budget.charge(networks).map_err(|Spent(left)| {
            STRANGERS_REFUSED.increment(1);
            let text = "too many unauthenticated requests from this address; try again later";
            Problem::new(http::StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", text).retry_after(left)
        })
    }
}
