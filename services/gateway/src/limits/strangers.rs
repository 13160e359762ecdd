//! Limits unknown devices and credentials. Anybody can make up keys, proofs and credential names without end, and each would cost a call to
//! the registry and, for proofs, an entry in the replay memory.

use std::time::Duration;

use moka::sync::Cache;
use nodkey_kernel::id::DeviceId;

use super::{
    budget::{Budget, Charge, Spent},
    network::{Network, Source},
};
use crate::{metrics::STRANGERS_REFUSED, problem::Problem};

/// The window in which proofs of unknown devices are counted together.
const WINDOW: Duration = Duration::from_mins(1);
/// How long a proven device is not counted again: a phone may come back after a day as well as after a minute.
const KNOWN: Duration = Duration::from_hours(24);
/// How many known devices are remembered.
const CAPACITY: u64 = 200_000;

/// Limits how often an address sends proofs of unregistered devices, and names credentials and sessions without proving them. That a device
/// is known only ever exempts it from this count: its relying party, and whether it is retired, are read from the registry each time.
#[derive(Debug)]
pub struct Strangers {
    limit: u32,
    budget: Budget<Network>,
    known: Cache<DeviceId, ()>,
}

impl Strangers {
    /// Allows this many per minute from one address.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        let known = Cache::builder().max_capacity(CAPACITY).time_to_idle(KNOWN).build();
        Self { limit, budget: Budget::new(WINDOW), known }
    }

    /// Whether the device was registered when it called last.
    pub fn knows(&self, device: &DeviceId) -> bool {
        self.known.get(device).is_some()
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

    /// Remembers that a device is registered.
    pub fn note(&self, device: &DeviceId) {
        self.known.insert(device.clone(), ());
    }

    /// Forgets the device: it is not registered.
    pub fn forget(&self, device: &DeviceId) {
        self.known.invalidate(device);
    }
}
