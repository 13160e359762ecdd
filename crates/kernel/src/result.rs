//! The result of a trusonafication as a JWT signed by the deployment, which is sent to a `callback_url`.

use serde::{Deserialize, Serialize};

use crate::{
    challenge::Decision,
    jose::{Audience, JoseError, Jwks, jws, numeric_date},
    level::Level,
    receipt::{ReceiptClaims, ReceiptKey, ReceiptReason},
};

/// The `typ` of the header.
pub const RESULT_TYP: &str = "nodkey-result+jwt";

/// The deployment's statement of how a trusonafication ended: members of RFC 7519, and members of the trusonafication under their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultClaims {
    /// The deployment: the gateway's public URL.
    pub iss: String,
    /// Id of the relying party.
    pub aud: Audience,
    /// Id of the trusonafication.
    pub sub: String,
    /// The `webhook-id`.
    pub jti: String,
    /// When it ended, in seconds.
    #[serde(deserialize_with = "numeric_date")]
    pub iat: i64,
    /// `ACCEPTED` and so on.
    pub status: String,
    /// 1, 2 or 3.
    pub desired_level: i32,
    /// The proven level; `None` without a response.
    pub accepted_level: Option<i32>,
    /// The action shown.
    pub action: String,
    /// The resource shown.
    pub resource: String,
    /// The user who answered, or the target user.
    pub user_identifier: Option<String>,
    /// The device that answered, or the target device.
    pub device_identifier: Option<String>,
    /// The members of the receipt that are not included above; `None` for results from before receipts.
    #[serde(flatten)]
    pub receipt: Option<ReceiptMembers>,
}

/// The members that a result repeats from the receipt, see [`ReceiptClaims`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptMembers {
    /// Id of the relying party.
    pub rp: String,
    /// When it ended, by the deployment's clock, in microseconds since the epoch.
    pub at: i64,
    /// The level that the accept proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The decision that the response counted as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dec: Option<Decision>,
    /// Why it was rejected, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<ReceiptReason>,
    /// The device that answered, or the target device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev: Option<String>,
    /// The key that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<ReceiptKey>,
    /// The user who answered, or the target user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Hash of the challenge.
    pub chal: String,
    /// Hash of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resp: Option<String>,
}

impl From<ReceiptClaims> for ReceiptMembers {
    fn from(receipt: ReceiptClaims) -> Self {
        let ReceiptClaims { rp, at, level, dec, why, dev, key, user, chal, resp, data: _, iss: _, jti: _, sub: _, status: _ } = receipt;
        Self { rp, at, level, dec, why, dev, key, user, chal, resp }
    }
}

/// Verifies a result JWT with the keys of the deployment at `issuer`, for the relying party with that id.
pub fn verify_result(jwt: &str, jwks: &Jwks, issuer: &str, relying_party: &str) -> Result<ResultClaims, JoseError> {
    let compact = jws::Compact::parse(jwt)?;
    let key = compact.header().kid.as_deref().and_then(|kid| jwks.find_for(kid, RESULT_TYP)).ok_or(JoseError::Key)?;
    let claims: ResultClaims = compact.verify(key, RESULT_TYP)?;
    if claims.iss == issuer && claims.aud.includes(relying_party) { Ok(claims) } else { Err(JoseError::Claims) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        jose::{Algorithm, PrivateKey, PublishedKey},
        random::Random,
    };

    #[test]
    fn a_result_holds_for_its_relying_party_and_by_its_deployment() {
        let key = PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(1));
        let kid = key.public().thumbprint();
        let jwks = Jwks { keys: vec![PublishedKey { kid: kid.clone(), key: key.public(), typs: None }] };
        let receipt = ReceiptMembers {
            rp: "acme".into(),
            at: 1_000_000,
            level: Some(Level::Essential),
            dec: Some(Decision::Accept),
            why: None,
            dev: Some("d".into()),
            key: None,
            user: Some("ada".into()),
            chal: "c".into(),
            resp: Some("r".into()),
        };
        let claims = ResultClaims {
            iss: "https://auth.example".into(),
            aud: "acme".into(),
            sub: "t".into(),
            jti: "d".into(),
            iat: 1,
            status: "ACCEPTED".into(),
            desired_level: 2,
            accepted_level: Some(2),
            action: "log in".into(),
            resource: "Acme".into(),
            user_identifier: Some("ada".into()),
            device_identifier: None,
            receipt: Some(receipt),
        };
        let jwt = jws::sign(RESULT_TYP, Some(&kid), None, &claims, &key);
        assert_eq!(verify_result(&jwt, &jwks, "https://auth.example", "acme"), Ok(claims.clone()));
        let before = ResultClaims { receipt: None, ..claims.clone() };
        let of_before = jws::sign(RESULT_TYP, Some(&kid), None, &before, &key);
        assert_eq!(verify_result(&of_before, &jwks, "https://auth.example", "acme"), Ok(before));
        assert_eq!(verify_result(&jwt, &jwks, "https://auth.example", "other"), Err(JoseError::Claims));
        assert_eq!(verify_result(&jwt, &jwks, "https://else.example", "acme"), Err(JoseError::Claims));
        assert_eq!(verify_result(&jwt, &Jwks::default(), "https://auth.example", "acme"), Err(JoseError::Key));
        let challenge = jws::sign("nodkey-challenge+jwt", Some(&kid), None, &claims, &key);
        assert_eq!(verify_result(&challenge, &jwks, "https://auth.example", "acme"), Err(JoseError::Type));
    }
}
