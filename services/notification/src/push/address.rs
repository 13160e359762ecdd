//! Push addresses and providers.

use nodkey_kernel::{
    egress::{Egress, Refused},
    jose::{PublicJwk, b64u_decode},
    named,
};
use serde::Deserialize;

/// Maximum length of a provider's token.
const MAX_TOKEN: usize = 4_096;

named! {
    /// A push provider, by the name that phones use.
    pub enum Provider {
        /// Apple Push Notification service.
        Apns = "apns",
        /// Firebase Cloud Messaging.
        Fcm = "fcm",
        /// A browser's push service (RFC 8030).
        WebPush = "webpush",
        /// A distributor chosen by the user; takes the same requests as a browser's push service.
        UnifiedPush = "unifiedpush",
    }
}

impl Provider {
    /// The provider whose credentials its requests use.
    #[must_use]
    pub const fn configured_as(self) -> Self {
        match self {
            Self::UnifiedPush => Self::WebPush,
            other => other,
        }
    }
}

/// The address of a phone: what its provider gave to the app.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Address {
    /// Token of APNs or FCM.
    Token {
        /// Identifies the app on the phone.
        token: String,
    },
    /// Subscription of Web Push or `UnifiedPush` (RFC 8030).
    Subscription {
        /// The URL to send to.
        endpoint: String,
        /// The keys to encrypt to, if any.
        keys: Option<SubscriptionKeys>,
    },
}

/// The keys that a push is encrypted to (RFC 8291 section 2).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SubscriptionKeys {
    /// The phone's public key: an uncompressed P-256 point, base64url.
    pub p256dh: String,
    /// A shared secret of 16 bytes, base64url.
    pub auth: String,
}

impl Address {
    /// Parses what a phone sends; the error describes what is expected.
    pub fn parse(provider: Provider, details: &str, egress: &Egress) -> Result<Self, String> {
        let shape = || {
            let shape = match provider {
                Provider::Apns => "an APNs device token in hex as token",
                Provider::Fcm => "an FCM registration token as token",
                Provider::WebPush => "endpoint, keys.p256dh and keys.auth of a PushSubscription",
                Provider::UnifiedPush => "endpoint and, if the distributor gave them, keys.p256dh and keys.auth",
            };
            format!("must contain {shape}")
        };
        let mut address: Self = serde_json::from_str(details).map_err(|_| shape())?;
        let fits = match (&mut address, provider) {
            // Both become part of a URL or a header.
            (Self::Token { token }, Provider::Apns) => (64..=200).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_hexdigit()),
            (Self::Token { token }, Provider::Fcm) => (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic()),
            (Self::Subscription { endpoint, keys }, Provider::WebPush | Provider::UnifiedPush) => {
                let url = egress.check(endpoint).map_err(|refused| match refused {
                    Refused::Address => "endpoint must lead to a public address".to_owned(),
                    other => format!("endpoint {other}"),
                })?;
                *endpoint = url.into();
                match keys {
                    None => provider == Provider::UnifiedPush,
                    Some(keys) => keys.check().map(|()| true)?,
                }
            }
            _ => false,
        };
        if fits { Ok(address) } else { Err(shape()) }
    }

    /// The name of the receiver; equal for all addresses of the same one.
    #[must_use]
    pub fn receiver(&self, provider: Provider) -> String {
        match self {
            Self::Token { .. } => provider.as_str().to_owned(),
            Self::Subscription { endpoint, .. } => {
                url::Url::parse(endpoint).map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
            }
        }
    }
}

impl SubscriptionKeys {
    /// Checks the keys: with invalid ones every push would fail to encrypt, and nobody would be notified.
    fn check(&self) -> Result<(), String> {
        let bytes = |text: &str| b64u_decode(text.trim_end_matches('=')).unwrap_or_default();
        if PublicJwk::from_raw_p256(&bytes(&self.p256dh)).is_err() {
            return Err("keys.p256dh must be a point of P-256, uncompressed, in base64url".to_owned());
        }
        if bytes(&self.auth).len() != 16 {
            return Err("keys.auth must be 16 bytes in base64url".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::{
        jose::{Algorithm, PrivateKey, b64u},
        random::Random,
    };

    use super::*;
    use crate::config::PushConfig;

    /// The public key of a phone.
    fn point() -> Vec<u8> {
        PrivateKey::generate(Algorithm::Es256, &Random::seeded(1)).public().to_raw()
    }

    #[test]
    fn what_nothing_can_be_encrypted_to_is_refused_and_said() {
        let parse = |p256dh: &[u8], auth: &[u8]| {
            let keys = format!(r#"{{"p256dh":"{}","auth":"{}"}}"#, b64u(p256dh), b64u(auth));
            let details = format!(r#"{{"endpoint":"https://push.example.com/x","keys":{keys}}}"#);
            Address::parse(Provider::WebPush, &details, &Egress::new(false))
        };
        assert!(parse(&point(), &[0; 16]).is_ok());
        let mut off = point();
        off[64] ^= 1;
        for other in [&[4; 65][..], &off, &point()[1..], &[0], &[]] {
            assert!(parse(other, &[0; 16]).unwrap_err().starts_with("keys.p256dh must be a point of P-256"), "{other:?}");
        }
        assert!(parse(&point(), &[0; 15]).unwrap_err().starts_with("keys.auth"));
    }

    #[test]
    fn no_phone_leads_us_into_our_own_network_in_development_neither() {
        let deployment = Egress { networks: vec!["10.1.0.0/16".parse().unwrap()], ..Egress::new(true) };
        let keys =
            format!(r#""keys":{{"p256dh":"{}","auth":"{}"}}"#, nodkey_kernel::jose::b64u(&point()), nodkey_kernel::jose::b64u(&[0; 16]));
        let taken = |config: &PushConfig, endpoint: &str| {
            Address::parse(Provider::WebPush, &format!(r#"{{"endpoint":"{endpoint}",{keys}}}"#), &config.egress(&deployment)).is_ok()
        };
        let none = PushConfig::default();
        for endpoint in [
            "http://127.0.0.1:9/x",
            "https://127.0.0.1/x",
            "https://localhost/x",
            "http://localhost:8080/x",
            "https://[::1]/x",
            "https://[::ffff:127.0.0.1]/x",
            "https://0x7f000001/x",
            "https://2130706433/x",
            "https://10.1.2.3/x",
            "https://192.168.0.1/x",
            "https://172.16.0.1/x",
            "https://169.254.169.254/latest/meta-data",
            "https://[fd00:ec2::254]/x",
            "https://[64:ff9b::7f00:1]/x",
            "https://push.example.com:22/x",
            "https://user@push.example.com/x",
        ] {
            assert!(!taken(&none, endpoint), "{endpoint}");
        }
        let own = PushConfig { allowed_networks: vec!["10.1.0.0/16".parse().unwrap()], ..PushConfig::default() };
        assert!(taken(&own, "https://10.1.2.3/x") && !taken(&own, "https://10.2.2.3/x") && !taken(&own, "http://127.0.0.1:9/x"));
        let tests = PushConfig { allow_this_machine: true, ..PushConfig::default() };
        assert!(taken(&tests, "http://127.0.0.1:9/x") && !taken(&tests, "https://10.1.2.3/x"));
    }

    #[test]
    fn a_phone_names_what_its_provider_gave_it_and_nothing_else() {
        let egress = Egress::new(false);
        let hex = "ab".repeat(32);
        let p256dh = nodkey_kernel::jose::b64u(&point());
        let keys = format!(r#""keys":{{"p256dh":"{p256dh}","auth":"{}"}}"#, nodkey_kernel::jose::b64u(&[0; 16]));
        let good = [
            (Provider::Apns, format!(r#"{{"token":"{hex}"}}"#)),
            (Provider::Fcm, r#"{"token":"d:APA91"}"#.to_owned()),
            (Provider::WebPush, format!(r#"{{"endpoint":"https://push.example.com/x","expirationTime":null,{keys}}}"#)),
            (Provider::UnifiedPush, format!(r#"{{"endpoint":"https://push.example.com/x",{keys}}}"#)),
            (Provider::UnifiedPush, r#"{"endpoint":"https://push.example.com/x"}"#.to_owned()),
        ];
        for (provider, details) in good {
            assert!(Address::parse(provider, &details, &egress).is_ok(), "{details}");
        }
        let bad = [
            (Provider::Apns, "{}".to_owned()),
            (Provider::Apns, r#"{"token":"../../x"}"#.to_owned()),
            (Provider::Fcm, r#"{"token":""}"#.to_owned()),
            (Provider::Fcm, r#"{"token":"a b"}"#.to_owned()),
            (Provider::WebPush, r#"{"endpoint":"https://push.example.com/x"}"#.to_owned()),
            (Provider::WebPush, format!(r#"{{"token":"{hex}"}}"#)),
            (Provider::WebPush, format!(r#"{{"endpoint":"https://10.0.0.1/x",{keys}}}"#)),
            (Provider::UnifiedPush, r#"{"endpoint":"http://push.example.com/x"}"#.to_owned()),
            (Provider::UnifiedPush, r#"{"endpoint":"https://push.example.com/x","keys":{"p256dh":"AAAA","auth":"AAAA"}}"#.to_owned()),
        ];
        for (provider, details) in bad {
            assert!(Address::parse(provider, &details, &egress).is_err(), "{details}");
        }
    }
}
