//! The gateway's own settings.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

/// The settings under `service.` in the configuration. Every limit is per instance.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The maximum number of requests served at the same time. More are refused with 503.
    pub max_in_flight: u32,
    /// The maximum number of requests that wait at the same time. More are refused with 503. Browsers that wait for a scan are not
    /// authenticated, and get half of it at most.
    pub max_waiting: u32,
    /// The maximum number of unauthenticated requests from one address that wait at the same time, and four times as many from an IPv6 /48.
    /// More are refused with 429.
    pub max_waiting_per_address: u32,
    /// The maximum number of phones and backends of one relying party that wait at the same time. More are refused with 429.
    pub max_waiting_per_party: u32,
    /// The seconds between two looks for wakes that waiting callers missed: 1 to 60. While the bus is away, it is every second.
    pub look_seconds: u32,
    /// The maximum number of streams from services that one relying party may hold over gRPC. More are refused.
    pub streams_per_party: u32,
    /// Whether gRPC methods for operators are served here, too.
    pub operator_grpc: bool,
    /// How many DPoP proofs are remembered, to detect replays.
    pub remembered_proofs: u64,
    /// Requests per second of one server or mobile credential. More are refused with 429.
    pub credential_rate: u32,
    /// Requests per second of one device. More are refused with 429.
    pub device_rate: u32,
    /// Secure QR codes created or paired per second from one address. More are refused with 429.
    pub address_rate: u32,
    /// Proofs per minute from one address by devices that are not registered, and four times as many from an IPv6 /48. More are refused
    /// with 429, without calling the registry.
    pub unknown_device_rate: u32,
    /// New device registrations per hour with one relying party from one address, and four times as many from an IPv6 /48, where the
    /// relying party has no limit of its own. More are refused with 429.
    pub registration_rate: u32,
    /// Nonces for key statements issued per second for one address. More are refused with 429.
    pub challenge_rate: u32,
    /// The header in which a trusted proxy reports the client's address, such as `x-forwarded-for` or `forwarded`. Without one, the address
    /// of the connection counts.
    pub address_header: Option<String>,
    /// Where to report a vulnerability, served in `/.well-known/security.txt`: `mailto:security@example.com`, or a page over https.
    pub security_contact: Option<String>,
    /// The number of trusted proxies before the gateway. Each adds a value to that header, so the client's value is this many from the
    /// right.
    pub trusted_hops: u32,
    /// Whether the operator console is served.
    pub console: bool,
    /// The key that signs the console's cookies of a sign-in under way: 32 characters or more, the same at every gateway.
    pub cookie_key: Option<SecretString>,
    /// The previous key, still accepted during a rotation.
    pub previous_cookie_key: Option<SecretString>,
    /// The header in which a trusted proxy reports the client's approximate location. The phone that scans shows it.
    pub place_header: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_in_flight: 4_096,
            max_waiting: 120_000,
            max_waiting_per_address: 1_024,
            max_waiting_per_party: 60_000,
            look_seconds: 10,
            streams_per_party: 100,
            operator_grpc: false,
            remembered_proofs: 1_000_000,
            credential_rate: 2_000,
            device_rate: 20,
            address_rate: 20,
            unknown_device_rate: 120,
            registration_rate: 120,
            challenge_rate: 200,
            address_header: None,
            security_contact: None,
            trusted_hops: 1,
            console: true,
            cookie_key: None,
            previous_cookie_key: None,
            place_header: None,
        }
    }
}

impl Config {
    /// Refuses values that have the right type and are still invalid.
    pub fn check(&self) -> anyhow::Result<()> {
        let is_contact = |contact: &String| {
            let scheme = ["mailto:", "https://", "tel:"].iter().any(|scheme| contact.starts_with(scheme));
            scheme && contact.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let wrong = "security_contact must be a URI such as mailto:security@example.com or https://example.com/security";
        anyhow::ensure!(self.security_contact.as_ref().is_none_or(is_contact), wrong);
        anyhow::ensure!((1..=60).contains(&self.look_seconds), "look_seconds must be 1 to 60");
        let mut cookie_keys = [&self.cookie_key, &self.previous_cookie_key].into_iter().flatten();
        anyhow::ensure!(cookie_keys.all(|key| key.expose_secret().len() >= 32), "cookie_key must be at least 32 characters");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_a_uri_in_one_line() {
        let check = |contact: &str| Config { security_contact: Some(contact.to_owned()), ..Config::default() }.check().is_ok();
        assert!(["mailto:security@example.com", "https://example.com/security", "tel:+1-201-555-0123"].into_iter().all(check));
        assert!(
            !["", "security@example.com", "http://example.com", "mailto:a@b\nContact: mailto:c@d", "https://a b"].into_iter().any(check)
        );
    }
}
