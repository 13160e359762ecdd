//! Where results may be posted to.

use std::net::IpAddr;

use url::{Host, Url};

/// The most a URL has, in bytes.
const MAX_LENGTH: usize = 2_000;

/// Results may not be posted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidCallback(pub &'static str);

/// Checks the text of a URL: https; with `development` also http to this machine. It says nothing about what the host resolves to.
pub fn check(text: &str, development: bool) -> Result<(), InvalidCallback> {
    if text.len() > MAX_LENGTH {
        return Err(InvalidCallback("must be at most 2000 bytes"));
    }
    let url = Url::parse(text).map_err(|_| InvalidCallback("must be a URL"))?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => return Err(InvalidCallback("must name a host")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidCallback("must not hold a user name or password"));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if development && loopback => Ok(()),
        _ => Err(InvalidCallback("must start with https://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks_go_over_https_or_stay_on_a_developers_machine() {
        for (url, production, development) in [
            ("https://example.com/hook", true, true),
            ("http://127.0.0.1:9/hook", false, true),
            ("http://localhost/", false, true),
            ("http://[::1]/", false, true),
            ("http://example.com/", false, false),
            ("https://user:secret@example.com/", false, false),
            ("ftp://example.com/", false, false),
            ("hook", false, false),
            (&format!("https://example.com/{}", "x".repeat(2_000)), false, false),
        ] {
            assert_eq!((check(url, false).is_ok(), check(url, true).is_ok()), (production, development), "{url}");
        }
    }
}
