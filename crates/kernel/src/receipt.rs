//! The receipt: how a trusonafication ended, signed by the deployment at that time.

use serde::{Deserialize, Serialize};

use crate::{
    challenge::Decision,
    jose::{JoseError, Jwks, b64u, jws, sha256},
    key_statement::PresenceKind,
    level::Level,
    named,
    time::Timestamp,
};

/// The `typ` of the header.
pub const RECEIPT_TYP: &str = "nodkey-receipt+jwt";

/// The deployment's statement of how a trusonafication ended. Every outcome has one receipt.
///
/// An accept has `dec`, `level`, `dev`, `key`, `user` and `resp`. A rejection has the same without `level`. An expired or canceled one has
/// none of `dec`, `level`, `key` and `resp`. [`verify_receipt`] refuses any other combination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptClaims {
    /// The deployment: the gateway's public URL, `iss` of the challenge.
    pub iss: String,
    /// Id of the result, a UUID.
    pub jti: String,
    /// Trusonafication id, `jti` of the challenge.
    pub sub: String,
    /// Id of the relying party.
    pub rp: String,
    /// When it ended, by the deployment's clock, in microseconds since the epoch.
    pub at: i64,
    /// How it ended.
    pub status: ReceiptStatus,
    /// The level that the accept proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The decision that the response counted as. A signed accept with a wrong number counts as a rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dec: Option<Decision>,
    /// Why it was rejected, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<ReceiptReason>,
    /// Identifier of the device that answered; without a response, of the target device, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev: Option<String>,
    /// The key that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<ReceiptKey>,
    /// The user's identifier as the relying party gave it: the user who answered, or without a response the target user, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// [`challenge_hash`](crate::challenge::challenge_hash) of the challenge.
    pub chal: String,
    /// base64url of the SHA-256 of the response's characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resp: Option<String>,
    /// [`data_hash`] of the webhook that reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

named! {
    /// How a trusonafication ended, named as in the APIs.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
    pub enum ReceiptStatus {
        /// Accepted at the desired level.
        Accepted = "ACCEPTED",
        /// Accepted, with more proven than was desired.
        AcceptedAtHigherLevel = "ACCEPTED_AT_HIGHER_LEVEL",
        /// Accepted, with less proven than was desired.
        AcceptedAtLowerLevel = "ACCEPTED_AT_LOWER_LEVEL",
        /// Rejected.
        Rejected = "REJECTED",
        /// Not answered before it expired.
        Expired = "EXPIRED",
        /// Canceled by the relying party.
        Canceled = "CANCELED",
    }
}

named! {
    /// Why it was rejected.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum ReceiptReason {
        /// The person did not start this.
        NotMe = "not_me",
        /// The person did, and no longer wants it.
        ChangedMind = "changed_mind",
        /// The number was not the one shown.
        NumberMismatch = "number_mismatch",
    }
}

/// A key as a receipt describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptKey {
    /// Its thumbprint (RFC 7638).
    pub jkt: String,
    /// Its role on the device.
    pub kind: KeyKind,
}

named! {
    /// The role of a key on its device.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum KeyKind {
        /// Signs without involving the person.
        Device = "device",
        /// Signs after the person's fingerprint or face.
        Biometric = "biometric",
        /// Signs after the person's PIN, pattern or passcode.
        Credential = "credential",
    }
}

impl From<PresenceKind> for KeyKind {
    fn from(kind: PresenceKind) -> Self {
        match kind {
            PresenceKind::Biometric => Self::Biometric,
            PresenceKind::Credential => Self::Credential,
        }
    }
}

impl ReceiptStatus {
    /// Whether it was accepted, at any level.
    #[must_use]
    pub const fn is_accepted(self) -> bool {
        matches!(self, Self::Accepted | Self::AcceptedAtHigherLevel | Self::AcceptedAtLowerLevel)
    }

    /// Whether it was accepted at the desired level or higher.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Accepted | Self::AcceptedAtHigherLevel)
    }
}

/// base64url of the SHA-256 of `data` of a webhook, character by character.
#[must_use]
pub fn data_hash(data: &str) -> String {
    b64u(&sha256(data.as_bytes()))
}

impl ReceiptClaims {
    /// Whether a webhook with this `data` reports this receipt.
    #[must_use]
    pub fn has_data(&self, data: &str) -> bool {
        self.data.as_deref() == Some(&*data_hash(data))
    }

    /// When it ended.
    #[must_use]
    pub const fn ended_at(&self) -> Timestamp {
        Timestamp::from_micros(self.at)
    }

    /// Whether the members are consistent.
    fn is_consistent(&self) -> bool {
        let answer = [self.dec.is_some(), self.key.is_some(), self.resp.is_some()];
        let answered_by = self.dev.is_some() && self.user.is_some();
        match self.status {
            status if status.is_accepted() => {
                answer == [true; 3] && answered_by && self.dec == Some(Decision::Accept) && self.level.is_some() && self.why.is_none()
            }
            ReceiptStatus::Rejected => answer == [true; 3] && answered_by && self.dec == Some(Decision::Reject) && self.level.is_none(),
            _ => answer == [false; 3] && self.level.is_none() && self.why.is_none(),
        }
    }
}

/// Verifies a receipt with the keys of the deployment, and that its members are consistent.
///
/// A receipt is only the deployment's statement. [`verify_evidence`](crate::evidence::verify_evidence) also verifies what it is based on. A
/// caller that gets a receipt from elsewhere must compare `iss`, `rp` and `sub` with its own.
pub fn verify_receipt(receipt: &str, jwks: &Jwks) -> Result<ReceiptClaims, JoseError> {
    let compact = jws::Compact::parse(receipt)?;
    let key = compact.header().kid.as_deref().and_then(|kid| jwks.find_for(kid, RECEIPT_TYP)).ok_or(JoseError::Key)?;
    let claims: ReceiptClaims = compact.verify(key, RECEIPT_TYP)?;
    if claims.is_consistent() { Ok(claims) } else { Err(JoseError::Claims) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        jose::{Algorithm, PrivateKey, PublishedKey},
        random::Random,
    };

    fn accepted() -> Value {
        json!({
            "iss": "https://auth.example", "jti": "r", "sub": "t", "rp": "acme", "at": 1, "status": "ACCEPTED", "level": 2, "dec": "accept",
            "dev": "d", "key": {"jkt": "p", "kind": "biometric"}, "user": "ada", "chal": "c", "resp": "r",
        })
    }

    fn with(mut claims: Value, changes: &Value) -> Value {
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    #[test]
    fn a_receipt_holds_by_a_key_for_receipts_alone() {
        let key = PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(1));
        let kid = key.public().thumbprint();
        let by = |typs: Option<&str>| Jwks {
            keys: vec![PublishedKey { kid: kid.clone(), key: key.public(), typs: typs.map(|typ| vec![typ.to_owned()]) }],
        };
        let receipt = jws::sign(RECEIPT_TYP, Some(&kid), None, &accepted(), &key);
        let claims = verify_receipt(&receipt, &by(Some(RECEIPT_TYP))).unwrap();
        assert_eq!(serde_json::to_string(&claims).unwrap(), accepted().to_string(), "nothing is lost, and the order is that of the type");
        assert_eq!(verify_receipt(&receipt, &by(Some("nodkey-challenge+jwt"))), Err(JoseError::Key));
        assert_eq!(verify_receipt(&receipt, &by(None)), Err(JoseError::Key), "keys that name no types sign no receipts");
        let result = jws::sign("nodkey-result+jwt", Some(&kid), None, &accepted(), &key);
        assert_eq!(verify_receipt(&result, &by(Some(RECEIPT_TYP))), Err(JoseError::Type));
    }

    #[test]
    fn members_that_do_not_go_together_are_refused() {
        let holds = |claims: Value| serde_json::from_value::<ReceiptClaims>(claims).is_ok_and(|claims| claims.is_consistent());
        let rejected = with(accepted(), &json!({"status": "REJECTED", "dec": "reject", "level": null}));
        let nothing = json!({"level": null, "dec": null, "key": null, "resp": null});
        let expired = with(with(accepted(), &json!({"status": "EXPIRED"})), &nothing);
        for good in [
            accepted(),
            with(accepted(), &json!({"status": "ACCEPTED_AT_LOWER_LEVEL", "level": 1})),
            rejected.clone(),
            with(rejected.clone(), &json!({"why": "number_mismatch"})),
            expired.clone(),
            with(expired.clone(), &json!({"status": "CANCELED", "dev": null, "user": null})),
        ] {
            assert!(holds(good.clone()), "{good}");
        }
        for (claims, change) in [
            (accepted(), json!({"status": "IN_PROGRESS"})),
            (accepted(), json!({"level": 4})),
            (accepted(), json!({"dec": "reject"})),
            (accepted(), json!({"why": "not_me"})),
            (accepted(), json!({"level": null})),
            (accepted(), json!({"dev": null})),
            (accepted(), json!({"key": null})),
            (accepted(), json!({"user": null})),
            (accepted(), json!({"resp": null})),
            (rejected.clone(), json!({"dec": "accept"})),
            (rejected.clone(), json!({"level": 2})),
            (rejected, json!({"resp": null})),
            (expired.clone(), json!({"dec": "accept"})),
            (expired.clone(), json!({"resp": "r"})),
            (expired, json!({"level": 1})),
        ] {
            assert!(!holds(with(claims, &change)), "{change}");
        }
    }
}
