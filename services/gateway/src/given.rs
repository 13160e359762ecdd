//! Trusonafications recently delivered to devices by this gateway.

use std::time::Duration;

use moka::sync::Cache;
use nodkey_kernel::id::DeviceId;
use nodkey_proto::trusonafication::v1::PendingTrusonafication;

/// How long a delivery is remembered. Looks return a change for 30 s and one more look, which is at most 60 s later.
const KNOWN: Duration = Duration::from_mins(2);
/// How many deliveries are remembered.
const CAPACITY: u64 = 200_000;

/// The trusonafications that this gateway recently delivered to devices.
#[derive(Clone, Debug)]
pub struct Given(Cache<(DeviceId, String), ()>);

impl Given {
    /// Makes an empty one.
    #[must_use]
    pub fn new() -> Self {
        Self(Cache::builder().max_capacity(CAPACITY).time_to_live(KNOWN).build())
    }

    /// Remembers what a device is given.
    pub fn note(&self, device: &DeviceId, pending: &[PendingTrusonafication]) {
        for pending in pending {
            self.0.insert((device.clone(), pending.id.clone()), ());
        }
    }

    /// Whether the device was given this trusonafication.
    pub fn has(&self, device: &DeviceId, id: &str) -> bool {
        self.0.contains_key(&(device.clone(), id.to_owned()))
    }
}
