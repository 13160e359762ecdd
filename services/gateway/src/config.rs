//! Settings of the gateway's own.

use secrecy::SecretString;
use serde::Deserialize;

/// Under `service.` in the configuration. Every limit is one of this instance.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many requests are served at once; more are refused with 503.
    pub max_in_flight: u32,
    /// How many may wait at once; more are refused with 503. Browsers that wait for a scan, who proved nothing, have half of it at most.
    pub max_waiting: u32,
    /// How many of those who proved nothing may wait at once from one address, and four times as many from an IPv6 /48; more are refused with
    /// 429.
    pub max_waiting_per_address: u32,
    /// How many phones and backends of one relying party may wait at once; more are refused with 429.
    pub max_waiting_per_party: u32,
    /// How often, in seconds, to look for what those who wait missed: 1 to 60. While the bus is away it is every second.
    pub look_seconds: u32,
    /// How many streams from services one relying party may hold over gRPC; more are refused.
    pub streams_per_party: u32,
    /// Whether gRPC methods for operators are served here, too.
    pub operator_grpc: bool,
    /// How many DPoP proofs are remembered, to notice one that comes again.
    pub remembered_proofs: u64,
    /// Requests a second of one server or mobile credential; more are refused with 429.
    pub credential_rate: u32,
    /// Requests a second of one device; more are refused with 429.
    pub device_rate: u32,
    /// Secure QR codes a second made or paired from one address; more are refused with 429.
    pub address_rate: u32,
    /// Proofs a minute, from one address, by devices that are not registered, and four times as many from an IPv6 /48; more are refused with
    /// 429, and nobody is asked whose they are.
    pub unknown_device_rate: u32,
    /// Devices an hour that register anew with one relying party from one address, and four times as many from an IPv6 /48, where the relying
    /// party has no limit of its own; more are refused with 429.
    pub registration_rate: u32,
    /// Nonces for key statements a second made for one address; more are refused with 429.
    pub challenge_rate: u32,
    /// The header in which a trusted proxy names the client's address, such as `x-forwarded-for` or `forwarded`; without one, who connects
    /// counts.
    pub address_header: Option<String>,
    /// Where to report a vulnerability, served in `/.well-known/security.txt`: `mailto:security@example.com`, or a page over https.
    pub security_contact: Option<String>,
    /// How many trusted proxies are before us, each of which adds a value to that header: the client's is as far from the right.
    pub trusted_hops: u32,
    /// Whether the operator console is served.
    pub console: bool,
    /// Signs what the console's pages keep of a sign-in under way: 32 characters or more, the same at every gateway.
    pub cookie_key: Option<SecretString>,
    /// Another that is taken, while one follows the other.
    pub previous_cookie_key: Option<SecretString>,
    /// The header in which a trusted proxy says roughly where the client is; shown on the phone that scans.
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
    /// Refuses what is of the right type and still wrong.
    pub fn check(&self) -> anyhow::Result<()> {
        let is_contact = |contact: &String| {
            let scheme = ["mailto:", "https://", "tel:"].iter().any(|scheme| contact.starts_with(scheme));
            scheme && contact.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let wrong = "service.security_contact must be a URI such as mailto:security@example.com or https://example.com/security";
        anyhow::ensure!(self.security_contact.as_ref().is_none_or(is_contact), wrong);
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
