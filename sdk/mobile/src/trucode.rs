//! Secure QR codes: reading a scanned code.

use nodkey_kernel::{
    challenge::ChallengeError,
    jose::{Jwks, jws::Compact, numeric_date},
    trucode::TRUCODE_TYP,
};
use serde::Deserialize;
use url::Url;

use crate::{Error, error::Failure};

/// What to show before pairing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TruCodeContext {
    /// Display name of the relying party.
    pub relying_party: String,
    /// Origin of the page that shows the code; the person compares it with what they see.
    pub origin: Option<String>,
    /// Approximate location of that browser.
    pub place: Option<String>,
    /// Whether the person has to enter the two digits that the page shows.
    pub match_number: bool,
}

/// A code whose signature was verified.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Scanned {
    /// What to show before pairing.
    pub context: TruCodeContext,
    pub(crate) payload: String,
}

#[derive(Deserialize)]
pub(crate) struct PayloadClaims {
    pub(crate) jti: String,
    /// When it expires, in milliseconds.
    #[serde(deserialize_with = "numeric_date")]
    pub(crate) exp: i64,
}

/// The payload of what was scanned or opened: the text itself, or the `payload` of a deep link.
pub(crate) fn payload(scanned: &str) -> Result<String, Error> {
    match Url::parse(scanned) {
        Ok(link) => link
            .query_pairs()
            .find(|(name, _)| name == "payload")
            .map(|(_, payload)| payload.into_owned())
            .ok_or_else(|| Failure::Input("the link has no payload").into()),
        Err(_) => Ok(scanned.to_owned()),
    }
}

/// Verifies a payload with the deployment's keys.
pub(crate) fn verify(payload: &str, keys: &Jwks) -> Result<PayloadClaims, ChallengeError> {
    let compact = Compact::parse(payload).map_err(ChallengeError::Jose)?;
    let key = compact.header().kid.as_deref().and_then(|kid| keys.find_for(kid, TRUCODE_TYP)).ok_or(ChallengeError::UnknownKey)?;
    compact.verify(key, TRUCODE_TYP).map_err(ChallengeError::Jose)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_and_a_scan_are_the_same_code() {
        assert_eq!(payload("https://acme.example/trucode?payload=a.b.c").unwrap(), "a.b.c");
        assert_eq!(payload("acme://trucode?x=1&payload=a.b.c").unwrap(), "a.b.c");
        assert_eq!(payload("a.b.c").unwrap(), "a.b.c");
        assert!(payload("https://acme.example/").is_err());
    }
}
