//! The server's challenge, the phone's response, and the verification of both.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    custom_fields::CustomFields,
    jose::{Audience, JoseError, Jwks, b64u, jws, numeric_date, sha256},
    json::null_as_default,
    level::Level,
    named,
    time::Timestamp,
    visible,
};

/// The `typ` of a challenge.
pub const CHALLENGE_TYP: &str = "nodkey-challenge+jwt";
/// The `typ` of a response.
pub const RESPONSE_TYP: &str = "nodkey-response+jwt";

/// The challenge. The phone shows what is in these bytes, and nothing from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeClaims {
    /// The gateway's public URL.
    pub iss: String,
    /// Trusonafication id.
    pub jti: String,
    /// When it was issued, in seconds.
    #[serde(deserialize_with = "numeric_date")]
    pub iat: i64,
    /// When it expires, in seconds.
    #[serde(deserialize_with = "numeric_date")]
    pub exp: i64,
    /// The relying party that requests it.
    pub rp: RelyingPartyClaim,
    /// Action, exactly as shown.
    pub act: String,
    /// Resource, exactly as shown.
    pub res: String,
    /// Desired level, 1 to 3.
    pub lvl: i32,
    /// Whether the phone must show it and prompt the user.
    pub prompt: bool,
    /// Whether presence must be proven.
    pub presence: bool,
    /// Whether the identity document must be proven.
    pub document: bool,
    /// Custom fields, character by character as the backend sent them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<CustomFields>,
    /// Number matching.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub number_match: Option<MatchClaim>,
    /// Who requested this from the backend, as far as the backend says.
    #[serde(default, rename = "from", skip_serializing_if = "Option::is_none")]
    pub request_context: Option<RequestContext>,
    /// Random value.
    pub nonce: String,
}

/// The relying party in a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelyingPartyClaim {
    /// UUID.
    pub id: String,
    /// Display name.
    pub name: String,
}

/// How the number is matched. The correct number is never included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum MatchClaim {
    /// The person picks one of these.
    Choose {
        /// Two digits each.
        choices: Vec<String>,
    },
    /// The person types the number.
    Enter {
        /// How many digits it has: 2, which is omitted, or 6 where every target device can take as many.
        #[serde(default = "two", deserialize_with = "or_two", skip_serializing_if = "is_two")]
        digits: u8,
    },
}

const fn two() -> u8 {
    2
}

fn or_two<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    Option::deserialize(deserializer).map(|digits| digits.unwrap_or(two()))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_two(digits: &u8) -> bool {
    *digits == 2
}

/// Where the request comes from that the person is to confirm, as the backend saw it. Only the backend vouches for it. Empty if the backend
/// did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestContext {
    /// IP address.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Name of the browser, or its own user agent string.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub browser: String,
    /// Approximate location of the address.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub place: String,
}

impl RequestContext {
    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts().next().is_none()
    }

    /// The text shown to people: `Firefox on Linux, Berlin, 203.0.113.7`.
    #[must_use]
    pub fn describe(&self) -> String {
        self.parts().map(visible::escape).collect::<Vec<_>>().join(", ")
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        [&self.browser, &self.place, &self.address].into_iter().map(String::as_str).filter(|part| !part.is_empty())
    }
}

named! {
    /// The person's decision.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Decision {
        /// Yes.
        Accept = "accept",
        /// No.
        Reject = "reject",
    }
}

/// Why the person rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// The person did not start this.
    NotMe,
    /// The person did, and no longer wants it.
    ChangedMind,
}

/// The response: the person signs exactly what was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseClaims {
    /// Device identifier.
    pub iss: String,
    /// `iss` of the challenge.
    pub aud: Audience,
    /// Trusonafication id.
    pub sub: String,
    /// [`challenge_hash`].
    pub chal: String,
    /// The person's decision.
    pub dec: Decision,
    /// The reason for a rejection; optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<RejectReason>,
    /// The number chosen or entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num: Option<String>,
    /// Document hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
    /// When it was signed, in seconds.
    #[serde(deserialize_with = "numeric_date")]
    pub iat: i64,
    /// Random value.
    pub jti: String,
}

/// Why a challenge must not be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// Not signed by the deployment.
    #[error("the challenge is not signed by a key of the deployment")]
    Jose(#[source] JoseError),
    /// Signed with a key that the JWKS does not contain, or that is not for challenges.
    #[error("the challenge is signed with a key that is not in the JWKS for challenges")]
    UnknownKey,
    /// For another gateway.
    #[error("the challenge is from another gateway")]
    Issuer,
    /// Expired.
    #[error("the challenge has expired")]
    Expired,
}

/// base64url of the SHA-256 of the challenge's characters.
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

/// Verifies that the deployment signed it, at any time.
pub(crate) fn verify_challenge_signature(challenge: &str, jwks: &Jwks) -> Result<ChallengeClaims, ChallengeError> {
    let compact = jws::Compact::parse(challenge).map_err(ChallengeError::Jose)?;
    let key = compact.header().kid.as_deref().and_then(|kid| jwks.find_for(kid, CHALLENGE_TYP)).ok_or(ChallengeError::UnknownKey)?;
    compact.verify(key, CHALLENGE_TYP).map_err(ChallengeError::Jose)
}

/// The proven level, computed and never claimed: device key 1, presence key 2, presence key and document 3.
#[must_use]
pub const fn proven_level(presence: bool, document: bool) -> Level {
    match (presence, document) {
        (true, true) => Level::Executive,
        (true, false) => Level::Essential,
        (false, _) => Level::Possession,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn two_digits_are_said_as_they_always_were_and_six_are_said() {
        for (digits, claim) in [(2, json!({"mode": "enter"})), (6, json!({"mode": "enter", "digits": 6}))] {
            assert_eq!(serde_json::to_value(MatchClaim::Enter { digits }).unwrap(), claim);
            assert_eq!(serde_json::from_value::<MatchClaim>(claim).unwrap(), MatchClaim::Enter { digits });
        }
    }

    #[test]
    fn a_member_that_is_null_is_as_good_as_none() {
        let null = json!({"mode": "enter", "digits": null});
        assert_eq!(serde_json::from_value::<MatchClaim>(null).unwrap(), MatchClaim::Enter { digits: 2 });
        let null = json!({"address": null, "browser": null, "place": "Berlin"});
        assert_eq!(serde_json::from_value::<RequestContext>(null).unwrap().describe(), "Berlin");
    }

    #[test]
    fn who_asks_is_described_by_what_is_known_and_nothing_is_hidden() {
        let known = |address: &str, browser: &str, place: &str| {
            let context = RequestContext { address: address.into(), browser: browser.into(), place: place.into() };
            (context.describe(), context.is_empty())
        };
        assert_eq!(known("203.0.113.7", "Firefox on Linux", "Berlin"), ("Firefox on Linux, Berlin, 203.0.113.7".into(), false));
        assert_eq!(known("203.0.113.7", "", ""), ("203.0.113.7".into(), false));
        assert_eq!(known("", "", ""), (String::new(), true));
        assert_eq!(known("", "\u{202E}xoferiF", ""), ("\\u{202E}xoferiF".into(), false));
    }
}
