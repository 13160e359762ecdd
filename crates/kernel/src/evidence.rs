//! Evidence: shows, to anyone who has the deployment's public keys, the challenge, the response and the outcome.

mod expected;

use serde::{Deserialize, Serialize};

pub use self::expected::{Expectation, Expected};
use crate::{
    challenge::{
        ChallengeClaims, ChallengeError, Decision, RESPONSE_TYP, RejectReason, ResponseClaims, challenge_hash, proven_level,
        verify_challenge_signature,
    },
    jose::{JoseError, Jwks, PublicJwk, b64u, jws, sha256},
    key_statement::{KeyStatementClaims, StatedKey, verify_key_signature, verify_key_statement},
    receipt::{KeyKind, ReceiptClaims, ReceiptReason, verify_receipt},
};

/// The evidence that a deployment provides about an answered trusonafication. Do not rely on anything in it before [`verify_evidence`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Compact JWS signed by the deployment.
    pub challenge: String,
    /// Compact JWS signed by the phone.
    pub response: String,
    /// Compact JWS signed by the deployment. Deployments from before receipts made none, and prove nothing to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// The device key, followed by the presence key that answered, if one did.
    pub keys: Vec<PublicJwk>,
    /// Compact JWS signed by the device key, if the device made a statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_statement: Option<String>,
    /// Compact JWS signed by presence keys over the claims of the key statement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_signatures: Vec<String>,
}

/// Genuine evidence: `receipt` states the outcome, signed by the deployment, and everything else here is signed as well.
///
/// The receipt's decision is the one that counts. `response` is what the person signed, which is an accept even where the number was wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifiedEvidence {
    /// The outcome, signed by the deployment.
    pub receipt: ReceiptClaims,
    /// The challenge, signed by the deployment.
    pub challenge: ChallengeClaims,
    /// The response, signed by the key that `receipt.key` names.
    pub response: ResponseClaims,
    /// Who certifies that this key is the device's.
    pub certification: Certification,
}

impl VerifiedEvidence {
    /// Whether it was accepted at the desired level or higher.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.receipt.status.is_success()
    }
}

/// Who certifies that the key that answered is the device's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Certification {
    /// No certification is needed: it is the device key, whose thumbprint is the device identifier.
    DeviceKey,
    /// The device key, by its statement. The deployment cannot have replaced the key with another.
    KeyStatement {
        /// Sequence number of the statement.
        seq: u64,
        /// When the statement was made, by the phone's clock, in seconds.
        iat: i64,
        /// Whether the key that answered signed the statement itself.
        co_signed: bool,
    },
    /// Only the deployment.
    Deployment,
}

impl Certification {
    /// Whether the device itself certifies the key.
    #[must_use]
    pub const fn is_by_device(self) -> bool {
        !matches!(self, Self::Deployment)
    }
}

/// What evidence contains whose signatures are valid, but that does not prove who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// There is no receipt.
    NoReceipt(Box<Unreceipted>),
    /// The device does not certify the key that answered: [`Certification::Deployment`]. A verifier that trusts the deployment for this
    /// calls [`Expected::allow_uncertified`].
    Uncertified(Box<VerifiedEvidence>),
}

/// What evidence without a receipt contains. It shows neither that the response was accepted by the deployment nor that the key belongs to
/// the device, since anyone who has a challenge can answer it with a key of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreceipted {
    /// The challenge, signed by the deployment.
    pub challenge: ChallengeClaims,
    /// The response of an unknown signer.
    pub response: ResponseClaims,
    /// Thumbprint of the key that answered.
    pub signing_key: String,
}

impl Unproven {
    /// Why nothing is proven, named as in `nodkey verify` and the vectors.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoReceipt(_) => "no_receipt",
            Self::Uncertified(_) => "uncertified",
        }
    }
}

/// Genuine evidence of something other than expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unexpected {
    /// The expectations that are not met, at least one.
    pub differs: Vec<Expectation>,
    /// What the evidence proves.
    pub evidence: VerifiedEvidence,
}

/// Why evidence does not show what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// A signature is invalid, or the parts do not belong together.
    #[error("the evidence is not genuine")]
    NotGenuine(#[source] Fault),
    /// The signatures are valid, but do not show who answered.
    #[error("the evidence is not proven: {}", .0.reason())]
    NotProven(Unproven),
    /// It is genuine, but shows something else.
    #[error("the evidence is genuine, but not what was expected: {} differs", expected::names(&.0.differs))]
    Unexpected(Box<Unexpected>),
}

/// What is not genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The challenge is invalid.
    #[error("the challenge is not valid")]
    Challenge(#[source] ChallengeError),
    /// The response is not signed by any of the keys.
    #[error("the response is not signed by any of the keys")]
    Response(#[source] JoseError),
    /// The first key does not belong to the device.
    #[error("the device identifier is not the thumbprint of the device key")]
    Device,
    /// The receipt is invalid. `JoseError::Key`: the JWKS has no such key for receipts, which may happen with an outdated copy.
    #[error("the receipt is not valid")]
    Receipt(#[source] JoseError),
    /// The key statement is invalid.
    #[error("the key statement is not valid")]
    KeyStatement(#[source] JoseError),
    /// The signature over the key statement by the key that answered is invalid.
    #[error("the signature over the key statement is not valid")]
    KeySignature(#[source] JoseError),
    /// Two parts contradict one another.
    #[error("{0} does not belong to the other parts")]
    Mismatch(&'static str),
}

impl Fault {
    /// The name of the invalid part: a member of evidence, `device` for its first key, or a claim such as `receipt.resp`.
    #[must_use]
    pub const fn part(self) -> &'static str {
        match self {
            Self::Challenge(_) => "challenge",
            Self::Response(_) => "response",
            Self::Device => "device",
            Self::Receipt(_) => "receipt",
            Self::KeyStatement(_) => "key_statement",
            Self::KeySignature(_) => "key_signatures",
            Self::Mismatch(claim) => claim,
        }
    }
}

/// Verifies evidence offline.
///
/// `jwks` must be the deployment's keys as the verifier knows them, never keys that come with the evidence. On success the evidence is
/// genuine, has a receipt, was answered with a key that the device itself certifies, and is what was expected: with [`Expected::default`],
/// an accept at the desired level or higher.
pub fn verify_evidence(evidence: &Evidence, jwks: &Jwks, expected: &Expected) -> Result<VerifiedEvidence, EvidenceError> {
    let answer = Answer::verify(evidence, jwks).map_err(EvidenceError::NotGenuine)?;
    let Some(receipt) = &evidence.receipt else {
        let Answer { challenge, response, signer, .. } = answer;
        let unproven = Unproven::NoReceipt(Box::new(Unreceipted { challenge, response, signing_key: signer.thumbprint() }));
        return Err(EvidenceError::NotProven(unproven));
    };
    let genuine = answer.with_receipt(evidence, receipt, jwks).map_err(EvidenceError::NotGenuine)?;
    if !(genuine.certification.is_by_device() || expected.allows_uncertified()) {
        return Err(EvidenceError::NotProven(Unproven::Uncertified(Box::new(genuine))));
    }
    let differs = expected.compare(&genuine);
    if differs.is_empty() { Ok(genuine) } else { Err(EvidenceError::Unexpected(Box::new(Unexpected { differs, evidence: genuine }))) }
}

/// A challenge and the response to it.
struct Answer<'a> {
    challenge: ChallengeClaims,
    response: ResponseClaims,
    device: &'a PublicJwk,
    signer: &'a PublicJwk,
}

impl<'a> Answer<'a> {
    fn verify(evidence: &'a Evidence, jwks: &Jwks) -> Result<Self, Fault> {
        let challenge = verify_challenge_signature(&evidence.challenge, jwks).map_err(Fault::Challenge)?;
        let compact = jws::Compact::parse(&evidence.response).map_err(Fault::Response)?;
        let device = evidence.keys.first().ok_or(Fault::Device)?;
        let kid = compact.header().kid.as_deref();
        let signer = evidence.keys.iter().find(|key| Some(key.thumbprint().as_str()) == kid).ok_or(Fault::Response(JoseError::Key))?;
        let response: ResponseClaims = compact.verify(signer, RESPONSE_TYP).map_err(Fault::Response)?;
        if response.iss != device.thumbprint() {
            return Err(Fault::Device);
        }
        all([
            ("response.chal", response.chal == challenge_hash(&evidence.challenge)),
            ("response.sub", response.sub == challenge.jti),
            ("response.aud", response.aud.includes(&challenge.iss)),
        ])?;
        Ok(Self { challenge, response, device, signer })
    }

    fn with_receipt(self, evidence: &Evidence, receipt: &str, jwks: &Jwks) -> Result<VerifiedEvidence, Fault> {
        let receipt = verify_receipt(receipt, jwks).map_err(Fault::Receipt)?;
        let Self { challenge, response, device, signer } = self;
        let (presence, document) = (signer != device, response.doc.is_some());
        // Without a key there was no response, and `resp` differs.
        let key = receipt.key.as_ref().ok_or(Fault::Mismatch("receipt.resp"))?;
        all([
            ("receipt.iss", receipt.iss == challenge.iss),
            ("receipt.sub", receipt.sub == challenge.jti),
            ("receipt.rp", receipt.rp == challenge.rp.id),
            ("receipt.chal", receipt.chal == response.chal),
            ("receipt.resp", receipt.resp == Some(b64u(&sha256(evidence.response.as_bytes())))),
            ("receipt.dev", receipt.dev.as_ref() == Some(&response.iss)),
            ("receipt.key", key.jkt == signer.thumbprint() && (key.kind != KeyKind::Device) == presence),
            ("receipt.dec", counts_as(&response, &receipt)),
            ("receipt.level", receipt.level.is_none_or(|level| level <= proven_level(presence, document))),
        ])?;
        let statement = evidence.key_statement.as_ref().map(|statement| verify_key_statement(statement, device, &challenge.iss));
        let statement = statement.transpose().map_err(Fault::KeyStatement)?;
        let certification = certification(statement.as_ref(), &evidence.key_signatures, key.kind, signer)?;
        Ok(VerifiedEvidence { receipt, challenge, response, certification })
    }
}

/// Whether the receipt repeats the response's decision, or records that an accept came with a wrong number.
fn counts_as(response: &ResponseClaims, receipt: &ReceiptClaims) -> bool {
    let why = response.why.filter(|_| response.dec == Decision::Reject).map(|why| match why {
        RejectReason::NotMe => ReceiptReason::NotMe,
        RejectReason::ChangedMind => ReceiptReason::ChangedMind,
    });
    let wrong_number = response.dec == Decision::Accept && receipt.dec == Some(Decision::Reject);
    if wrong_number { receipt.why == Some(ReceiptReason::NumberMismatch) } else { (receipt.dec, receipt.why) == (Some(response.dec), why) }
}

fn certification(
    statement: Option<&KeyStatementClaims>,
    signatures: &[String],
    kind: KeyKind,
    signer: &PublicJwk,
) -> Result<Certification, Fault> {
    if kind == KeyKind::Device {
        return Ok(Certification::DeviceKey);
    }
    let jkt = signer.thumbprint();
    let names = |key: &StatedKey| key.jkt == jkt && KeyKind::from(key.kind) == kind;
    let Some(statement) = statement.filter(|statement| statement.keys.iter().any(names)) else { return Ok(Certification::Deployment) };
    let mut co_signed = false;
    for signature in signatures {
        let by = jws::Compact::parse(signature).map_err(Fault::KeySignature)?;
        if by.header().kid.as_ref() == Some(&jkt) {
            verify_key_signature(signature, statement, signer).map_err(Fault::KeySignature)?;
            co_signed = true;
        }
    }
    Ok(Certification::KeyStatement { seq: statement.seq, iat: statement.iat, co_signed })
}

fn all<const N: usize>(parts: [(&'static str, bool); N]) -> Result<(), Fault> {
    parts.into_iter().find(|(_, same)| !same).map_or(Ok(()), |(name, _)| Err(Fault::Mismatch(name)))
}
