//! What the server asks, what the phone answers, and how both are checked.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    jose::{JoseError, Jwks, b64u, jws, sha256},
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
    /// Signed by a key that the JWKS does not hold, or not for challenges.
    #[error("the challenge is signed by a key that the JWKS does not hold for challenges")]
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
    let claims = verify_challenge_signature(challenge, jwks)?;
    if claims.iss != issuer {
        return Err(ChallengeError::Issuer);
    }
    if claims.exp <= now.as_seconds() {
        return Err(ChallengeError::Expired);
    }
    Ok(claims)
}

/// Verifies that the deployment signed it, whenever that was.
pub(crate) fn verify_challenge_signature(challenge: &str, jwks: &Jwks) -> Result<ChallengeClaims, ChallengeError> {
    let compact = jws::Compact::parse(challenge).map_err(ChallengeError::Jose)?;
    let key = compact.header().kid.as_deref().and_then(|kid| jwks.find_for(kid, CHALLENGE_TYP)).ok_or(ChallengeError::UnknownKey)?;
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
