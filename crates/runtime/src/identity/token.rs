//! Bearer tokens that their senders sign themselves, with a secret that they share with who verifies them.

use nodkey_kernel::{
    id::RelyingPartyId,
    jose::{Audience, hs256, numeric_date},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// `kid` of what holders of a symmetric operator key sign, in a deployment of before.
pub const OPERATOR: &str = "operator";
/// `kid` of what operators sign, before the id of their session.
pub const OPERATOR_SESSION: &str = "operator/";
/// `kid` of what services sign in a deployment of before, by a key that all of them have.
pub const INTERNAL: &str = "internal";
/// The relying party an operator acts for.
pub const RELYING_PARTY_HEADER: &str = "x-nodkey-relying-party";
/// How long a token lives that is signed here for somebody else, in seconds.
const LIFETIME: i64 = 30;
/// How far ahead a token may expire, in seconds: a stolen one is of little use.
const MAX_LIFETIME: i64 = 60;
/// How far clocks may differ, in seconds.
const SKEW: i64 = 5;

/// Claims of a token.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The deployment.
    pub aud: Audience,
    /// Seconds.
    #[serde(deserialize_with = "numeric_date")]
    pub exp: i64,
    /// The calling service, of tokens by an internal key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom the calling service acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rp: Option<RelyingPartyId>,
}

/// Signs a token with the secret that `kid` names, for the deployment with this audience.
#[must_use]
pub fn sign(kid: &str, secret: &str, audience: &str, now: Timestamp) -> String {
    let claims = Claims { aud: audience.into(), exp: now.as_seconds() + LIFETIME, iss: None, rp: None };
    hs256::sign(Some(kid), &claims, secret.as_bytes())
}

/// Verifies that the owner of `secret` made a token for the deployment with this audience, and that it counts now.
#[must_use]
pub fn verify(token: &str, secret: &str, audience: &str, now: Timestamp) -> bool {
    check(token, secret, audience, now).is_ok()
}

/// The same, and says what is wrong.
pub fn check(token: &str, secret: &str, audience: &str, now: Timestamp) -> Result<(), Fault> {
    let claims = hs256::verify::<Claims>(token, secret.as_bytes()).map_err(Fault::from)?;
    if claims.aud.includes(audience) { in_time(claims.exp, now) } else { Err(Fault::WrongAudience) }
}

/// Says what is wrong with a token that expires at `exp`, in seconds.
pub(crate) fn in_time(exp: i64, now: Timestamp) -> Result<(), Fault> {
    if alive(exp, now) {
        return Ok(());
    }
    Err(if exp <= now.as_seconds() { Fault::Expired } else { Fault::LivesTooLong })
}

/// Tells whether a token that expires at `exp`, in seconds, counts now.
pub(crate) fn alive(exp: i64, now: Timestamp) -> bool {
    let now = now.as_seconds();
    exp > now - SKEW && exp <= now + MAX_LIFETIME + SKEW
}
