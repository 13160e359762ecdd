//! Limits on the number of connections, in total and per client.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nodkey_kernel::egress::is_public;

use crate::call::{counts::Counts, refusal::Refusal};

/// File descriptors that a process needs besides its clients' connections: databases, peers, logs.
const OTHER_FILES: usize = 128;
/// Default maximum of connections from one public address.
const OF_A_PUBLIC_ADDRESS: usize = 1_024;

/// The connection limits of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Maximum number of concurrent connections.
    pub all: usize,
    /// Maximum number of concurrent connections from one address, IPv6 by /64; 0: no limit except the total. `None`: 1,024 from public
    /// addresses, and at most a quarter of the total.
    pub of_one_address: Option<usize>,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { all: 131_072, of_one_address: None }
    }
}

impl ConnectionLimits {
    /// Adjusts the limits for clients behind a trusted proxy, who all come from its address.
    #[must_use]
    pub fn behind_proxy(self, proxied: bool) -> Self {
        Self { of_one_address: self.of_one_address.or(proxied.then_some(0)), ..self }
    }

    /// Reduces the limits to the number of files that this process may open.
    pub(crate) fn within_files(self) -> Self {
        let files = std::fs::read_to_string("/proc/self/limits").ok().and_then(|limits| open_files(&limits));
        Self { all: files.map_or(self.all, |files| self.all.min(files.saturating_sub(OTHER_FILES).max(1))), ..self }
    }

    fn of(&self, address: IpAddr) -> usize {
        // Where the total is small, no address may take most of it.
        let of_public = if is_public(address) { OF_A_PUBLIC_ADDRESS.min((self.all / 4).max(1)) } else { usize::MAX };
        self.of_one_address.map_or(of_public, |limit| if limit == 0 { usize::MAX } else { limit })
    }
}

/// The soft limit in `/proc/self/limits`; `None` for unlimited.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The open connections of a listener.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: ConnectionLimits,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: Counts<IpAddr>,
}

/// The slot of a connection, which counts until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self(Arc::new(Inner { limits, taken: Mutex::default() }))
    }

    /// Takes a slot, or returns which limit is reached.
    pub(super) fn take(&self, address: IpAddr) -> Result<Place, Refusal> {
        let (address, limits) = (client(address), &self.0.limits);
        let mut taken = self.taken();
        if taken.all >= limits.all {
            return Err(Refusal::Connection);
        }
        let added = taken.by_address.add(address, 1, limits.of(address) as u64);
        added.map_err(|_| Refusal::ConnectionOfAddress)?;
        taken.all += 1;
        Ok(Place { places: self.clone(), address })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        taken.by_address.remove(&self.address, 1);
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 network of the size that one customer gets.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(limits: ConnectionLimits, addresses: &[&str]) -> Vec<bool> {
        let places = Places::new(limits);
        let held: Vec<_> = addresses.iter().map(|address| places.take(address.parse().unwrap())).collect();
        held.iter().map(Result::is_ok).collect()
    }

    #[test]
    fn a_client_is_an_address_or_a_network_and_takes_no_more_than_its_places() {
        let limits = ConnectionLimits { all: 6, of_one_address: Some(2) };
        let addresses = ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8::3"];
        assert_eq!(taken(limits, &addresses), [true, true, false, true, true, true, false]);
        assert_eq!(
            taken(limits, &["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7"])[5..],
            [true, false]
        );
    }

    #[test]
    fn a_place_that_is_given_back_is_free_and_nothing_is_remembered_of_who_had_it() {
        let places = Places::new(ConnectionLimits { all: 1, of_one_address: None });
        for _ in 0..3 {
            let place = places.take([192, 0, 2, 1].into()).unwrap();
            assert!(places.take([192, 0, 2, 2].into()).is_err());
            drop(place);
        }
        assert!(places.taken().by_address.is_empty());
    }

    #[test]
    fn private_addresses_may_be_proxies_and_are_limited_when_it_is_said() {
        let limits = ConnectionLimits::default();
        let (public, private) = ([8, 8, 8, 8].into(), [10, 0, 0, 1].into());
        assert_eq!((limits.of(public), limits.of(private)), (OF_A_PUBLIC_ADDRESS, usize::MAX));
        assert_eq!(limits.behind_proxy(true).of(public), usize::MAX);
        let set = ConnectionLimits { of_one_address: Some(5), ..limits };
        assert_eq!((set.of(private), set.behind_proxy(true).of(public)), (5, 5));
    }

    #[test]
    fn there_are_no_more_places_than_files() {
        let limits = "Limit Soft Hard Units\nMax open files            1024                 524288               files\n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files("Max open files            unlimited            unlimited            files\n"), None);
    }
}
