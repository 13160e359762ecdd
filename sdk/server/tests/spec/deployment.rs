//! The keys of a deployment, and what its friends and enemies sign.

use std::sync::LazyLock;

use nodkey_kernel::{
    jose::{Algorithm, PrivateKey, b64u, hmac_sha256},
    random::Random,
};
use serde_json::{Value, json};

pub const GATEWAY: &str = "https://auth.example";
pub const ACME: &str = "0192f1c4-0000-7000-8000-00000000ac3e";
pub const OTHER_PARTY: &str = "0192f1c4-0000-7000-8000-0000000007e4";
/// When all of it is examined, in seconds.
pub const NOW: i64 = 1_790_000_000;

pub static DEPLOYMENT: LazyLock<Deployment> = LazyLock::new(Deployment::new);

/// A key of the deployment.
pub struct Key {
    pub key: PrivateKey,
    /// What the JWKS says of it besides the key.
    more: Value,
}

/// The keys of a deployment.
pub struct Deployment {
    pub receipts: Key,
    /// The next one, of the other algorithm.
    pub next_receipts: Key,
    pub results: Key,
    pub devices: Key,
    /// From before keys had `typs`.
    pub before: Key,
    pub revoked: Key,
    /// Its `typs` cannot be read.
    pub unreadable: Key,
    /// Not a key for signatures.
    pub encrypts: Key,
    /// Nobody published it.
    pub stranger: PrivateKey,
}

impl Key {
    fn new(seed: u64, algorithm: Algorithm, more: Value) -> Self {
        Self { key: PrivateKey::generate(algorithm, &Random::seeded(seed)), more }
    }

    pub fn kid(&self) -> String {
        self.key.public().thumbprint()
    }

    fn published(&self) -> Value {
        let mut jwk = self.key.public().to_value();
        jwk["kid"] = json!(self.kid());
        jwk["alg"] = json!(self.key.public().algorithm().as_str());
        jwk["use"] = json!("sig");
        for (name, value) in self.more.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    }

    /// A token as the deployment signs it.
    pub fn sign(&self, typ: &str, claims: &Value) -> String {
        signed(&self.header(typ), claims, &self.key)
    }

    pub fn header(&self, typ: &str) -> Value {
        json!({"alg": self.key.public().algorithm().as_str(), "typ": typ, "kid": self.kid()})
    }
}

impl Deployment {
    fn new() -> Self {
        use Algorithm::{EdDsa, Es256};
        let typs = |typ: &str| json!({ "typs": [typ] });
        Self {
            receipts: Key::new(1, EdDsa, typs("nodkey-receipt+jwt")),
            next_receipts: Key::new(2, Es256, typs("nodkey-receipt+jwt")),
            results: Key::new(3, Es256, typs("nodkey-result+jwt")),
            devices: Key::new(4, EdDsa, typs("nodkey-device+jwt")),
            before: Key::new(5, EdDsa, json!({})),
            revoked: Key::new(6, EdDsa, json!({"revoked": {"revoked_at": NOW - 60}})),
            unreadable: Key::new(7, EdDsa, json!({"typs": null})),
            encrypts: Key::new(8, EdDsa, json!({"use": "enc"})),
            stranger: PrivateKey::generate(EdDsa, &Random::seeded(9)),
        }
    }

    /// The JWKS. Keys of kinds that there are not yet have no effect.
    pub fn jwks(&self) -> Value {
        let keys = [
            &self.receipts,
            &self.next_receipts,
            &self.results,
            &self.devices,
            &self.before,
            &self.revoked,
            &self.unreadable,
            &self.encrypts,
        ];
        let later = json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "later", "pub": "AAAA", "typs": ["nodkey-receipt+jwt"]});
        json!({"keys": keys.map(Key::published).into_iter().chain([later]).collect::<Vec<_>>()})
    }
}

/// A compact JWS with any header.
pub fn signed(header: &Value, claims: &Value, by: &PrivateKey) -> String {
    compact(header, claims, |input| by.sign(input))
}

pub fn compact(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let input = format!("{}.{}", b64u(header.to_string().as_bytes()), b64u(claims.to_string().as_bytes()));
    let signature = sign(input.as_bytes());
    format!("{input}.{}", b64u(&signature))
}

/// A JWS whose secret is the public key, for those who let the header choose the algorithm.
pub fn by_public_key(header: &Value, claims: &Value, key: &Key) -> String {
    compact(header, claims, |input| hmac_sha256(&key.key.public().to_raw(), input).to_vec())
}
