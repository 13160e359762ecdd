//! Why a connection failed or broke, in words for people. The wording of libraries varies, and includes names and addresses.

use std::{error::Error, io};

use crate::egress::Refused;

/// Describes a connection error without naming hosts, addresses or anything else that only the operator of the deployment may know.
#[must_use]
pub fn of_connection(error: &(dyn Error + 'static)) -> String {
    let causes: Vec<&(dyn Error + 'static)> = std::iter::successors(Some(error), |error| inner(*error)).collect();
    if let Some(refused) = causes.iter().find_map(|cause| cause.downcast_ref::<Refused>()) {
        return format!("the name {refused}");
    }
    // Where several wrap one another, the outer ones have no specific kind.
    let mut kinds = causes.iter().filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    let kind = kinds.find(|kind| *kind != io::ErrorKind::Other);
    let text = causes.iter().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    described(&text, kind).to_owned()
}

/// An `io::Error` that wraps another error reports that error's source, and skips the error itself.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source())
}

fn described(text: &str, kind: Option<io::ErrorKind>) -> &'static str {
    let says = |part: &str| text.contains(part);
    match kind {
        _ if says("dns error") || says("failed to lookup address") => "dns error: the name does not resolve",
        _ if says("certificate not valid for name") => "the certificate is for another name",
        _ if says("UnknownIssuer") => "the certificate is by an authority that nobody here trusts",
        _ if says("certificate expired") || says("CertExpired") => "the certificate has expired",
        _ if says("invalid peer certificate") => "the certificate is not valid",
        Some(io::ErrorKind::ConnectionRefused) => "nobody listens there",
        Some(io::ErrorKind::TimedOut) => "no answer in time",
        Some(
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof,
        ) => "the other side closed it",
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => "no way leads there",
        Some(io::ErrorKind::InvalidData) => "the other side does not speak TLS as it should",
        _ if says("connect error") || says("trying to connect") => "it could not be made",
        _ => "the connection broke",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nested as in reqwest.
    #[derive(Debug, thiserror::Error)]
    #[error("error trying to connect")]
    struct Connect(#[source] io::Error);

    fn refused(error: io::Error) -> String {
        of_connection(&Connect(error))
    }

    #[test]
    fn what_libraries_say_of_hosts_is_not_passed_on() {
        let certificate = "invalid peer certificate: certificate not valid for name \"hook.example.com\"; certificate is only valid for \
                           DnsName(\"db-1.corp.internal\")";
        for (text, kind, expected) in [
            (certificate, io::ErrorKind::InvalidData, "another name"),
            ("invalid peer certificate: UnknownIssuer", io::ErrorKind::InvalidData, "authority"),
            ("invalid peer certificate: certificate expired: verification time 1 (UNIX)", io::ErrorKind::InvalidData, "expired"),
            ("invalid peer certificate: BadEncoding of db-1.corp.internal", io::ErrorKind::InvalidData, "not valid"),
            ("dns error: failed to lookup address information of db-1.corp.internal", io::ErrorKind::Other, "dns error"),
            ("tcp connect error: 10.1.2.3:443: Connection refused", io::ErrorKind::ConnectionRefused, "nobody listens"),
            ("10.1.2.3: anything else", io::ErrorKind::Other, "could not be made"),
        ] {
            let shown = refused(io::Error::new(kind, text));
            assert!(shown.contains(expected), "{text}: {shown}");
            assert!(!shown.contains("internal") && !shown.contains("10.1"), "{shown}");
        }
        let no_tls = io::Error::new(io::ErrorKind::InvalidData, "received corrupt message of type InvalidContentType");
        assert!(refused(io::Error::other(no_tls)).contains("does not speak TLS"), "as the connector wraps it");
        let guarded = refused(io::Error::new(io::ErrorKind::PermissionDenied, Refused::Address));
        assert!(guarded.contains("must lead to a public address"), "{guarded}");
    }
}
