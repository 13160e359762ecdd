//! Webhook signatures, both sides: the Standard Webhooks specification, symmetric (`v1`) and asymmetric (`v1a`).
//!
//! The signature covers `<webhook-id>.<webhook-timestamp>.<body>`. A receiver needs one key of either kind and looks for one signature that
//! verifies, so that the sender can sign with an old and a new key during a rotation.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{
    jose::{Algorithm, PrivateKey, PublicJwk, hmac_sha256},
    random::Random,
    time::Timestamp,
};

/// The header with the id of the message, which is the same on every attempt.
pub const ID: &str = "webhook-id";
/// The header with the time of the attempt, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures, separated by spaces.
pub const SIGNATURE: &str = "webhook-signature";
/// Maximum difference between the time of an attempt and the receiver's clock.
pub const TOLERANCE: Duration = Duration::from_mins(5);

const SECRET_PREFIX: &str = "whsec_";
const PUBLIC_KEY_PREFIX: &str = "whpk_";

/// Why a message is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The key cannot be read.
    #[error("the key is neither a secret (whsec_) nor a public key (whpk_)")]
    Key,
    /// The timestamp is not a number.
    #[error("the webhook-timestamp is not a number")]
    Timestamp,
    /// The timestamp is too far from the current time.
    #[error("the webhook-timestamp is more than five minutes off: an old message sent again, or a clock that is wrong")]
    Time,
    /// No signature verifies.
    #[error("no signature of the webhook-signature verifies")]
    Signature,
}

/// A sender's signing keys.
#[derive(Clone, Debug)]
pub struct SigningKeys {
    secret: Zeroizing<[u8; 32]>,
    private: PrivateKey,
}

impl SigningKeys {
    /// Generates new keys.
    #[must_use]
    pub fn generate(random: &Random) -> Self {
        Self { secret: Zeroizing::new(random.bytes()), private: PrivateKey::generate(Algorithm::EdDsa, random) }
    }

    /// Reads the output of [`SigningKeys::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WebhookError> {
        let (secret, private) = bytes.split_first_chunk::<32>().ok_or(WebhookError::Key)?;
        let private = PrivateKey::from_secret_bytes(Algorithm::EdDsa, private).map_err(|_| WebhookError::Key)?;
        Ok(Self { secret: Zeroizing::new(*secret), private })
    }

    /// The keys as bytes, to be sealed and stored.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([&self.secret[..], &self.private.to_secret_bytes()].concat())
    }

    /// The symmetric secret in the form that receivers use: `whsec_` and base64.
    #[must_use]
    pub fn secret(&self) -> String {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(*self.secret))
    }

    /// The public key in the form that receivers use: `whpk_` and base64.
    #[must_use]
    pub fn public_key(&self) -> String {
        format!("{PUBLIC_KEY_PREFIX}{}", STANDARD.encode(self.private.public().to_raw()))
    }

    /// Signs: `v1,<base64> v1a,<base64>`.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signed = signed(id, timestamp, body.as_bytes());
        let (hmac, ed25519) = (hmac_sha256(&*self.secret, &signed), self.private.sign(&signed));
        format!("v1,{} v1a,{}", STANDARD.encode(hmac), STANDARD.encode(ed25519))
    }
}

/// Signs with the secret of an endpoint (`whsec_`) alone, as it is where only that is known: `v1,<base64>`.
pub fn sign_with_secret(secret: &str, id: &str, timestamp: i64, body: &str) -> Result<String, WebhookError> {
    let VerifyingKey::Secret(secret) = VerifyingKey::parse(secret)? else { return Err(WebhookError::Key) };
    Ok(format!("v1,{}", STANDARD.encode(hmac_sha256(&secret, &signed(id, timestamp, body.as_bytes())))))
}

/// The key that a receiver verifies with.
#[derive(Clone)]
pub enum VerifyingKey {
    /// Shared with the sender.
    Secret(Zeroizing<Vec<u8>>),
    /// The sender's public key.
    Public(PublicJwk),
}

impl VerifyingKey {
    /// Reads a secret (`whsec_`) or a public key (`whpk_`).
    pub fn parse(text: &str) -> Result<Self, WebhookError> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| WebhookError::Key);
        if let Some(secret) = text.strip_prefix(SECRET_PREFIX) {
            // Shorter secrets can be found by brute force.
            let secret = Zeroizing::new(decode(secret)?);
            return if secret.len() < 24 { Err(WebhookError::Key) } else { Ok(Self::Secret(secret)) };
        }
        let public = decode(text.strip_prefix(PUBLIC_KEY_PREFIX).ok_or(WebhookError::Key)?)?;
        PublicJwk::from_raw_ed25519(&public).map(Self::Public).map_err(|_| WebhookError::Key)
    }

    /// Verifies that a message came from the holder of the key, is complete, and was sent at about `now`. The arguments are parts of the
    /// request: three headers, and the body as it arrived.
    pub fn verify(&self, id: &str, timestamp: &str, signatures: &str, body: &[u8], now: Timestamp) -> Result<(), WebhookError> {
        let timestamp: i64 = timestamp.parse().map_err(|_| WebhookError::Timestamp)?;
        if now.as_seconds().abs_diff(timestamp) > TOLERANCE.as_secs() {
            return Err(WebhookError::Time);
        }
        let signed = signed(id, timestamp, body);
        let verifies = |signature: &str| match (self, signature.split_once(',')) {
            (Self::Secret(secret), Some(("v1", text))) => {
                STANDARD.decode(text).is_ok_and(|given| verify_slices_are_equal(&given, &hmac_sha256(secret, &signed)).is_ok())
            }
            (Self::Public(key), Some(("v1a", text))) => STANDARD.decode(text).is_ok_and(|given| key.verify(&signed, &given).is_ok()),
            _ => false,
        };
        if signatures.split(' ').any(verifies) { Ok(()) } else { Err(WebhookError::Signature) }
    }
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret"),
            Self::Public(key) => key.fmt(f),
        }
    }
}

fn signed(id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
    [format!("{id}.{timestamp}.").as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(seed: u64) -> SigningKeys {
        SigningKeys::generate(&Random::seeded(seed))
    }

    /// The example from the Standard Webhooks libraries.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let key = VerifyingKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (now, body) = (Timestamp::from_seconds(1_614_265_330), br#"{"test": 2432232314}"#);
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(key.verify("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", signature, body, now), Ok(()));
    }

    proptest! {
        #[test]
        fn either_key_verifies_what_was_signed_and_nothing_else(seed: u64, id in "[a-z0-9-]{1,40}", body in ".*", at in 0..1_i64 << 40) {
            let (keys, now) = (keys(seed), Timestamp::from_seconds(at));
            let signature = keys.sign(&id, at, &body);
            for text in [keys.secret(), keys.public_key()] {
                let key = VerifyingKey::parse(&text).unwrap();
                let verify = |id: &str, at: i64, body: &str| key.verify(id, &at.to_string(), &signature, body.as_bytes(), now);
                prop_assert_eq!(verify(&id, at, &body), Ok(()));
                prop_assert_eq!(verify(&format!("{id}x"), at, &body), Err(WebhookError::Signature));
                prop_assert_eq!(verify(&id, at + 1, &body), Err(WebhookError::Signature));
                prop_assert_eq!(verify(&id, at, &format!("{body} ")), Err(WebhookError::Signature));
            }
            let by_secret = sign_with_secret(&keys.secret(), &id, at, &body).unwrap();
            prop_assert_eq!(Some(by_secret.as_str()), signature.split(' ').next());
            prop_assert_eq!(sign_with_secret(&keys.public_key(), &id, at, &body), Err(WebhookError::Key));
            let kept = SigningKeys::from_bytes(&keys.to_bytes()).unwrap();
            prop_assert_eq!(kept.sign(&id, at, &body), signature);
        }
    }

    #[test]
    fn while_keys_are_exchanged_holders_of_either_believe() {
        let (old, new, now) = (keys(1), keys(2), Timestamp::from_seconds(9));
        let signatures = format!("{} {}", new.sign("id", 9, "body"), old.sign("id", 9, "body"));
        for text in [old.secret(), old.public_key(), new.secret(), new.public_key()] {
            assert_eq!(VerifyingKey::parse(&text).unwrap().verify("id", "9", &signatures, b"body", now), Ok(()), "{text}");
        }
        let stranger = VerifyingKey::parse(&keys(3).public_key()).unwrap();
        assert_eq!(stranger.verify("id", "9", &signatures, b"body", now), Err(WebhookError::Signature));
    }

    #[test]
    fn an_old_message_and_a_key_that_is_none_are_refused() {
        let keys = keys(1);
        let key = VerifyingKey::parse(&keys.secret()).unwrap();
        let signature = keys.sign("id", 1_000, "body");
        for (now, expected) in [(700, Ok(())), (1_300, Ok(())), (699, Err(WebhookError::Time)), (1_301, Err(WebhookError::Time))] {
            assert_eq!(key.verify("id", "1000", &signature, b"body", Timestamp::from_seconds(now)), expected, "{now}");
        }
        let now = Timestamp::from_seconds(1_000);
        assert_eq!(key.verify("id", "soon", &signature, b"body", now), Err(WebhookError::Timestamp));
        for signatures in ["", "v1,", "v2,AAAA", "v1", "v1,!!", "v1a,AAAA"] {
            assert_eq!(key.verify("id", "1000", signatures, b"body", now), Err(WebhookError::Signature), "{signatures}");
        }
        for text in ["", "secret", "whsec_", "whsec_!!", "whsec_AAAA", "whpk_AAAA"] {
            assert_eq!(VerifyingKey::parse(text).err(), Some(WebhookError::Key), "{text}");
        }
    }
}
