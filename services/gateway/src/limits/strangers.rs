//! Devices and credentials that nobody knows. Anybody makes keys and proofs by them, and names of credentials, without end: each would cost a
//! question to the registry, and each proof a place in the memory of proofs.

use std::time::Duration;

use metrics::counter;
use moka::sync::Cache;
use nodkey_kernel::id::DeviceId;

use super::{
    budget::{Budget, Charge, Spent},
    network::{Network, Source},
};
use crate::problem::Problem;

/// For how long proofs of unknown devices are counted together.
const WINDOW: Duration = Duration::from_mins(1);
/// For how long a device that proved itself is not counted again: a phone comes back after a day as it does after a minute.
const KNOWN: Duration = Duration::from_hours(24);
/// Of how many it is known.
const CAPACITY: u64 = 200_000;

/// How often an address proves devices that are not registered, and names credentials and sessions that it does not prove. That a device is
/// known is only ever used to count it less: whose it is, and whether it is retired, is asked each time.
#[derive(Debug)]
pub struct Strangers {
    limit: u32,
    budget: Budget<Network>,
    known: Cache<DeviceId, ()>,
}

impl Strangers {
    /// At most so many a minute from one address.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        let known = Cache::builder().max_capacity(CAPACITY).time_to_idle(KNOWN).build();
        Self { limit, budget: Budget::new(WINDOW), known }
    }

    /// Whether a device was registered when it called last.
    pub fn knows(&self, device: &DeviceId) -> bool {
        self.known.get(device).is_some()
    }

    /// Counts a device or a credential that may be a stranger's, until it turns out to be none.
    pub fn charge(&self, source: &Source) -> Result<Charge, Problem> {
        let networks = source.0.iter().flat_map(|network| network.counted(self.limit));
        self.budget.charge(networks).map_err(|Spent(left)| {
            counter!("nodkey_strangers_refused_total").increment(1);
            let text = "too many callers that nobody knows call from this address; try again later";
            Problem::new(http::StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", text).retry_after(left)
        })
    }

    /// Notes that a device is registered.
    pub fn note(&self, device: &DeviceId) {
        self.known.insert(device.clone(), ());
    }

    /// Notes that it is not.
    pub fn forget(&self, device: &DeviceId) {
        self.known.invalidate(device);
    }
}
