//! Where this deployment posts to, and where not: what a relying party names must not reach into the operator's own network.
//!
//! The address that is checked is the address that is connected to: the check is the resolver.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// What may be called.
#[derive(Clone, Debug)]
pub struct Guard(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    networks: Vec<IpNet>,
    ports: Vec<u16>,
    development: bool,
}

/// A call was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// The address, or each the name resolves to.
    #[error("the address is not public; an operator may allow its network in service.allowed_networks")]
    Address,
    /// The port.
    #[error("the port is not allowed; an operator may allow it in service.allowed_ports")]
    Port,
    /// The stored text.
    #[error("the URL is none")]
    Url,
}

impl Guard {
    /// Public addresses, these networks besides, these ports; with `development` this machine, too, on any port.
    pub fn new(networks: Vec<IpNet>, ports: Vec<u16>, development: bool) -> Self {
        Self(Arc::new(Rules { networks, ports, development }))
    }

    /// Checks what can be told before a name is resolved.
    pub fn check(&self, url: &str) -> Result<(), Blocked> {
        let url = Url::parse(url).map_err(|_| Blocked::Url)?;
        // Names are the resolver's to check; addresses never get there.
        let address = match url.host().ok_or(Blocked::Url)? {
            Host::Domain(_) => None,
            Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
            Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
        };
        if address.is_some_and(|ip| !self.allows(ip)) {
            return Err(Blocked::Address);
        }
        let here = address.map_or_else(|| url.host_str() == Some("localhost"), |ip| ip.is_loopback());
        let port = url.port_or_known_default().ok_or(Blocked::Url)?;
        if self.0.ports.contains(&port) || (self.0.development && here) { Ok(()) } else { Err(Blocked::Port) }
    }

    fn allows(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        is_public(ip) || (self.0.development && ip.is_loopback()) || self.0.networks.iter().any(|network| network.contains(&ip))
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| guard.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, Blocked::Address).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is reached over the open network alone (the registries of RFC 6890).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        // Multicast, reserved, broadcast.
        || a >= 224;
    !special
}

/// Global unicast, except what carries an IPv4 address to others or is for documentation.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let global = a & 0xe000 == 0x2000;
    let special = match a {
        0x2001 => b < 0x0200 || b == 0x0db8,
        0x2002 => true,
        0x3fff => b < 0x1000,
        _ => false,
    };
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(development: bool) -> Guard {
        Guard::new(vec!["10.1.0.0/16".parse().unwrap()], vec![443], development)
    }

    #[test]
    fn only_public_addresses_are_called() {
        for ip in ["93.184.215.14", "1.1.1.1", "223.255.255.255", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2001::1",
            "64:ff9b::7f00:1",
            "100::1",
            "fec0::1",
            "3fff::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        // One written as the other is the same.
        assert!(!guard(false).allows("::ffff:127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn operators_allow_networks_and_ports() {
        for (url, production, development) in [
            ("https://10.1.2.3/hook", Ok(()), Ok(())),
            ("https://10.2.2.3/hook", Err(Blocked::Address), Err(Blocked::Address)),
            ("https://[::ffff:10.2.2.3]/hook", Err(Blocked::Address), Err(Blocked::Address)),
            ("https://example.com/hook", Ok(()), Ok(())),
            ("https://example.com:22/hook", Err(Blocked::Port), Err(Blocked::Port)),
            ("http://127.0.0.1:9/hook", Err(Blocked::Address), Ok(())),
            ("http://localhost:9/hook", Err(Blocked::Port), Ok(())),
            ("https://0x7f000001/hook", Err(Blocked::Address), Ok(())),
            ("hook", Err(Blocked::Url), Err(Blocked::Url)),
        ] {
            assert_eq!((guard(false).check(url), guard(true).check(url)), (production, development), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_this_machine_is_not_called() {
        let resolve = async |guard: Guard| guard.resolve("localhost".parse().unwrap()).await.map(Iterator::count);
        let refused = resolve(guard(false)).await.unwrap_err();
        assert!(refused.to_string().contains("not public"), "{refused}");
        assert!(resolve(guard(true)).await.unwrap() > 0);
    }
}
