//! The networks that unauthenticated callers come from, as limits count them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Once,
};

use axum::http::HeaderMap;
use nodkey_kernel::egress::is_public;
use tracing::warn;

use crate::metrics::UNNAMED_PROXY;

/// Headers in which proxies report their clients.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
/// The limit of a /48, as a multiple of the limit of a /64.
const SITE: u32 = 4;

/// The network of one customer, as far as an address shows it: an IPv4 address, or an IPv6 /64.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address.
    V6(u64),
    /// The first 48 bits of an IPv6 address: what many providers assign to one customer.
    Site(u64),
    /// A value reported by a proxy that is not an address.
    Other(String),
}

impl Network {
    /// Returns the network of an address.
    #[must_use]
    pub fn of(address: &str) -> Self {
        match address.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
            Ok(IpAddr::V4(ip)) => Self::V4(ip),
            Ok(IpAddr::V6(ip)) => Self::V6(prefix(ip)),
            Err(_) => Self::Other(address.to_owned()),
        }
    }

    /// The networks to count this one under, each with its limit: itself, and the larger network around it.
    pub fn counted(&self, limit: u32) -> impl Iterator<Item = (Self, u32)> + use<> {
        let site = if let Self::V6(prefix) = self { Some((Self::Site(prefix >> 16), limit.saturating_mul(SITE))) } else { None };
        std::iter::once((self.clone(), limit)).chain(site)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(ip) => ip.fmt(f),
            Self::V6(prefix) => write!(f, "{prefix:x}/64"),
            Self::Site(prefix) => write!(f, "{prefix:x}/48"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

fn prefix(ip: Ipv6Addr) -> u64 {
    // The upper half fits.
    u64::try_from(u128::from(ip) >> 64).unwrap_or_default()
}

/// The network that a request comes from. `None` where it is unknown because the connection comes from a proxy in our own network that is
/// not configured as trusted. A limit for that proxy's address would apply to everybody together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source(pub Option<Network>);

/// Whether a request comes from a proxy inside our own network.
pub fn is_proxy(address: &str, headers: &HeaderMap) -> bool {
    let private = address.parse().is_ok_and(|ip: IpAddr| !is_public(ip.to_canonical()));
    private && FORWARDED.iter().any(|name| headers.contains_key(*name))
}

/// Detects a proxy that reports its clients in a header that the gateway is not configured to read.
#[derive(Debug)]
pub struct UnnamedProxy(Once);

impl UnnamedProxy {
    /// Makes one that has seen no such proxy.
    #[must_use]
    pub const fn new() -> Self {
        Self(Once::new())
    }

    /// Notes such a proxy. Only the first is logged.
    pub fn note(&self, address: &str) {
        self.0.call_once(|| {
            warn!(address, "requests come through a proxy, but service.address_header is not set: nothing is limited by address");
            UNNAMED_PROXY.set(1);
        });
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn addresses_of_one_customer_are_one_network() {
        assert_eq!(Network::of("::ffff:198.51.100.7"), Network::of("198.51.100.7"));
        assert_ne!(Network::of("198.51.100.8"), Network::of("198.51.100.7"));
        assert_eq!(Network::of("2001:db8:1:2::1"), Network::of("2001:db8:1:2:ffff::"));
        let counted = |address| Network::of(address).counted(10).collect::<Vec<_>>();
        let (one, other) = (counted("2001:db8:1:2::1"), counted("2001:db8:1:3::1"));
        assert_ne!(one[0], other[0]);
        assert_eq!((&one[1], one[0].1, one[1].1), (&other[1], 10, 40), "a site has four times as much");
        assert_ne!(one[1], counted("2001:db8:2:2::1")[1]);
        assert_eq!(counted("198.51.100.7"), [(Network::of("198.51.100.7"), 10)]);
        assert_eq!(counted("unknown").len(), 1);
    }

    #[test]
    fn who_speaks_for_others_inside_our_network_is_a_proxy() {
        let mut headers = HeaderMap::new();
        assert!(!is_proxy("10.0.0.1", &headers), "a client of our own");
        headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.1"));
        for (address, proxy) in [("10.0.0.1", true), ("127.0.0.1", true), ("::1", true), ("9.9.9.9", false), ("?", false)] {
            assert_eq!(is_proxy(address, &headers), proxy, "{address}");
        }
    }
}
