//! The client's address as reported by trusted proxies. Values to the left of those added by trusted proxies are the client's own claim.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::HeaderMap;

/// The header of RFC 7239, with named parameters in its values.
const FORWARDED: &str = "forwarded";
/// The maximum length of a node name that is not an address: `unknown`, or one that a proxy made up (RFC 7239 section 6.3).
const MAX_NAME: usize = 64;

/// Returns the client's address as a header reports it: the value added `hops` trusted proxies ago, which is the `hops`-th from the right
/// over all lines of the header. With fewer values, the first one counts. `None` when that value is nothing that a proxy writes.
pub fn client(headers: &HeaderMap, name: &str, hops: usize) -> Option<String> {
    let is_forwarded = name.eq_ignore_ascii_case(FORWARDED);
    let lines: Vec<_> = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    let values = lines.iter().flat_map(|line| split(line, ',', is_forwarded));
    let values: Vec<&str> = values.map(str::trim).filter(|value| !value.is_empty()).collect();
    let value = values.get(values.len().saturating_sub(hops.max(1)))?;
    let node = unquoted(if is_forwarded { forwarded_for(value)? } else { value });
    let name = || Some(node).filter(|name| *name == "unknown" || name.starts_with('_')).filter(|name| name.len() <= MAX_NAME);
    address(node).map(|ip| ip.to_string()).or_else(|| name().map(ToOwned::to_owned))
}

/// The last line of a header, which the nearest proxy set.
pub fn last_line(headers: &HeaderMap, name: &str) -> String {
    headers.get_all(name).iter().next_back().map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).unwrap_or_default()
}

/// The `for` parameter of an element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<&str> {
    let mut pairs = split(element, ';', true).into_iter().filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for")).map(|(_, value)| value.trim())
}

/// Splits a text at a character, ignoring it inside quotes if `minds_quotes`. An unterminated quote must not hide what a proxy added after
/// it, so then quotes have no meaning.
fn split(text: &str, at: char, minds_quotes: bool) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(|c: char| {
        let splits = c == at && !quoted;
        if minds_quotes && c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        splits
    });
    let parts = parts.collect();
    if quoted { text.split(at).collect() } else { parts }
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// Parses an address as proxies write it: with or without a port, IPv6 with or without brackets and zone. An IPv4-mapped address becomes
/// the IPv4 address.
fn address(text: &str) -> Option<IpAddr> {
    let ip = if let Some(rest) = text.strip_prefix('[') {
        let (inner, port) = rest.split_once(']')?;
        IpAddr::V6(v6(inner).filter(|_| port.is_empty() || port.strip_prefix(':').is_some_and(is_port))?)
    } else {
        let plain = |text: &str| text.parse::<Ipv4Addr>().map(IpAddr::V4).ok();
        let with_port = || text.split_once(':').filter(|(_, port)| is_port(port)).and_then(|(ip, _)| plain(ip));
        plain(text).or_else(with_port).or_else(|| v6(text).map(IpAddr::V6))?
    };
    Some(ip.to_canonical())
}

fn v6(text: &str) -> Option<Ipv6Addr> {
    text.split('%').next()?.parse().ok()
}

/// Whether this is a port, or an obfuscated port of RFC 7239.
fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok() || text.starts_with('_')
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (HeaderName::from_static(name), HeaderValue::from_bytes(line.as_bytes()).unwrap())).collect()
    }

    fn of(lines: &[&str], hops: usize) -> Option<String> {
        client(&headers("x-forwarded-for", lines), "X-Forwarded-For", hops)
    }

    #[test]
    fn the_value_of_the_outermost_trusted_proxy_counts_over_all_lines() {
        let lines = ["6.6.6.6, 198.51.100.7", "10.0.0.1,, 10.0.0.2 "];
        for (hops, expected) in [(1, "10.0.0.2"), (2, "10.0.0.1"), (3, "198.51.100.7"), (4, "6.6.6.6"), (9, "6.6.6.6"), (0, "10.0.0.2")] {
            assert_eq!(of(&lines, hops).as_deref(), Some(expected), "{hops}");
        }
        assert_eq!(of(&[], 1), None);
        assert_eq!(of(&["", " , "], 1), None);
        assert_eq!(of(&["\u{e4}, 198.51.100.7"], 1).as_deref(), Some("198.51.100.7"), "what a client wrote spoils nothing");
    }

    #[test]
    fn every_spelling_of_an_address_is_the_address() {
        for (text, expected) in [
            ("198.51.100.7", "198.51.100.7"),
            ("198.51.100.7:4711", "198.51.100.7"),
            ("\"198.51.100.7:4711\"", "198.51.100.7"),
            ("2001:db8::17", "2001:db8::17"),
            ("2001:DB8:0:0::17", "2001:db8::17"),
            ("[2001:db8::17]", "2001:db8::17"),
            ("[2001:db8::17]:4711", "2001:db8::17"),
            ("\"[2001:db8::17]:_port\"", "2001:db8::17"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]:80", "fe80::1"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            ("[::ffff:c633:6407]:1", "198.51.100.7"),
            ("unknown", "unknown"),
            ("_hidden", "_hidden"),
        ] {
            assert_eq!(of(&[text], 1).as_deref(), Some(expected), "{text}");
        }
        let long = format!("_{}", "x".repeat(64));
        for text in ["localhost", "198.51.100.7:port", "198.51.100", "[198.51.100.7]", "[2001:db8::17", "[::1]x", "1.2.3.4:5:6", &long] {
            assert_eq!(of(&[text], 1), None, "{text}");
        }
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        let of = |lines: &[&str], hops| client(&headers("forwarded", lines), "Forwarded", hops);
        let lines =
            [r#"for=6.6.6.6;by="a,b;c\"d,";proto=https, For="[2001:db8:cafe::17]:4711""#, "proto=http; for=192.0.2.43 ; by=203.0.113.60"];
        for (hops, expected) in [(1, "192.0.2.43"), (2, "2001:db8:cafe::17"), (3, "6.6.6.6")] {
            assert_eq!(of(&lines, hops).as_deref(), Some(expected), "{hops}");
        }
        assert_eq!(of(&["for=unknown"], 1).as_deref(), Some("unknown"));
        assert_eq!(of(&["for=_gazonk"], 1).as_deref(), Some("_gazonk"));
        assert_eq!(of(&["by=203.0.113.60"], 1), None);
    }

    #[test]
    fn the_last_line_is_what_the_nearest_proxy_set() {
        assert_eq!(last_line(&headers("x-place", &["Moon", "Berlin, DE"]), "x-place"), "Berlin, DE");
        assert_eq!(last_line(&HeaderMap::new(), "x-place"), "");
    }

    proptest! {
        #[test]
        fn whatever_a_client_writes_first_the_proxys_own_value_counts(words in r#"[ -~]{0,20}["\\,;=]{0,4}"#, octet: u8, quoted: bool) {
            let own = format!("198.51.100.{octet}");
            for lines in [vec![format!("{words}, {own}")], vec![words.clone(), own.clone()]] {
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                prop_assert_eq!(of(&lines, 1), Some(own.clone()));
            }
            let element = if quoted { format!("for=\"{own}:80\"") } else { format!("for={own}") };
            for lines in [vec![format!("{words}, {element}")], vec![words, element]] {
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                prop_assert_eq!(client(&headers("forwarded", &lines), "forwarded", 1), Some(own.clone()));
            }
        }
    }
}
