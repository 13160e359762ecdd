//! Calls of phones as forwarded by the gateway. The gateway has verified each of them. Calls that give a device keys, or let it prove more,
//! are verified here again, so that only the device key can authorize them.

use nodkey_kernel::{
    dpop::{self, Proof, Unproven},
    id::DeviceId,
    json::null_as_default,
    key_statement::PresenceKind,
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Refusal, capability::Capabilities, device::PresenceKeys, document_statement::SentDocumentStatement, key_statement::SentStatement,
};

/// The operation that a phone calls.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'a> {
    /// Registers the calling device.
    Register,
    /// Changes the calling device.
    Update(&'a DeviceId),
    /// Registers a document.
    RegisterDocument,
}

impl Operation<'_> {
    const fn method(self) -> &'static str {
        match self {
            Self::Register | Self::RegisterDocument => "POST",
            Self::Update(_) => "PATCH",
        }
    }

    fn url(self, gateway: &str) -> String {
        match self {
            Self::Register => format!("{gateway}/api/v2/devices"),
            Self::Update(device) => format!("{gateway}/api/v2/devices/{device}"),
            Self::RegisterDocument => format!("{gateway}/api/v2/identity_documents"),
        }
    }
}

/// A call as forwarded by the gateway, not yet verified.
#[derive(Debug, Clone, Copy)]
pub struct SentCall<'a> {
    /// DPoP proof, a JWS.
    pub proof: &'a str,
    /// Exact bytes of the body.
    pub body: &'a [u8],
}

/// A call proven to be made with a device's key.
#[derive(Debug, Clone)]
pub struct ProvenCall {
    proof: Proof,
    said: Said,
}

/// The fields that are read from the body of any operation.
#[derive(Debug, Clone, Deserialize)]
struct Said {
    #[serde(default, deserialize_with = "null_as_default")]
    presence_keys: Vec<SaidKey>,
    key_statement: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    key_signatures: Vec<String>,
    hash: Option<String>,
    capabilities: Option<Capabilities>,
    statement: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct SaidKey {
    kind: PresenceKind,
    jwk: Box<RawValue>,
}

impl SentCall<'_> {
    /// Verifies that a device recently made this call to the gateway at this URL. Replays are detected when the change is written.
    pub fn verify(&self, operation: Operation<'_>, device: &DeviceId, gateway: &str, now: Timestamp) -> Result<ProvenCall, Unproven> {
        let proof = dpop::verify_forwarded(self.proof, operation.method(), &operation.url(gateway), self.body, now)?;
        if proof.device_id != *device {
            return Err(Unproven::Device);
        }
        let said = serde_json::from_slice(self.body).map_err(|_| Unproven::Differs("the body"))?;
        Ok(ProvenCall { proof, said })
    }
}

impl ProvenCall {
    /// The device that made the call.
    #[must_use]
    pub const fn device(&self) -> &DeviceId {
        &self.proof.device_id
    }

    /// Unique among the calls of the device.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.proof.jti
    }

    /// The capabilities that the body reports, if any.
    #[must_use]
    pub const fn capabilities(&self) -> Option<Capabilities> {
        self.said.capabilities
    }

    /// Refuses presence keys or a key statement that the phone did not send.
    pub fn ensure_has(&self, presence: &PresenceKeys, statement: Option<&SentStatement>) -> Result<(), Unproven> {
        let said = PresenceKeys::parse(self.said.presence_keys.iter().map(|key| (Ok(key.kind), key.jwk.get())));
        if said.as_ref() != Ok(presence) {
            return Err(Unproven::Differs("presence_keys"));
        }
        let said = SentStatement::parse(self.said.key_statement.as_deref().unwrap_or_default(), &self.said.key_signatures);
        if said.as_ref().map(Option::as_ref) == Ok(statement) { Ok(()) } else { Err(Unproven::Differs("key_statement")) }
    }

    /// Refuses a document other than the one the phone sent.
    pub fn ensure_has_document(&self, hash: &str) -> Result<(), Unproven> {
        if self.said.hash.as_deref() == Some(hash) { Ok(()) } else { Err(Unproven::Differs("hash")) }
    }

    /// The document statement in the body, if any.
    pub fn document_statement(&self) -> Result<Option<SentDocumentStatement>, Refusal> {
        self.said.statement.as_deref().map(SentDocumentStatement::parse).transpose()
    }
}

impl From<Unproven> for Refusal {
    fn from(unproven: Unproven) -> Self {
        Self::Unproven(unproven)
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::{
        dpop::ProofError,
        jose::{Algorithm, PrivateKey},
        random::Random,
    };
    use serde_json::json;

    use super::*;

    const GATEWAY: &str = "https://auth.example";
    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn key(seed: u64) -> PrivateKey {
        PrivateKey::generate(Algorithm::Es256, &Random::seeded(seed))
    }

    fn id(key: &PrivateKey) -> DeviceId {
        DeviceId::parse(&key.public().thumbprint()).unwrap()
    }

    fn keys(biometric: &PrivateKey) -> PresenceKeys {
        PresenceKeys { biometric: Some(biometric.public()), credential: None }
    }

    fn body(biometric: &PrivateKey) -> String {
        json!({"name": "new", "presence_keys": [{"kind": "biometric", "jwk": biometric.public().to_value()}]}).to_string()
    }

    fn proof(by: &PrivateKey, method: &str, path: &str, body: &str) -> String {
        dpop::create(by, method, &format!("{GATEWAY}{path}"), body.as_bytes(), NOW, &Random::seeded(9))
    }

    #[test]
    fn a_call_is_that_of_its_device_at_its_door_with_its_body_for_a_minute() {
        let (device, thief) = (key(1), key(2));
        let (ada, mallory) = (id(&device), id(&thief));
        let (body, path) = (body(&key(3)), format!("/api/v2/devices/{ada}"));
        let good = proof(&device, "PATCH", &path, &body);
        let verify = |proof: &str, body: &str, operation: Operation<'_>, device: &DeviceId, now| {
            SentCall { proof, body: body.as_bytes() }.verify(operation, device, GATEWAY, now).map(|call| call.device().clone())
        };
        assert_eq!(verify(&good, &body, Operation::Update(&ada), &ada, NOW), Ok(ada.clone()));
        assert_eq!(verify(&good, &body, Operation::Update(&ada), &mallory, NOW), Err(Unproven::Device));
        let proof_of = |error| Err(Unproven::Proof(error));
        assert_eq!(verify(&good, &body, Operation::Update(&mallory), &ada, NOW), proof_of(ProofError::Url));
        assert_eq!(verify(&good, &body, Operation::Register, &ada, NOW), proof_of(ProofError::Method));
        assert_eq!(verify(&good, &format!("{body} "), Operation::Update(&ada), &ada, NOW), proof_of(ProofError::Body));
        let late = Timestamp::from_seconds(NOW.as_seconds() + dpop::MAX_SKEW + dpop::FORWARDING + 1);
        assert_eq!(verify(&good, &body, Operation::Update(&ada), &ada, late), proof_of(ProofError::Skew { iat: NOW, now: late }));
        // A thief's proof only proves the thief's own device.
        let own = proof(&thief, "PATCH", &path, &body);
        assert_eq!(verify(&own, &body, Operation::Update(&ada), &ada, NOW), Err(Unproven::Device));
        assert!(matches!(verify("", &body, Operation::Update(&ada), &ada, NOW), Err(Unproven::Proof(ProofError::Jose(_)))));
        let none = proof(&device, "PATCH", &path, "[]");
        assert_eq!(verify(&none, "[]", Operation::Update(&ada), &ada, NOW), Err(Unproven::Differs("the body")));
    }

    #[test]
    fn what_the_phone_did_not_send_is_refused() {
        let (device, biometric, other) = (key(1), key(3), key(4));
        let verify = |body: &str| {
            let proof = proof(&device, "POST", "/api/v2/devices", body);
            SentCall { proof: &proof, body: body.as_bytes() }.verify(Operation::Register, &id(&device), GATEWAY, NOW).unwrap()
        };
        let call = verify(&body(&biometric));
        assert_eq!(call.ensure_has(&keys(&biometric), None), Ok(()));
        for more in [keys(&other), PresenceKeys::default(), PresenceKeys { credential: Some(other.public()), ..keys(&biometric) }] {
            assert_eq!(call.ensure_has(&more, None), Err(Unproven::Differs("presence_keys")));
        }
        let sent = SentStatement::parse("a.b.c", &["d.e.f".to_owned()]).unwrap();
        assert_eq!(call.ensure_has(&keys(&biometric), sent.as_ref()), Err(Unproven::Differs("key_statement")));
        let call = verify(&json!({"key_statement": "a.b.c", "key_signatures": ["d.e.f"]}).to_string());
        assert_eq!(call.ensure_has(&PresenceKeys::default(), sent.as_ref()), Ok(()));
        let stripped = SentStatement::parse("a.b.c", &[]).unwrap();
        for statement in [None, stripped.as_ref()] {
            assert_eq!(call.ensure_has(&PresenceKeys::default(), statement), Err(Unproven::Differs("key_statement")));
        }
        assert_eq!(call.ensure_has_document("h"), Err(Unproven::Differs("hash")));
        let said = |body: &str| verify(body).capabilities();
        let able = Some(Capabilities { match6: true });
        for (body, capabilities) in
            [("{}", None), (r#"{"capabilities":[]}"#, Some(Capabilities::default())), (r#"{"capabilities":["match6"]}"#, able)]
        {
            assert_eq!(said(body), capabilities, "{body}");
        }
        let call = verify(r#"{"type": "AAMVA_DRIVERS_LICENSE", "hash": "h"}"#);
        assert_eq!((call.ensure_has_document("h"), call.ensure_has_document("i")), (Ok(()), Err(Unproven::Differs("hash"))));
        assert_eq!(call.document_statement(), Ok(None));
        let call = verify(r#"{"hash": "h", "statement": "a.b.c"}"#);
        assert_eq!(call.document_statement(), SentDocumentStatement::parse("a.b.c").map(Some));
    }
}
