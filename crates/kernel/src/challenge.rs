//! What the server asks, what the phone answers, and how both are checked.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    jose::{JoseError, Jwks, PublicJwk, b64u, jws, sha256},
    level::Level,
    named,
    time::Timestamp,
};

/// The `typ` of a challenge.
pub const CHALLENGE_TYP: &str = "nodkey-challenge+jwt";
/// The `typ` of a response.
pub const RESPONSE_TYP: &str = "nodkey-response+jwt";

/// The challenge: what the phone shows, from these bytes and from nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeClaims {
    /// The gateway's public URL.
    pub iss: String,
    /// Trusonafication id.
    pub jti: String,
    /// Seconds.
    pub iat: i64,
    /// Seconds.
    pub exp: i64,
    /// Who asks.
    pub rp: RelyingPartyClaim,
    /// Action, as to be shown.
    pub act: String,
    /// Resource, as to be shown.
    pub res: String,
    /// Desired level, 1 to 3.
    pub lvl: i32,
    /// Must show and ask.
    pub prompt: bool,
    /// Must prove presence.
    pub presence: bool,
    /// Must prove the identity document.
    pub document: bool,
    /// Custom fields, as the backend gave them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Map<String, Value>>,
    /// Number matching.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub number_match: Option<MatchClaim>,
    /// Random.
    pub nonce: String,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelyingPartyClaim {
    /// UUID.
    pub id: String,
    /// Display name.
    pub name: String,
}

/// How the number is matched. The right one is never here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum MatchClaim {
    /// The person picks one of these.
    Choose {
        /// Two digits each.
        choices: Vec<String>,
    },
    /// The person types two digits.
    Enter,
}

named! {
    /// What the person decided.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Decision {
        /// Yes.
        Accept = "accept",
        /// No.
        Reject = "reject",
    }
}

/// Why a person rejects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// They did not start this.
    NotMe,
    /// They did, and no longer want it.
    ChangedMind,
}

/// The response: what was seen is what is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseClaims {
    /// Device identifier.
    pub iss: String,
    /// `iss` of the challenge.
    pub aud: String,
    /// Trusonafication id.
    pub sub: String,
    /// [`challenge_hash`].
    pub chal: String,
    /// The decision.
    pub dec: Decision,
    /// For a reject, optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<RejectReason>,
    /// The number chosen or entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num: Option<String>,
    /// Document hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
    /// Seconds.
    pub iat: i64,
    /// Random.
    pub jti: String,
}

/// Why a challenge is not to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// Not signed by the deployment.
    #[error("the challenge is not signed by a key of the deployment")]
    Jose(#[source] JoseError),
    /// Signed by a key the JWKS does not hold.
    #[error("the challenge is signed by an unknown key")]
    UnknownKey,
    /// For another gateway.
    #[error("the challenge is by another gateway")]
    Issuer,
    /// Over.
    #[error("the challenge is over")]
    Expired,
}

/// base64url of the SHA-256 of the challenge's own characters.
#[must_use]
pub fn challenge_hash(challenge: &str) -> String {
    b64u(&sha256(challenge.as_bytes()))
}

/// Verifies a challenge as a phone does before it shows anything.
pub fn verify_challenge(challenge: &str, jwks: &Jwks, issuer: &str, now: Timestamp) -> Result<ChallengeClaims, ChallengeError> {
    let claims = verify_signature(challenge, jwks)?;
    if claims.iss != issuer {
        return Err(ChallengeError::Issuer);
    }
    if claims.exp <= now.as_seconds() {
        return Err(ChallengeError::Expired);
    }
    Ok(claims)
}

fn verify_signature(challenge: &str, jwks: &Jwks) -> Result<ChallengeClaims, ChallengeError> {
    let compact = jws::Compact::parse(challenge).map_err(ChallengeError::Jose)?;
    let key = compact.header().kid.as_deref().and_then(|kid| jwks.find(kid)).ok_or(ChallengeError::UnknownKey)?;
    compact.verify(key, CHALLENGE_TYP).map_err(ChallengeError::Jose)
}

/// What was proven, computed and never claimed: device key 1, presence key 2, presence key and document 3.
#[must_use]
pub const fn proven_level(presence: bool, document: bool) -> Level {
    match (presence, document) {
        (true, true) => Level::Executive,
        (true, false) => Level::Essential,
        (false, _) => Level::Possession,
    }
}

/// The proof that a deployment asked exactly this and a key answered exactly that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Compact JWS by the deployment.
    pub challenge: String,
    /// Compact JWS by the phone.
    pub response: String,
    /// The device key first, then the presence key that signed, if one did.
    pub keys: Vec<PublicJwk>,
}

/// Evidence that holds: the deployment asked `challenge`, and the owner of `signing_key` answered `response`.
///
/// Nothing in evidence ties a presence key to its device: that tie is the word of whoever handed over [`Evidence::keys`]. Where
/// that is not the deployment itself, compare `signing_key` with a thumbprint known from elsewhere, or count on nothing when
/// `presence` is true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifiedEvidence {
    /// What was asked.
    pub challenge: ChallengeClaims,
    /// What was answered.
    pub response: ResponseClaims,
    /// Thumbprint of the key that answered.
    pub signing_key: String,
    /// Whether it was a key other than the device key, hence, by the word of the giver, one of its presence keys.
    pub presence: bool,
}

/// Why evidence does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The challenge does not hold.
    #[error("the challenge does not hold")]
    Challenge(#[source] ChallengeError),
    /// The response is not signed by any of the keys.
    #[error("the response is not signed by any of the keys")]
    Response(#[source] JoseError),
    /// The response answers something else.
    #[error("the response does not answer this challenge: {0} differs")]
    Mismatch(&'static str),
    /// The first key is not the device's.
    #[error("the device identifier is not the thumbprint of the device key")]
    Device,
}

/// Checks evidence offline: nothing but the deployment's JWKS is needed.
pub fn verify_evidence(evidence: &Evidence, jwks: &Jwks) -> Result<VerifiedEvidence, EvidenceError> {
    let challenge = verify_signature(&evidence.challenge, jwks).map_err(EvidenceError::Challenge)?;
    let compact = jws::Compact::parse(&evidence.response).map_err(EvidenceError::Response)?;
    let device = evidence.keys.first().ok_or(EvidenceError::Device)?;
    let kid = compact.header().kid.as_deref();
    let signer = evidence.keys.iter().find(|key| Some(key.thumbprint().as_str()) == kid).ok_or(EvidenceError::Response(JoseError::Key))?;
    let response: ResponseClaims = compact.verify(signer, RESPONSE_TYP).map_err(EvidenceError::Response)?;
    if response.iss != device.thumbprint() {
        return Err(EvidenceError::Device);
    }
    for (name, same) in [
        ("chal", response.chal == challenge_hash(&evidence.challenge)),
        ("sub", response.sub == challenge.jti),
        ("aud", response.aud == challenge.iss),
    ] {
        if !same {
            return Err(EvidenceError::Mismatch(name));
        }
    }
    Ok(VerifiedEvidence { challenge, response, signing_key: signer.thumbprint(), presence: signer != device })
}
