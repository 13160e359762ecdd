//! Service identities inside a deployment: every service signs with its own key, and knows the public keys of all.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    jose::{JoseError, PublicJwk},
    key_set::{self, KeySetError, NamedKey},
    named,
    random::Random,
};

named! {
    /// One of the services of Nodkey.
    #[derive(Hash, PartialOrd, Ord)]
    pub enum ServiceName {
        /// Serves phones and backends over HTTP.
        Gateway = "gateway",
        /// Relying parties, credentials, devices.
        Registry = "registry",
        /// Users and their devices.
        Binding = "binding",
        /// Challenges and responses.
        Trusonafication = "trusonafication",
        /// Webhooks and pushes.
        Notification = "notification",
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The key that a service signs with: Ed25519 (RFC 8037). Zeroized when dropped, never printed.
#[derive(Clone, Debug)]
pub struct ServiceKey {
    name: ServiceName,
    key: NamedKey,
}

impl ServiceKey {
    /// Generates a new key.
    #[must_use]
    pub fn generate(name: ServiceName, random: &Random) -> Self {
        Self { name, key: NamedKey::generate(random) }
    }

    /// Generates a new key for every service.
    #[must_use]
    pub fn all(random: &Random) -> Vec<Self> {
        ServiceName::ALL.iter().map(|name| Self::generate(*name, random)).collect()
    }

    /// Reads the output of [`ServiceKey::to_secret`].
    pub fn from_secret(name: ServiceName, secret: &str) -> Result<Self, JoseError> {
        Ok(Self { name, key: NamedKey::from_d(secret)? })
    }

    /// The private key as text: `d` of its JWK (RFC 8037 section 2), 43 characters of base64url.
    #[must_use]
    pub fn to_secret(&self) -> Zeroizing<String> {
        self.key.to_d()
    }

    /// The service that owns the key.
    #[must_use]
    pub const fn name(&self) -> ServiceName {
        self.name
    }

    /// The key's name: the thumbprint of its public key (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        self.key.kid()
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicJwk {
        self.key.public()
    }

    /// Signs claims as a compact JWS whose header has `typ` and `kid`.
    #[must_use]
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> String {
        self.key.sign(typ, claims)
    }

    /// Signs bytes; returns 64 bytes (RFC 8032). The input must begin with something that no JWS begins with.
    #[must_use]
    pub fn sign_bytes(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign_bytes(message)
    }
}

/// The public keys of a deployment's services. A service has more than one while a key and its successor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceKeys(Vec<(ServiceName, String, PublicJwk)>);

impl ServiceKeys {
    /// Reads a key set (RFC 7517 section 5) in which each key names its service in a member `service`.
    pub fn parse(json: &str) -> Result<Self, KeySetError> {
        let service = |jwk: &Value| {
            let name = jwk.get("service").and_then(Value::as_str).and_then(|name| ServiceName::try_from(name).ok());
            name.ok_or("names no service in `service`")
        };
        key_set::parse(json, service).map(Self)
    }

    /// Adds a public key, unless it is present already.
    pub fn insert(&mut self, name: ServiceName, key: PublicJwk) {
        let kid = key.thumbprint();
        if self.find(name, &kid).is_none() {
            self.0.push((name, kid, key));
        }
    }

    /// Removes a key; returns whether it was there.
    pub fn remove(&mut self, name: ServiceName, kid: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(service, known, _)| (*service, known.as_str()) != (name, kid));
        self.0.len() < before
    }

    /// The service's key with that `kid`.
    #[must_use]
    pub fn find(&self, name: ServiceName, kid: &str) -> Option<&PublicJwk> {
        self.0.iter().find(|(service, known, _)| *service == name && known == kid).map(|(.., key)| key)
    }

    /// The key with that `kid`, and its service.
    #[must_use]
    pub fn by_kid(&self, kid: &str) -> Option<(ServiceName, &PublicJwk)> {
        self.0.iter().find(|(_, known, _)| known == kid).map(|(service, _, key)| (*service, key))
    }

    /// The `kid`s of a service's keys, in the order of the document.
    pub fn kids(&self, name: ServiceName) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(service, ..)| *service == name).map(|(_, kid, _)| kid.as_str())
    }

    /// Whether there are no keys.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Verifies a compact JWS of a `typ` that a service signed, and returns the service that owns the key. The caller must compare it with
    /// any service named in the claims.
    pub fn verify<T: DeserializeOwned>(&self, jws: &str, typ: &str) -> Result<(ServiceName, T), JoseError> {
        key_set::verify(jws, typ, |kid| self.by_kid(kid))
    }

    /// The document.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let document = |(name, kid, key): &(ServiceName, String, PublicJwk)| {
            let mut jwk = key_set::to_value(kid, key);
            jwk["service"] = json!(name.as_str());
            jwk
        };
        json!({"keys": self.0.iter().map(document).collect::<Vec<_>>()})
    }
}

impl<'a> FromIterator<&'a ServiceKey> for ServiceKeys {
    fn from_iter<I: IntoIterator<Item = &'a ServiceKey>>(keys: I) -> Self {
        let mut all = Self::default();
        for key in keys {
            all.insert(key.name, key.public());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::{Algorithm, PrivateKey, jws};

    const TYP: &str = "test+jwt";

    fn key(name: ServiceName, seed: u64) -> ServiceKey {
        ServiceKey::generate(name, &Random::seeded(seed))
    }

    #[test]
    fn a_document_comes_back_and_names_the_service_of_each_key() {
        let (old, new, other) = (key(ServiceName::Registry, 1), key(ServiceName::Registry, 2), key(ServiceName::Gateway, 3));
        let keys: ServiceKeys = [&old, &new, &other].into_iter().collect();
        let back = ServiceKeys::parse(&keys.to_value().to_string()).unwrap();
        assert_eq!(back, keys);
        assert_eq!(back.kids(ServiceName::Registry).collect::<Vec<_>>(), [old.kid(), new.kid()]);
        assert_eq!(back.find(ServiceName::Registry, new.kid()), Some(&new.public()));
        assert_eq!(back.find(ServiceName::Binding, new.kid()), None, "a key is its own service's alone");
        assert!(!keys.to_value().to_string().contains(old.to_secret().as_str()));
    }

    #[test]
    fn a_private_key_comes_back_from_its_text_and_does_not_show() {
        let key = key(ServiceName::Binding, 1);
        assert_eq!(key.to_secret().len(), 43);
        assert_eq!(ServiceKey::from_secret(ServiceName::Binding, &key.to_secret()).unwrap().kid(), key.kid());
        assert!(!format!("{key:?}").contains(key.to_secret().as_str()));
        for wrong in ["", "short", "/etc/nodkey/key"] {
            assert_eq!(ServiceKey::from_secret(ServiceName::Binding, wrong).unwrap_err(), JoseError::Key);
        }
    }

    #[test]
    fn a_jws_is_its_signers_and_of_its_type_alone() {
        let (known, stranger) = (key(ServiceName::Notification, 1), key(ServiceName::Notification, 2));
        let keys: ServiceKeys = [&known].into_iter().collect();
        let jws = known.sign(TYP, &json!({"a": 1}));
        assert_eq!(keys.verify::<Value>(&jws, TYP).unwrap(), (ServiceName::Notification, json!({"a": 1})));
        assert_eq!(keys.verify::<Value>(&jws, "other+jwt").unwrap_err(), JoseError::Type);
        assert_eq!(keys.verify::<Value>(&stranger.sign(TYP, &json!({})), TYP).unwrap_err(), JoseError::Key);
        let forged = jws::sign(TYP, Some(known.kid()), None, &json!({}), stranger.key.private());
        assert_eq!(keys.verify::<Value>(&forged, TYP).unwrap_err(), JoseError::Signature);
    }

    #[test]
    fn a_document_with_anything_wrong_is_refused_as_a_whole() {
        let good: ServiceKeys = [&key(ServiceName::Gateway, 1)].into_iter().collect();
        let with = |member: &str, value: Value| {
            let mut document = good.to_value();
            document["keys"][0][member] = value;
            ServiceKeys::parse(&document.to_string()).unwrap_err()
        };
        assert_eq!(with("service", json!("mallory")), KeySetError::Key(0, "names no service in `service`"));
        assert_eq!(with("d", json!("AAAA")), KeySetError::Key(0, "is not a public JWK"));
        assert_eq!(with("kid", json!("other")), KeySetError::Key(0, "has a `kid` that is not its thumbprint"));
        let es256 = PrivateKey::generate(Algorithm::Es256, &Random::seeded(1)).public();
        let mut document = json!({"keys": [es256.to_value()]});
        document["keys"][0]["service"] = json!("gateway");
        assert_eq!(ServiceKeys::parse(&document.to_string()).unwrap_err(), KeySetError::Key(0, "is not an Ed25519 key"));
        let mut document = good.to_value();
        let twice = document["keys"][0].clone();
        document["keys"].as_array_mut().unwrap().push(twice);
        assert_eq!(ServiceKeys::parse(&document.to_string()).unwrap_err(), KeySetError::Key(1, "is in the list twice"));
        for none in ["", "[]", "{}", r#"{"keys": 1}"#] {
            assert_eq!(ServiceKeys::parse(none).unwrap_err(), KeySetError::Document, "{none}");
        }
        let many = json!({"keys": vec![json!({}); key_set::MAX_KEYS + 1]});
        assert_eq!(ServiceKeys::parse(&many.to_string()).unwrap_err(), KeySetError::Document);
    }
}
