//! The address at which other machines of the local network reach this one.

use std::net::{IpAddr, UdpSocket};

use anyhow::Context as _;

/// Addresses for documentation (RFC 5737, RFC 3849): no one is there, so they are reached by the default route.
const ELSEWHERE: [&str; 2] = ["192.0.2.1:9", "[2001:db8::1]:9"];

/// The address of the interface with the default route, IPv4 first. Sends nothing: connecting a UDP socket only selects a route.
pub fn address() -> anyhow::Result<IpAddr> {
    let found = ELSEWHERE.iter().find_map(|elsewhere| {
        let any = if elsewhere.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(elsewhere).ok()?;
        let address = socket.local_addr().ok()?.ip();
        (!address.is_loopback() && !address.is_unspecified()).then_some(address)
    });
    found.context("this machine is on no network: connect it, or name its address with --http ADDRESS:7070")
}
