//! Which addresses services may connect to on behalf of others: a URL from a relying party or a phone must not reach into the operator's
//! own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

/// Maximum length of a URL, in bytes.
const MAX_LENGTH: usize = 2_000;

/// The allowed targets: public addresses over https.
#[derive(Clone, Debug)]
pub struct Egress {
    /// Networks that are allowed as well, such as `10.1.0.0/16`.
    pub networks: Vec<IpNet>,
    /// Allowed ports.
    pub ports: Vec<u16>,
    /// Whether this machine is allowed as well, on any port and over http.
    pub development: bool,
}

/// Why a URL is refused. The text says what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too long.
    #[error("must be at most 2000 bytes")]
    Length,
    /// Not a URL.
    #[error("must be a URL")]
    Url,
    /// Without a host.
    #[error("must name a host")]
    Host,
    /// With a user name or password.
    #[error("must not hold a user name or password")]
    UserInfo,
    /// Not https.
    #[error("must start with https://")]
    Scheme,
    /// The address, or every address that the name resolves to, is not allowed.
    #[error("must lead to a public address; an operator may allow its network in deployment.allowed_networks")]
    Address,
    /// The port is not allowed.
    #[error("must use an allowed port, such as 443; an operator may allow others in deployment.allowed_ports")]
    Port,
}

impl Egress {
    /// Allows public addresses on the ports of https, and this machine with `development`.
    #[must_use]
    pub fn new(development: bool) -> Self {
        Self { networks: Vec::new(), ports: vec![443, 8443], development }
    }

    /// Checks what can be checked before a name is resolved. Store the returned URL: it is the normalized form.
    pub fn check(&self, text: &str) -> Result<Url, Refused> {
        if text.len() > MAX_LENGTH {
            return Err(Refused::Length);
        }
        // The parser drops or escapes them, and nobody intends them.
        if text.chars().any(char::is_control) {
            return Err(Refused::Url);
        }
        let url = Url::parse(text).map_err(|_| Refused::Url)?;
        // The resolver checks names; it never sees addresses.
        let (address, here) = match url.host().ok_or(Refused::Host)? {
            Host::Domain(name) => (None, name.trim_end_matches('.') == "localhost" || name.trim_end_matches('.').ends_with(".localhost")),
            Host::Ipv4(ip) => (Some(IpAddr::V4(ip)), ip.is_loopback()),
            Host::Ipv6(ip) => (Some(IpAddr::V6(ip)), ip.is_loopback()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::UserInfo);
        }
        let relaxed = self.development && here;
        match url.scheme() {
            "https" => {}
            "http" if relaxed => {}
            _ => return Err(Refused::Scheme),
        }
        // RFC 6761: these names refer to this machine, whatever a resolver returns.
        if address.is_some_and(|ip| !self.permits(ip)) || (here && address.is_none() && !self.development) {
            return Err(Refused::Address);
        }
        let port = url.port_or_known_default().ok_or(Refused::Port)?;
        if !relaxed && !self.ports.contains(&port) {
            return Err(Refused::Port);
        }
        // Escaping may have made it longer.
        if url.as_str().len() > MAX_LENGTH { Err(Refused::Length) } else { Ok(url) }
    }

    /// Whether an address may be connected to.
    #[must_use]
    pub fn permits(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        is_public(ip) || (self.development && ip.is_loopback()) || self.networks.iter().any(|network| network.contains(&ip))
    }
}

/// Whether an address is publicly reachable (the registries of RFC 6890).
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
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

/// Global unicast, except addresses that embed an IPv4 address or are for documentation.
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

    fn egress(development: bool) -> Egress {
        Egress { networks: vec!["10.1.0.0/16".parse().unwrap()], ports: vec![443], development }
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
        // An IPv4 address written as IPv6 is the same address.
        assert!(!egress(false).permits("::ffff:127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn calls_go_over_https_to_public_addresses_or_stay_on_a_developers_machine() {
        let long = format!("https://example.com/{}", "x".repeat(2_000));
        for (url, production, development) in [
            ("https://example.com/hook", Ok(()), Ok(())),
            ("https://10.1.2.3/hook", Ok(()), Ok(())),
            ("https://10.2.2.3/hook", Err(Refused::Address), Err(Refused::Address)),
            ("https://[::ffff:10.2.2.3]/hook", Err(Refused::Address), Err(Refused::Address)),
            ("https://169.254.169.254/latest", Err(Refused::Address), Err(Refused::Address)),
            ("https://example.com:22/hook", Err(Refused::Port), Err(Refused::Port)),
            ("http://127.0.0.1:9/hook", Err(Refused::Scheme), Ok(())),
            ("https://127.0.0.1:9/hook", Err(Refused::Address), Ok(())),
            ("http://localhost:9/hook", Err(Refused::Scheme), Ok(())),
            ("https://localhost/hook", Err(Refused::Address), Ok(())),
            ("https://a.localhost./hook", Err(Refused::Address), Ok(())),
            ("http://[::1]/", Err(Refused::Scheme), Ok(())),
            ("https://0x7f000001/hook", Err(Refused::Address), Ok(())),
            ("http://example.com/", Err(Refused::Scheme), Err(Refused::Scheme)),
            ("https://user:secret@example.com/", Err(Refused::UserInfo), Err(Refused::UserInfo)),
            ("ftp://example.com/", Err(Refused::Scheme), Err(Refused::Scheme)),
            ("mailto:ada@example.com", Err(Refused::Host), Err(Refused::Host)),
            ("hook", Err(Refused::Url), Err(Refused::Url)),
            (&long, Err(Refused::Length), Err(Refused::Length)),
        ] {
            let checked = |development| egress(development).check(url).map(drop);
            assert_eq!((checked(false), checked(true)), (production, development), "{url}");
        }
    }

    #[test]
    fn a_url_is_kept_as_everybody_reads_it() {
        for (given, kept) in [
            ("HTTPS://Example.com", "https://example.com/"),
            ("https://example.com:443/a/../b c?d=\u{e9}", "https://example.com/b%20c?d=%C3%A9"),
            ("https://b\u{fc}cher.example/x", "https://xn--bcher-kva.example/x"),
        ] {
            assert_eq!(egress(false).check(given).map(String::from).as_deref(), Ok(kept));
        }
        for control in ["https://example.com/\0", "https://example.com/a\nb", "\thttps://example.com/"] {
            assert_eq!(egress(true).check(control), Err(Refused::Url), "{control:?}");
        }
        let longer = format!("https://example.com/{}", "\u{e9}".repeat(900));
        assert_eq!(egress(false).check(&longer), Err(Refused::Length));
    }
}
