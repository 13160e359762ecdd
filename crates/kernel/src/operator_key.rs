//! The operator key: `nodkey admin` signs with its private key. Services have only the public key, so none of them can sign what it
//! verifies.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    jose::{JoseError, PublicJwk},
    key_set::{self, KeySetError, NamedKey},
    random::Random,
};

/// The `typ` of what it signs.
pub const OPERATOR_TYP: &str = "nodkey-operator+jwt";
/// Prefix of a private key's text. It distinguishes the key from an old symmetric key, from a service's key, and from anything else that
/// may appear in a log.
const PREFIX: &str = "nodkey_operator_";

/// The private key: Ed25519 (RFC 8037). Zeroized when dropped, never printed.
#[derive(Clone, Debug)]
pub struct OperatorKey(NamedKey);

impl OperatorKey {
    /// Generates a new key.
    #[must_use]
    pub fn generate(random: &Random) -> Self {
        Self(NamedKey::generate(random))
    }

    /// Whether a text is meant to be a private key, complete or not. Old symmetric keys are not recognized.
    #[must_use]
    pub fn is_secret(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Reads the output of [`OperatorKey::to_secret`].
    pub fn from_secret(text: &str) -> Result<Self, JoseError> {
        NamedKey::from_d(text.strip_prefix(PREFIX).ok_or(JoseError::Key)?).map(Self)
    }

    /// The key as text: `nodkey_operator_` and `d` of its JWK (RFC 8037 section 2), 59 characters.
    #[must_use]
    pub fn to_secret(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}", *self.0.to_d()))
    }

    /// The key's name: the thumbprint of its public key (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        self.0.kid()
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicJwk {
        self.0.public()
    }

    /// Signs claims as a compact JWS.
    #[must_use]
    pub fn sign(&self, claims: &impl Serialize) -> String {
        self.0.sign(OPERATOR_TYP, claims)
    }
}

/// The public keys. There is more than one while a key and its successor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorKeys(Vec<(String, PublicJwk)>);

impl OperatorKeys {
    /// Reads a key set (RFC 7517 section 5). A private key in it is refused: it must not be where a service could read it.
    pub fn parse(json: &str) -> Result<Self, KeySetError> {
        Ok(Self(key_set::parse(json, |_| Ok(()))?.into_iter().map(|((), kid, key)| (kid, key)).collect()))
    }

    /// Adds a public key, unless it is present already.
    pub fn insert(&mut self, key: PublicJwk) {
        let kid = key.thumbprint();
        if !self.knows(&kid) {
            self.0.push((kid, key));
        }
    }

    /// Whether there is a key with this name.
    #[must_use]
    pub fn knows(&self, kid: &str) -> bool {
        self.0.iter().any(|(known, _)| known == kid)
    }

    /// Whether there are no keys.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Verifies what one of the private keys signed. The caller must check the expiry and the audience.
    pub fn verify<T: DeserializeOwned>(&self, jws: &str) -> Result<T, JoseError> {
        let find = |kid: &str| self.0.iter().find(|(known, _)| known == kid).map(|(_, key)| ((), key));
        key_set::verify(jws, OPERATOR_TYP, find).map(|((), claims)| claims)
    }

    /// The document.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({"keys": self.0.iter().map(|(kid, key)| key_set::to_value(kid, key)).collect::<Vec<_>>()})
    }
}

impl<'a> FromIterator<&'a OperatorKey> for OperatorKeys {
    fn from_iter<I: IntoIterator<Item = &'a OperatorKey>>(keys: I) -> Self {
        let mut all = Self::default();
        for key in keys {
            all.insert(key.public());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::jws;

    fn key(seed: u64) -> OperatorKey {
        OperatorKey::generate(&Random::seeded(seed))
    }

    #[test]
    fn a_private_key_comes_back_from_its_text_is_told_from_others_and_does_not_show() {
        let key = key(1);
        let text = key.to_secret();
        assert_eq!(text.len(), 59);
        assert!(OperatorKey::is_secret(&text));
        assert_eq!(OperatorKey::from_secret(&text).unwrap().kid(), key.kid());
        assert!(!format!("{key:?}").contains(&text[PREFIX.len()..]));
        let bare = &text[PREFIX.len()..];
        for wrong in ["", PREFIX, bare, "nodkey_operator_short", &"0".repeat(64)] {
            assert_eq!(OperatorKey::from_secret(wrong).unwrap_err(), JoseError::Key, "{wrong}");
        }
    }

    #[test]
    fn public_halves_verify_what_their_private_halves_signed_and_nothing_else() {
        let (old, new, stranger) = (key(1), key(2), key(3));
        let keys: OperatorKeys = [&old, &new].into_iter().collect();
        for known in [&old, &new] {
            assert_eq!(keys.verify::<Value>(&known.sign(&json!({"a": 1}))).unwrap(), json!({"a": 1}));
        }
        assert_eq!(keys.verify::<Value>(&stranger.sign(&json!({}))).unwrap_err(), JoseError::Key);
        let named_another = jws::sign(OPERATOR_TYP, Some(old.kid()), None, &json!({}), stranger.0.private());
        assert_eq!(keys.verify::<Value>(&named_another).unwrap_err(), JoseError::Signature);
        let other_type = jws::sign("nodkey-service+jwt", Some(old.kid()), None, &json!({}), old.0.private());
        assert_eq!(keys.verify::<Value>(&other_type).unwrap_err(), JoseError::Type);
    }

    #[test]
    fn a_document_comes_back_and_one_with_a_private_key_is_refused() {
        let (old, new) = (key(1), key(2));
        let keys: OperatorKeys = [&old, &new].into_iter().collect();
        let mut document = keys.to_value();
        assert_eq!(OperatorKeys::parse(&document.to_string()).unwrap(), keys);
        document["keys"][1]["d"] = json!(old.to_secret()[PREFIX.len()..]);
        assert_eq!(OperatorKeys::parse(&document.to_string()).unwrap_err(), KeySetError::Key(1, "is not a public JWK"));
        assert_eq!(OperatorKeys::parse(&old.to_secret()).unwrap_err(), KeySetError::Document);
    }
}
