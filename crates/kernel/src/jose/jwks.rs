//! Sets of public keys.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::PublicJwk;
use crate::{challenge::CHALLENGE_TYP, device::DEVICE_TYP, result::RESULT_TYP, trucode::TRUCODE_TYP};

/// Types that a key without a list of types may sign: those that were signed before keys had such lists. Never a receipt.
const TYPS_BEFORE: [&str; 4] = [CHALLENGE_TYP, RESULT_TYP, DEVICE_TYP, TRUCODE_TYP];

/// A JSON Web Key Set (RFC 7517 section 5) of signing keys. Keys of other kinds in a document are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Document", into = "Document")]
pub struct Jwks {
    /// The keys, in the order of the document.
    pub keys: Vec<PublishedKey>,
}

/// A public key with its identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedKey {
    /// The identifier that the `kid` of a header refers to.
    pub kid: String,
    /// The key.
    pub key: PublicJwk,
    /// The `typ`s that it signs; verifiers refuse any other from this key. `None` in a set published before keys had such lists.
    pub typs: Option<Vec<String>>,
}

impl PublishedKey {
    /// Whether the key may sign a JWS of that `typ`.
    #[must_use]
    pub fn signs(&self, typ: &str) -> bool {
        match &self.typs {
            Some(typs) => typs.iter().any(|named| named == typ),
            None => TYPS_BEFORE.contains(&typ),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl Jwks {
    /// The key with that `kid`, if it may sign a JWS of that `typ`.
    #[must_use]
    pub fn find_for(&self, kid: &str, typ: &str) -> Option<&PublicJwk> {
        self.keys.iter().find(|published| published.kid == kid && published.signs(typ)).map(|published| &published.key)
    }
}

impl From<Document> for Jwks {
    fn from(document: Document) -> Self {
        let published = |value: &Value| {
            let kid = value.get("kid")?.as_str()?.to_owned();
            // Marked as in an archive (OpenID Federation 1.0 section 8.7): a thief of the key can sign anything and backdate it.
            if value.get("revoked").is_some() {
                return None;
            }
            // A key whose list of types cannot be read signs nothing. It must not be treated as a key without a list.
            let typs = value.get("typs").map(Vec::<String>::deserialize).transpose().ok()?;
            Some(PublishedKey { kid, key: PublicJwk::from_value(value).ok()?, typs })
        };
        Self { keys: document.keys.iter().filter_map(published).collect() }
    }
}

impl From<Jwks> for Document {
    fn from(jwks: Jwks) -> Self {
        let document = |published: PublishedKey| {
            let mut jwk = published.key.to_value();
            jwk["kid"] = json!(published.kid);
            jwk["alg"] = json!(published.key.algorithm().as_str());
            jwk["use"] = json!("sig");
            if let Some(typs) = published.typs {
                jwk["typs"] = json!(typs);
            }
            jwk
        };
        Self { keys: jwks.keys.into_iter().map(document).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        jose::{Algorithm, PrivateKey},
        random::Random,
        receipt::RECEIPT_TYP,
    };

    #[test]
    fn a_key_signs_the_types_it_names_and_one_that_names_none_signs_what_was_signed_before() {
        let key = PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(1)).public();
        let jwk = key.to_value();
        let set = |typs: Option<Value>| -> Jwks {
            let mut jwk = jwk.clone();
            jwk["kid"] = json!("k");
            if let Some(typs) = typs {
                jwk["typs"] = typs;
            }
            serde_json::from_value(json!({ "keys": [jwk] })).unwrap()
        };
        let before = set(None);
        for typ in [CHALLENGE_TYP, RESULT_TYP, DEVICE_TYP, TRUCODE_TYP] {
            assert_eq!(before.find_for("k", typ), Some(&key), "{typ}");
        }
        assert_eq!(before.find_for("k", RECEIPT_TYP), None);
        assert_eq!(before.find_for("other", CHALLENGE_TYP), None);
        let named = set(Some(json!([RECEIPT_TYP])));
        assert_eq!(named.find_for("k", RECEIPT_TYP), Some(&key));
        assert_eq!(named.find_for("k", CHALLENGE_TYP), None);
        assert_eq!(set(Some(json!([]))).find_for("k", CHALLENGE_TYP), None);
        for unreadable in [json!(null), json!(RECEIPT_TYP), json!([1])] {
            assert_eq!(set(Some(unreadable)).keys, []);
        }
        let mut revoked = serde_json::to_value(set(None)).unwrap();
        revoked["keys"][0]["revoked"] = json!({"revoked_at": 1});
        assert_eq!(serde_json::from_value::<Jwks>(revoked).unwrap().keys, []);
        for whole in [before, named] {
            assert_eq!(serde_json::from_value::<Jwks>(serde_json::to_value(&whole).unwrap()).unwrap(), whole);
        }
    }
}
