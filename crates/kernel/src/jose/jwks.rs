//! Sets of public keys.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::PublicJwk;

/// A JSON Web Key Set (RFC 7517 section 5) of signing keys. Keys of other kinds in a document are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Document", into = "Document")]
pub struct Jwks {
    /// The keys, in the order of the document.
    pub keys: Vec<PublishedKey>,
}

/// A public key with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedKey {
    /// What the `kid` of a header names.
    pub kid: String,
    /// The key.
    pub key: PublicJwk,
}

#[derive(Serialize, Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl Jwks {
    /// The key of that name.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&PublicJwk> {
        self.keys.iter().find(|k| k.kid == kid).map(|k| &k.key)
    }
}

impl From<Document> for Jwks {
    fn from(document: Document) -> Self {
        let published = |value: &Value| {
            let kid = value.get("kid")?.as_str()?.to_owned();
            Some(PublishedKey { kid, key: PublicJwk::from_value(value).ok()? })
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
            jwk
        };
        Self { keys: jwks.keys.into_iter().map(document).collect() }
    }
}
