//! Limits the number of waits at a time, per device, address, relying party and operator session. A wait is a long poll or an event stream.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::StatusCode;
use nodkey_kernel::id::{DeviceId, OperatorSessionId, RelyingPartyId};
use nodkey_runtime::counts::{Counts, Full};
use tokio::{sync::oneshot, time::Instant};

use super::network::{Network, Source};
use crate::{
    metrics::{WAIT_SECONDS, WAITS_HELD, WAITS_REFUSED, WAITS_REPLACED, WaitLimit, Waiter},
    problem::Problem,
};

/// The maximum number of waits of one device. One more ends the oldest.
const PER_DEVICE: usize = 4;
/// The maximum number of streams of one operator session.
const PER_SESSION: u64 = 32;
/// When a refused caller should try again: nobody knows when a wait ends, and there are many.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The maximum numbers of waits at this gateway.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// All waits together.
    pub all: u32,
    /// Unauthenticated waits of one address.
    pub per_address: u32,
    /// Waits of phones and backends of one relying party.
    pub per_party: u32,
}

/// The current waits. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Permits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: u32,
    anonymous: u32,
    networks: Counts<Network>,
    parties: Counts<RelyingPartyId>,
    sessions: Counts<OperatorSessionId>,
    /// The waits of each device, oldest first, each with the sender that ends it.
    devices: HashMap<DeviceId, VecDeque<(u64, oneshot::Sender<()>)>>,
    /// The number of a device's next wait.
    next: u64,
}

/// A permit to wait, returned when dropped.
#[derive(Debug)]
pub struct Permit {
    permits: Permits,
    holder: Holder,
    since: Instant,
}

#[derive(Debug)]
enum Holder {
    Anonymous(Option<Network>),
    Device { party: RelyingPartyId, device: DeviceId, number: u64, replaced: oneshot::Receiver<()> },
    Party(RelyingPartyId),
    Session(OperatorSessionId),
}

impl Permits {
    /// Makes permits within these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner { limits, held: Mutex::default() }))
    }

    /// Takes a permit for an unauthenticated caller. These get half of all permits at most, and are limited per address.
    pub fn anonymous(&self, source: &Source) -> Result<Permit, Problem> {
        let limits = self.0.limits;
        self.take(|held| {
            if held.anonymous >= limits.all / 2 {
                return Err(full(WaitLimit::Anonymous));
            }
            if let Some(network) = &source.0 {
                add(&mut held.networks, network, limits.per_address).map_err(|_| too_many(WaitLimit::Address, "this address"))?;
            }
            held.anonymous += 1;
            Ok(Holder::Anonymous(source.0.clone()))
        })
    }

    /// Takes a permit for a phone. Ends the device's oldest wait when it has as many as it may have.
    pub fn device(&self, party: RelyingPartyId, device: &DeviceId) -> Result<Permit, Problem> {
        let limit = self.0.limits.per_party;
        self.take(|held| {
            held.parties.add(party, 1, limit.into()).map_err(|_| too_many(WaitLimit::Party, "this relying party"))?;
            let number = held.next;
            held.next += 1;
            let waits = held.devices.entry(device.clone()).or_default();
            if waits.len() >= PER_DEVICE
                && let Some((_, oldest)) = waits.pop_front()
            {
                WAITS_REPLACED.increment(1);
                // A wait that is already over need not be ended.
                let _ = oldest.send(());
            }
            let (end, replaced) = oneshot::channel();
            waits.push_back((number, end));
            Ok(Holder::Device { party, device: device.clone(), number, replaced })
        })
    }

    /// Takes a permit for a backend.
    pub fn party(&self, party: RelyingPartyId) -> Result<Permit, Problem> {
        let limit = self.0.limits.per_party;
        self.take(|held| {
            held.parties.add(party, 1, limit.into()).map_err(|_| too_many(WaitLimit::Party, "this relying party"))?;
            Ok(Holder::Party(party))
        })
    }

    /// Takes a permit for an operator with a verified session.
    pub fn session(&self, session: OperatorSessionId) -> Result<Permit, Problem> {
        self.take(|held| {
            held.sessions.add(session, 1, PER_SESSION).map_err(|_| too_many(WaitLimit::Session, "this session"))?;
            Ok(Holder::Session(session))
        })
    }

    fn take(&self, begin: impl FnOnce(&mut Held) -> Result<Holder, Problem>) -> Result<Permit, Problem> {
        let mut held = self.held();
        if held.all >= self.0.limits.all {
            return Err(full(WaitLimit::All));
        }
        let holder = begin(&mut held)?;
        held.all += 1;
        drop(held);
        WAITS_HELD.with(holder.waiter()).increment(1);
        Ok(Permit { permits: self.clone(), holder, since: Instant::now() })
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder {
    const fn waiter(&self) -> Waiter {
        match self {
            Self::Anonymous(_) => Waiter::Anonymous,
            Self::Device { .. } => Waiter::Phone,
            Self::Party(_) => Waiter::Backend,
            Self::Session(_) => Waiter::Operator,
        }
    }
}

impl Permit {
    /// Resolves when a newer wait of the same device has ended this one.
    pub async fn replaced(&mut self) {
        if let Holder::Device { replaced, .. } = &mut self.holder
            && replaced.await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = self.permits.held();
        held.all -= 1;
        match &self.holder {
            Holder::Anonymous(network) => {
                held.anonymous -= 1;
                for (network, _) in network.iter().flat_map(|network| network.counted(0)) {
                    held.networks.remove(&network, 1);
                }
            }
            Holder::Device { party, device, number, .. } => {
                held.parties.remove(party, 1);
                if let Some(waits) = held.devices.get_mut(device) {
                    waits.retain(|(other, _)| other != number);
                    if waits.is_empty() {
                        held.devices.remove(device);
                    }
                }
            }
            Holder::Party(party) => held.parties.remove(party, 1),
            Holder::Session(session) => held.sessions.remove(session, 1),
        }
        drop(held);
        let waiter = self.holder.waiter();
        WAITS_HELD.with(waiter).decrement(1);
        WAIT_SECONDS.with(waiter).record(self.since.elapsed());
    }
}

/// Counts one more for a network and the networks around it, unless one of them has reached its limit.
fn add(counts: &mut Counts<Network>, network: &Network, limit: u32) -> Result<(), Full> {
    let mut counted = Vec::new();
    for (network, limit) in network.counted(limit) {
        if let Err(full) = counts.add(network.clone(), 1, limit.into()) {
            for network in &counted {
                counts.remove(network, 1);
            }
            return Err(full);
        }
        counted.push(network);
    }
    Ok(())
}

/// The error of a wait that was ended by a newer wait of the same device.
pub fn replaced() -> Problem {
    let text = format!("a device may have {PER_DEVICE} waits at a time; a newer wait ended this one");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_WAITS", text).retry_after(RETRY_AFTER)
}

/// The error when there is no permit for this kind of caller.
fn full(limit: WaitLimit) -> Problem {
    WAITS_REFUSED.with(limit).increment(1);
    Problem::overloaded().retry_after(RETRY_AFTER)
}

/// The error when the caller has too many waits.
fn too_many(limit: WaitLimit, who: &str) -> Problem {
    WAITS_REFUSED.with(limit).increment(1);
    let text = format!("{who} has too many waits; end some, or try again later");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_WAITS", text).retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use nodkey_kernel::{random::Random, time::Timestamp};

    use super::*;

    fn permits(all: u32, per_address: u32, per_party: u32) -> Permits {
        Permits::new(Limits { all, per_address, per_party })
    }

    fn party(n: u64) -> RelyingPartyId {
        RelyingPartyId::generate(Timestamp::from_seconds(0), &Random::seeded(n))
    }

    fn device(n: u8) -> DeviceId {
        DeviceId::parse(&char::from(b'a' + n).to_string().repeat(43)).unwrap()
    }

    fn from(address: &str) -> Source {
        Source(Some(Network::of(address)))
    }

    #[test]
    fn whoever_proves_nothing_has_half_at_most_and_the_rest_is_for_phones_and_backends() {
        let permits = permits(10, 1_000, 1_000);
        let anonymous: Vec<_> = (0..50).filter_map(|n| permits.anonymous(&from(&format!("198.51.100.{n}"))).ok()).collect();
        assert_eq!(anonymous.len(), 5);
        let proven: Vec<_> = (0..50).filter_map(|n| permits.device(party(0), &device(n % 26)).ok()).collect();
        assert_eq!(proven.len(), 5);
        assert!(permits.party(party(0)).is_err());
        drop(proven);
        assert!(permits.party(party(0)).is_ok() && permits.anonymous(&from("198.51.100.99")).is_err());
    }

    #[test]
    fn an_address_and_the_networks_around_it_have_their_share() {
        let permits = permits(1_000, 3, 1_000);
        let waits = |address: &str, times: usize| (0..times).filter_map(|_| permits.anonymous(&from(address)).ok()).collect::<Vec<_>>();
        let first = waits("198.51.100.7", 5);
        assert_eq!((first.len(), waits("198.51.100.8", 5).len()), (3, 3));
        drop(first);
        assert_eq!(waits("198.51.100.7", 5).len(), 3, "what is over is given back");
        let site: Vec<_> = (0..9).flat_map(|n| waits(&format!("2001:db8:1:{n}::1"), 5)).collect();
        assert_eq!(site.len(), 12, "a /48 has four times as much as a /64");
        assert_eq!(waits("2001:db8:2::1", 5).len(), 3);
        assert!((0..100).all(|_| permits.anonymous(&Source(None)).is_ok()), "behind a proxy that names nobody, nobody is counted");
        drop(site);
        assert!(permits.held().networks.is_empty());
    }

    #[test]
    fn a_relying_party_has_its_share_whatever_the_address() {
        let permits = permits(1_000, 1, 3);
        let held: Vec<_> = (0..5).filter_map(|n| permits.device(party(1), &device(n)).ok()).collect();
        assert_eq!(held.len(), 3);
        assert!(permits.party(party(1)).is_err() && permits.party(party(2)).is_ok());
    }

    #[test]
    fn the_fifth_wait_of_a_device_ends_its_first() {
        let permits = permits(1_000, 1, 1_000);
        let mut waits: Vec<_> = (0..4).map(|_| permits.device(party(1), &device(1)).unwrap()).collect();
        let mut other = permits.device(party(1), &device(2)).unwrap();
        let over = |waits: &mut [Permit]| waits.iter_mut().map(|wait| wait.replaced().now_or_never().is_some()).collect::<Vec<_>>();
        assert_eq!(over(&mut waits), [false; 4]);
        waits.push(permits.device(party(1), &device(1)).unwrap());
        assert_eq!(over(&mut waits[..1]), [true]);
        assert_eq!(over(&mut waits[1..]), [false; 4]);
        drop(waits.remove(0));
        drop(waits.remove(0));
        waits.push(permits.device(party(1), &device(1)).unwrap());
        assert_eq!(over(&mut waits), [false; 4], "one ended by itself");
        assert!(other.replaced().now_or_never().is_none());
        drop((waits, other));
        let held = permits.held();
        assert_eq!((held.all, held.devices.len(), held.parties.is_empty()), (0, 0, true));
    }
}
