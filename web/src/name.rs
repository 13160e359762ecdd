//! By which names pages may be opened.

use std::net::IpAddr;

use axum::http::{
    Request,
    header::HOST,
    uri::{Authority, Uri},
};

/// Tells whether a request names a server by its own URL's host, by an address, or as the machine it runs on.
///
/// A page elsewhere can have its own name lead here from one moment to the next (DNS rebinding), and is of the same origin then, to
/// the browser. It says its own name all the same: `Host`, which scripts cannot change.
#[must_use]
pub fn is_own_name<B>(request: &Request<B>, own: &str) -> bool {
    // HTTP/2 has it in the target.
    let named = || request.headers().get(HOST)?.to_str().ok()?.parse::<Authority>().ok();
    let Some(authority) = request.uri().authority().cloned().or_else(named) else { return false };
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is = |name: &str| host.eq_ignore_ascii_case(name);
    address.parse::<IpAddr>().is_ok()
        || is("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || own.parse::<Uri>().is_ok_and(|own| own.host().is_some_and(is))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_another_s_is_not_ones_own() {
        let asked = |target: &str, host: Option<&str>| {
            let request = host.into_iter().fold(Request::get(target), |request, host| request.header(HOST, host));
            is_own_name(&request.body(()).unwrap(), "https://id.example.com:8443")
        };
        for host in
            ["id.example.com", "ID.example.com:8443", "id.example.com:1", "127.0.0.1:7070", "[::1]:7070", "localhost", "a.localhost:1"]
        {
            assert!(asked("/console", Some(host)), "{host}");
            assert!(asked(&format!("https://{host}/console"), None), "{host}");
        }
        for host in ["evil.example", "id.example.com.evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "example.com", ""] {
            assert!(!asked("/console", Some(host)), "{host}");
        }
        assert!(!asked("/console", None));
        assert!(!asked("https://evil.example/console", Some("id.example.com")), "the target counts");
    }
}
