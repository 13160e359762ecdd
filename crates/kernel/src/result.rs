//! The result of a trusonafication as a JWT by the deployment, which a `callback_url` is told.

use serde::{Deserialize, Serialize};

use crate::jose::{JoseError, Jwks, jws};

/// The `typ` of the header.
pub const RESULT_TYP: &str = "nodkey-result+jwt";

/// What a deployment says became of a trusonafication. Members of RFC 7519, and those of the trusonafication by their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultClaims {
    /// The deployment: the gateway's public URL.
    pub iss: String,
    /// Id of the relying party.
    pub aud: String,
    /// Id of the trusonafication.
    pub sub: String,
    /// The `webhook-id`.
    pub jti: String,
    /// When it ended, in seconds.
    pub iat: i64,
    /// `ACCEPTED` and so on.
    pub status: String,
    /// 1, 2 or 3.
    pub desired_level: i32,
    /// What was proven; `None` without an answer.
    pub accepted_level: Option<i32>,
    /// What was shown.
    pub action: String,
    /// What was shown.
    pub resource: String,
    /// Who answered, or was asked.
    pub user_identifier: Option<String>,
    /// The device that answered, or was asked.
    pub device_identifier: Option<String>,
}

/// Verifies a result JWT by the keys of the deployment at `issuer`, for the relying party of that id.
pub fn verify_result(jwt: &str, jwks: &Jwks, issuer: &str, relying_party: &str) -> Result<ResultClaims, JoseError> {
    let compact = jws::Compact::parse(jwt)?;
    let key = compact.header().kid.as_deref().and_then(|kid| jwks.find(kid)).ok_or(JoseError::Key)?;
    let claims: ResultClaims = compact.verify(key, RESULT_TYP)?;
    if claims.iss == issuer && claims.aud == relying_party { Ok(claims) } else { Err(JoseError::Claims) }
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
        let jwks = Jwks { keys: vec![PublishedKey { kid: kid.clone(), key: key.public() }] };
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
        };
        let jwt = jws::sign(RESULT_TYP, Some(&kid), None, &claims, &key);
        assert_eq!(verify_result(&jwt, &jwks, "https://auth.example", "acme"), Ok(claims.clone()));
        assert_eq!(verify_result(&jwt, &jwks, "https://auth.example", "other"), Err(JoseError::Claims));
        assert_eq!(verify_result(&jwt, &jwks, "https://else.example", "acme"), Err(JoseError::Claims));
        assert_eq!(verify_result(&jwt, &Jwks::default(), "https://auth.example", "acme"), Err(JoseError::Key));
        let challenge = jws::sign("nodkey-challenge+jwt", Some(&kid), None, &claims, &key);
        assert_eq!(verify_result(&challenge, &jwks, "https://auth.example", "acme"), Err(JoseError::Type));
    }
}
