//! The keys of a simulated phone, and its signatures. Texts are filled into templates, because a load generator must cost little.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use nodkey_kernel::{
    challenge::{RESPONSE_TYP, challenge_hash},
    dpop,
    jose::{PublicJwk, b64u, sha256},
    random::Random,
};
use serde_json::json;

/// A P-256 key.
struct Key {
    pair: EcdsaKeyPair,
    jwk: PublicJwk,
}

/// A device key, a presence key, and the encoded headers of their signatures.
pub struct DeviceKeys {
    identifier: String,
    device: Key,
    presence: Key,
    proof_header: String,
    response_header: String,
    random: Random,
}

impl Key {
    fn generate() -> anyhow::Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        // SEC 1, uncompressed: a 4, then x and y.
        let point = pair.public_key().as_ref();
        let jwk = PublicJwk::from_value(&json!({"kty": "EC", "crv": "P-256", "x": b64u(&point[1..33]), "y": b64u(&point[33..])}))?;
        Ok(Self { pair, jwk })
    }

    /// A compact JWS with a header that is already encoded.
    fn sign(&self, header: &str, claims: &str) -> Option<String> {
        let input = format!("{header}.{}", b64u(claims.as_bytes()));
        let signature = self.pair.sign(&SystemRandom::new(), input.as_bytes()).ok()?;
        Some(format!("{input}.{}", b64u(signature.as_ref())))
    }
}

impl DeviceKeys {
    /// Makes both keys.
    pub fn generate() -> anyhow::Result<Self> {
        let (device, presence) = (Key::generate()?, Key::generate()?);
        let proof_header = json!({"typ": dpop::TYP, "alg": "ES256", "jwk": device.jwk.to_value()});
        let response_header = json!({"typ": RESPONSE_TYP, "alg": "ES256", "kid": presence.jwk.thumbprint()});
        Ok(Self {
            identifier: device.jwk.thumbprint(),
            proof_header: b64u(proof_header.to_string().as_bytes()),
            response_header: b64u(response_header.to_string().as_bytes()),
            device,
            presence,
            random: Random::system(),
        })
    }

    /// The device identifier.
    pub fn identifier(&self) -> &str {
        &self.identifier
    }

    /// The body of a registration.
    pub fn registration(&self) -> serde_json::Value {
        json!({
            "device_key": self.device.jwk.to_value(),
            "presence_keys": [{"kind": "biometric", "jwk": self.presence.jwk.to_value()}],
            "name": "nodkey bench",
            "platform": "other",
            "app_version": env!("CARGO_PKG_VERSION"),
        })
    }

    /// The DPoP proof of a call (RFC 9449). `url` has neither query nor fragment. `None` when the key cannot sign.
    pub fn proof(&self, method: &str, url: &str, body: &[u8], now: i64) -> Option<String> {
        let jti = self.random.token();
        let body_hash = if body.is_empty() { String::new() } else { format!(r#","bh":"{}""#, b64u(&sha256(body))) };
        let claims = format!(r#"{{"jti":"{jti}","htm":"{method}","htu":"{url}","iat":{now}{body_hash}}}"#);
        self.device.sign(&self.proof_header, &claims)
    }

    /// The accept of a challenge, signed by the presence key.
    pub fn accept(&self, id: &str, challenge: &str, issuer: &str, now: i64) -> Option<String> {
        let claims = format!(
            r#"{{"iss":"{}","aud":"{issuer}","sub":"{id}","chal":"{}","dec":"accept","iat":{now},"jti":"{}"}}"#,
            self.identifier,
            challenge_hash(challenge),
            self.random.token(),
        );
        self.presence.sign(&self.response_header, &claims)
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::{
        challenge::ResponseClaims,
        jose::jws::Compact,
        time::{Clock, Timestamp},
    };

    use super::*;

    #[test]
    fn proofs_hold_for_their_call_alone() {
        let keys = DeviceKeys::generate().unwrap();
        let now = Clock::system().now();
        let proof = keys.proof("POST", "https://g/api", b"{}", now.as_seconds()).unwrap();
        let verified = dpop::verify(&proof, "POST", "https://g/api", b"{}", now).unwrap();
        assert_eq!(verified.device_id.as_str(), keys.identifier());
        assert!(dpop::verify(&proof, "POST", "https://g/api", b"", now).is_err());
        assert!(dpop::verify(&proof, "GET", "https://g/api", b"{}", now).is_err());
    }

    #[test]
    fn an_acceptance_is_signed_by_the_presence_key() {
        let keys = DeviceKeys::generate().unwrap();
        let response = keys.accept("id", "a.b.c", "https://g", Timestamp::from_seconds(7).as_seconds()).unwrap();
        let response = Compact::parse(&response).unwrap();
        let claims: ResponseClaims = response.verify(&keys.presence.jwk, RESPONSE_TYP).unwrap();
        assert_eq!((claims.iss.as_str(), claims.sub.as_str(), claims.iat), (keys.identifier(), "id", 7));
        assert_eq!(claims.chal, challenge_hash("a.b.c"));
    }
}
