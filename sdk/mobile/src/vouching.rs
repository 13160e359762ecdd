//! What a phone signs about its own keys, so that nobody else can say which are its presence keys.

use nodkey_kernel::{
    jose::{PublicJwk, jws},
    key_statement::{KEYS_TYP, KeyStatementClaims, StatedKey},
};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, KeyStore, UserPresence,
    transport::{Transport, json as read_json},
};

/// What the person is told before a presence key signs that it is one.
const REASON: &str = "Register this phone";

/// A key statement and the signatures of presence keys over it, as members of a registration. Empty at a gateway of before.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Vouching {
    #[serde(skip_serializing_if = "Option::is_none")]
    key_statement: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    key_signatures: Vec<String>,
}

/// What a phone signs a statement with.
#[derive(Deserialize)]
pub(crate) struct Challenge {
    pub(crate) nonce: String,
    seq: u64,
}

/// Asks the gateway for a nonce for the device key.
pub(crate) async fn challenge(transport: &Transport, keys: &impl KeyStore) -> Result<Challenge, Error> {
    read_json(transport.send(keys, Method::POST, "/api/v2/device_challenges", None, &[], None).await?).await
}

impl Vouching {
    /// Asks the gateway for a nonce and signs which presence keys there are: by the device key, and by each of them, for which the person
    /// is asked.
    pub(crate) async fn make(transport: &Transport, keys: &impl KeyStore, presence: &impl UserPresence) -> Result<Self, Error> {
        let challenge = match challenge(transport, keys).await {
            Ok(challenge) => challenge,
            // A gateway that knows no key statements.
            Err(Error::Refused { status: 404, .. }) => return Ok(Self::default()),
            Err(e) => return Err(e),
        };
        let (device, presence_keys) = (keys.device_key(), keys.presence_keys());
        let claims = KeyStatementClaims {
            iss: device.thumbprint(),
            aud: transport.base().to_owned(),
            seq: challenge.seq,
            keys: presence_keys.iter().map(|(kind, key)| StatedKey { kind: *kind, jkt: key.thumbprint() }).collect(),
            nonce: challenge.nonce,
            iat: transport.now().as_seconds(),
        };
        let key_statement = sign(&claims, &device, |input| keys.sign(input))?;
        let mut key_signatures = Vec::new();
        for (kind, key) in presence_keys {
            presence.confirm(kind, REASON).await?;
            key_signatures.push(sign(&claims, &key, |input| keys.sign_with_presence(kind, input))?);
        }
        Ok(Self { key_statement: Some(key_statement), key_signatures })
    }

    /// Adds the members to a registration.
    pub(crate) fn add_to(&self, registration: &mut Value) {
        if let (Value::Object(registration), Ok(Value::Object(members))) = (registration, serde_json::to_value(self)) {
            registration.extend(members);
        }
    }
}

fn sign(claims: &KeyStatementClaims, key: &PublicJwk, signer: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>) -> Result<String, Error> {
    jws::sign_with(KEYS_TYP, key.algorithm(), Some(&key.thumbprint()), None, claims, signer).map_err(Error::KeyStore)
}
