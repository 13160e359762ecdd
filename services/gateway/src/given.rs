//! What devices were given by this gateway of late.

use std::time::Duration;

use moka::sync::Cache;
use nodkey_kernel::id::DeviceId;
use nodkey_proto::trusonafication::v1::PendingTrusonafication;

/// For how long it is known what a device was given: looks come back to a change for 30 s and one look more, which is 60 s later at most.
const KNOWN: Duration = Duration::from_mins(2);
/// Of how many it is known.
const CAPACITY: u64 = 200_000;

/// What devices were given by this gateway of late.
#[derive(Clone, Debug)]
pub struct Given(Cache<(DeviceId, String), ()>);

impl Given {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Cache::builder().max_capacity(CAPACITY).time_to_live(KNOWN).build())
    }

    /// Notes what a device is given.
    pub fn note(&self, device: &DeviceId, pending: &[PendingTrusonafication]) {
        for pending in pending {
            self.0.insert((device.clone(), pending.id.clone()), ());
        }
    }

    /// Whether it was given this.
    pub fn has(&self, device: &DeviceId, id: &str) -> bool {
        self.0.contains_key(&(device.clone(), id.to_owned()))
    }
}
