//! TruCodes (secure QR codes): short-lived, paired once.

use nodkey_kernel::{
    id::{RelyingPartyId, TruCodeId},
    time::Timestamp,
};
use serde::Serialize;

use super::Refusal;

/// Maximum length of an identifier, an origin or a place, in characters.
pub const MAX_TEXT: usize = 255;

/// Number of wrong numbers that end a code.
pub const MAX_WRONG_NUMBERS: i32 = 3;

/// A TruCode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruCode {
    /// Known only to the browser that created it.
    pub id: TruCodeId,
    /// The relying party it belongs to.
    pub relying_party: RelyingPartyId,
    /// Identifies the code in requests of phones; contained in the QR code.
    pub reference: String,
    /// Content of the QR code.
    pub payload: String,
    /// Origin of the page that created it; empty if the browser sent none.
    pub origin: String,
    /// Approximate location of the browser; empty if unknown.
    pub place: String,
    /// The two digits that the page shows, if they must be matched.
    pub match_number: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires. The last wrong number ends it immediately.
    pub expires_at: Timestamp,
    /// Number of wrong numbers entered.
    pub wrong_numbers: i32,
    /// The identifier that paired it.
    pub identifier: Option<String>,
    /// Number of prompts requested for it.
    pub asked: i32,
    /// Increases with every change, from 1.
    pub version: i64,
}

/// The claims of a payload. Existing web pages read `exp` in milliseconds and decode the claims as plain base64. The claims are therefore
/// ASCII without `>`, `?` and `~`, so that the encoding contains neither `-` nor `_`.
#[derive(Debug, Serialize)]
pub struct PayloadClaims<'a> {
    jti: &'a str,
    exp: i64,
}

impl<'a> PayloadClaims<'a> {
    /// The claims of a code.
    #[must_use]
    pub const fn new(reference: &'a str, expires_at: Timestamp) -> Self {
        Self { jti: reference, exp: expires_at.as_micros() / 1_000 }
    }
}

/// The result of pairing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paired {
    /// The same identifier has already paired it.
    Same(TruCode),
    /// It is paired now.
    Now(TruCode),
    /// The number was wrong. This must be counted before it is reported.
    Wrong(TruCode),
}

impl TruCode {
    /// Whether the code can no longer be paired.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// Refuses a code that is over.
    pub fn ensure_open(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.wrong_numbers >= MAX_WRONG_NUMBERS {
            Err(Refusal::TooManyWrongNumbers)
        } else if self.is_over(now) {
            Err(Refusal::Expired)
        } else {
            Ok(())
        }
    }

    /// Pairs the code. `number` is what the person entered; a missing number does not count as a guess.
    pub fn pair(self, identifier: &str, number: &str, now: Timestamp) -> Result<Paired, Refusal> {
        match &self.identifier {
            Some(first) if first == identifier => return Ok(Paired::Same(self)),
            Some(_) => return Err(Refusal::AlreadyPaired),
            None => {}
        }
        self.ensure_open(now)?;
        let version = self.version + 1;
        match self.match_number.as_deref() {
            Some(right) if right != number => {
                if number.is_empty() {
                    return Err(Refusal::NumberMismatch);
                }
                let wrong_numbers = self.wrong_numbers + 1;
                let expires_at = if wrong_numbers < MAX_WRONG_NUMBERS { self.expires_at } else { now };
                Ok(Paired::Wrong(Self { expires_at, wrong_numbers, version, ..self }))
            }
            _ => Ok(Paired::Now(Self { identifier: Some(identifier.to_owned()), version, ..self })),
        }
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::{jose::b64u, random::Random};
    use proptest::prelude::*;

    use super::*;

    fn code(match_number: Option<&str>) -> TruCode {
        let (now, random) = (Timestamp::from_seconds(0), Random::seeded(1));
        TruCode {
            id: TruCodeId::generate(now, &random),
            relying_party: RelyingPartyId::generate(now, &random),
            reference: random.token(),
            payload: "p".into(),
            origin: String::new(),
            place: String::new(),
            match_number: match_number.map(Into::into),
            created_at: now,
            expires_at: Timestamp::from_seconds(50),
            wrong_numbers: 0,
            identifier: None,
            asked: 0,
            version: 1,
        }
    }

    proptest! {
        #[test]
        fn the_claims_are_plain_base64(seed: u64, seconds in 0..4_000_000_000_i64) {
            let claims = serde_json::to_vec(&PayloadClaims::new(&Random::seeded(seed).token(), Timestamp::from_seconds(seconds))).unwrap();
            prop_assert!(!b64u(&claims).contains(['-', '_']));
        }

        #[test]
        fn one_pairs_it_and_in_time(tries in prop::collection::vec((0..3_u8, 0..100_i64), 0..8)) {
            let mut c = code(None);
            let mut tries = tries;
            tries.sort_by_key(|(_, at)| *at);
            for (who, at) in tries {
                let (before, who) = (c.clone(), who.to_string());
                match c.clone().pair(&who, "", Timestamp::from_seconds(at)) {
                    Ok(Paired::Now(after)) => {
                        prop_assert!(before.identifier.is_none() && at < 50);
                        c = after;
                    }
                    Ok(Paired::Wrong(_)) => prop_assert!(false, "it has no number"),
                    Ok(Paired::Same(_)) => prop_assert_eq!(before.identifier.as_deref(), Some(who.as_str())),
                    Err(Refusal::AlreadyPaired) => prop_assert!(before.identifier.is_some_and(|first| first != who)),
                    Err(refusal) => prop_assert!(refusal == Refusal::Expired && at >= 50 && before.identifier.is_none()),
                }
            }
        }
    }

    #[test]
    fn the_digits_of_the_page_have_to_be_entered() {
        let now = Timestamp::from_seconds(1);
        assert!(matches!(code(Some("42")).pair("d", "43", now), Ok(Paired::Wrong(_))));
        assert_eq!(code(Some("42")).pair("d", "", now), Err(Refusal::NumberMismatch));
        assert!(matches!(code(Some("42")).pair("d", "42", now), Ok(Paired::Now(_))));
    }

    proptest! {
        #[test]
        fn the_third_wrong_number_ends_a_code_whoever_enters_it(tries in prop::collection::vec((0..3_u8, "[0-9]{0,3}"), 0..20)) {
            let (now, mut c, mut wrong) = (Timestamp::from_seconds(1), code(Some("42")), 0);
            for (who, number) in tries {
                match c.clone().pair(&who.to_string(), &number, now) {
                    Ok(Paired::Now(after)) => {
                        prop_assert!(number == "42" && wrong < 3 && after.wrong_numbers == wrong);
                        break;
                    }
                    Ok(Paired::Wrong(after)) => {
                        wrong += 1;
                        prop_assert!(number != "42" && wrong <= 3 && after.wrong_numbers == wrong && after.version == c.version + 1);
                        prop_assert_eq!(after.is_over(now), wrong == 3);
                        c = after;
                    }
                    Ok(Paired::Same(_)) => prop_assert!(false, "nobody paired it"),
                    Err(Refusal::NumberMismatch) => prop_assert!(number.is_empty() && wrong < 3),
                    Err(refusal) => prop_assert!(refusal == Refusal::TooManyWrongNumbers && wrong == 3),
                }
            }
        }
    }
}
