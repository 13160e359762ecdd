//! Statements that a phone signs about its own keys and documents, so that nobody else can claim which presence keys or documents are its
//! own.

use nodkey_kernel::{
    document_statement::{DOCUMENT_TYP, DocumentStatementClaims},
    key_statement::{KEYS_TYP, KeyStatementClaims},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, PresenceKey,
    signer::{Signer, Statement},
    transport::{Call, Transport, json as read_json},
};

/// The text of the prompt before a presence key signs the key statement.
const REASON: &str = "Register this phone";
/// The text of the prompt before a presence key signs which document was scanned.
const DOCUMENT_REASON: &str = "Register this document";

/// A key statement and the presence keys' signatures over it, as members of a registration. Empty with an older gateway.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Vouching {
    #[serde(skip_serializing_if = "Option::is_none")]
    key_statement: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    key_signatures: Vec<String>,
}

/// What a phone needs to sign a statement.
#[derive(Deserialize)]
pub(crate) struct Challenge {
    pub(crate) nonce: String,
    seq: u64,
}

/// Requests a nonce for the device key from the gateway.
pub(crate) async fn challenge(transport: &Transport, signer: &Signer) -> Result<Challenge, Error> {
    read_json(transport.send(signer, &Call::post("/api/v2/device_challenges")).await?).await
}

impl Vouching {
    /// Requests a nonce from the gateway and signs the list of presence keys: with the device key, with each of them, and with the keys in
    /// `former` that they replace. The person is prompted for each except the device key.
    pub(crate) async fn make(
        transport: &Transport,
        signer: &Signer,
        presence_keys: &[PresenceKey],
        former: &[PresenceKey],
    ) -> Result<Self, Error> {
        let challenge = match challenge(transport, signer).await {
            Ok(challenge) => challenge,
            // A gateway without support for key statements.
            Err(e) if e.status() == Some(404) => return Ok(Self::default()),
            Err(e) => return Err(e),
        };
        let claims = KeyStatementClaims {
            iss: signer.device().thumbprint(),
            aud: transport.base().into(),
            seq: challenge.seq,
            keys: presence_keys.iter().map(PresenceKey::stated).collect(),
            nonce: challenge.nonce,
            iat: transport.now().as_seconds(),
        };
        let key_statement = signer.by_device(KEYS_TYP, &claims).await?;
        let statement = Statement { typ: KEYS_TYP, claims: &claims, reason: REASON };
        let mut key_signatures = Vec::new();
        for key in presence_keys.iter().chain(former) {
            key_signatures.push(signer.by_presence(key, &statement).await?);
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

/// Signs with a presence key which document its user scanned, for which the person is prompted.
pub(crate) async fn document_statement(
    transport: &Transport,
    signer: &Signer,
    candidates: Vec<PresenceKey>,
    hash: &str,
) -> Result<String, Error> {
    // A gateway that reports which keys count supports nonces.
    let challenge = challenge(transport, signer).await?;
    let claims = DocumentStatementClaims {
        iss: signer.device().thumbprint(),
        aud: transport.base().into(),
        hash: hash.to_owned(),
        nonce: challenge.nonce,
        iat: transport.now().as_seconds(),
    };
    signer.by_any_presence(candidates, Statement { typ: DOCUMENT_TYP, claims: &claims, reason: DOCUMENT_REASON }).await
}
