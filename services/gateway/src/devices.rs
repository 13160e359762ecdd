//! What the registry said about the devices that called lately. It decides which prompts a phone may see and how it is limited, never what
//! it may do: whoever changes something asks the registry.

use std::time::Duration;

use axum::http::Method;
use moka::sync::Cache;
use nodkey_kernel::{
    id::{DeviceId, RelyingPartyId},
    time::Timestamp,
};

use crate::class::ANSWERS;

/// How long a device sees its prompts after the registry said that it is registered and not retired.
const RECENT: Duration = Duration::from_secs(5);
/// How long a device that does not call is remembered: a phone may come back after a day as well as after a minute.
const KNOWN: Duration = Duration::from_hours(24);
/// How many devices are remembered.
const CAPACITY: u64 = 200_000;

/// The devices that called lately.
#[derive(Debug)]
pub struct Devices(Cache<DeviceId, Known>);

#[derive(Clone, Copy, Debug)]
struct Known {
    relying_party: RelyingPartyId,
    /// When the registry was asked; `None` if the device was retired then, or was refused since.
    asked_at: Option<Timestamp>,
}

/// How old the registry's word about a device may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It is asked for this request.
    New,
    /// At most [`RECENT`].
    Recent,
    /// Any: a device never changes its relying party, and the trusonafication service has the device checked.
    Any,
}

impl Age {
    /// What a request of a phone may rely on.
    pub fn of(method: &Method, route: &str) -> Self {
        match *method {
            Method::GET if ["/api/v2/devices/{id}/trusonafications", "/api/v2/trusonafications/next"].contains(&route) => Self::Recent,
            _ if route.starts_with(ANSWERS) => Self::Any,
            _ => Self::New,
        }
    }
}

impl Devices {
    /// Remembers no device yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Cache::builder().max_capacity(CAPACITY).time_to_idle(KNOWN).build())
    }

    /// Whether the device was registered when it called last.
    pub fn knows(&self, device: &DeviceId) -> bool {
        self.0.get(device).is_some()
    }

    /// The relying party of a device, if what is known of it is young enough.
    pub fn relying_party(&self, device: &DeviceId, age: Age, now: Timestamp) -> Option<RelyingPartyId> {
        let known = self.0.get(device)?;
        let asked_at = known.asked_at?;
        let suffices = match age {
            Age::New => false,
            Age::Recent => asked_at <= now && now < asked_at + RECENT,
            Age::Any => true,
        };
        suffices.then_some(known.relying_party)
    }

    /// Remembers that a device was registered and not retired when the registry was asked.
    pub fn note(&self, device: &DeviceId, relying_party: RelyingPartyId, asked_at: Timestamp) {
        self.0.insert(device.clone(), Known { relying_party, asked_at: Some(asked_at) });
    }

    /// Remembers that a device is registered, and nothing else: the registry is asked whatever it requests next.
    pub fn doubt(&self, device: &DeviceId, relying_party: RelyingPartyId) {
        self.0.insert(device.clone(), Known { relying_party, asked_at: None });
    }

    /// Forgets a device: it is not registered.
    pub fn forget(&self, device: &DeviceId) {
        self.0.invalidate(device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn device() -> DeviceId {
        DeviceId::parse(&"d".repeat(43)).unwrap()
    }

    #[test]
    fn prompts_are_seen_for_five_seconds_on_the_registrys_word_and_nothing_else_relies_on_it() {
        let (devices, device, party) = (Devices::new(), device(), RelyingPartyId::CONSOLE);
        devices.note(&device, party, NOW);
        let relies = |age, now| devices.relying_party(&device, age, now).is_some();
        let almost = NOW + RECENT.saturating_sub(Duration::from_micros(1));
        assert!(relies(Age::Recent, NOW) && relies(Age::Recent, almost) && !relies(Age::Recent, NOW + RECENT));
        assert!(!relies(Age::Recent, NOW - Duration::from_secs(1)), "the clock was set back");
        assert!(!relies(Age::New, NOW) && relies(Age::Any, NOW + KNOWN));
    }

    #[test]
    fn of_a_doubtful_or_unknown_device_nothing_is_relied_on() {
        let (devices, device, party) = (Devices::new(), device(), RelyingPartyId::CONSOLE);
        let relied = |device| [Age::Recent, Age::Any].map(|age| devices.relying_party(device, age, NOW));
        assert_eq!(relied(&device), [None; 2]);
        devices.note(&device, party, NOW);
        devices.doubt(&device, party);
        assert_eq!(relied(&device), [None; 2]);
        assert!(devices.knows(&device), "it is no stranger");
        devices.forget(&device);
        assert!(!devices.knows(&device));
    }

    #[test]
    fn only_reading_prompts_and_answering_relies_on_what_is_remembered() {
        let relying: Vec<_> = crate::class::operations()
            .into_iter()
            .filter(|(method, route)| Age::of(method, route) != Age::New)
            .map(|(method, route)| format!("{method} {route}"))
            .collect();
        let expected = [
            "DELETE /api/v2/trusonafication_responses/{trusonafication_id}",
            "GET /api/v2/devices/{id}/trusonafications",
            "GET /api/v2/trusonafications/next",
            "POST /api/v2/trusonafication_responses",
        ];
        let mut sorted = relying;
        sorted.sort();
        assert_eq!(sorted, expected);
    }
}
