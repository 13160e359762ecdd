//! The device identifier as a JWT signed by the deployment. An app hands it to its backend, which can then tell that the device is known.

use serde::{Deserialize, Serialize};

use crate::{
    jose::{Audience, JoseError, Jwks, jws, numeric_date},
    time::Timestamp,
};

/// The `typ` of the header.
pub const DEVICE_TYP: &str = "nodkey-device+jwt";

/// The capability that a device registers when its app accepts numbers of six digits.
pub const MATCH6: &str = "match6";

/// States that this deployment knows the device. The members are from RFC 7519.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceClaims {
    /// The deployment: the gateway's public URL.
    pub iss: String,
    /// Id of the relying party whose app registered it.
    pub aud: Audience,
    /// The device identifier.
    pub sub: String,
    /// When it was issued, in seconds.
    #[serde(deserialize_with = "numeric_date")]
    pub iat: i64,
    /// When it expires, in seconds.
    #[serde(deserialize_with = "numeric_date")]
    pub exp: i64,
    /// Random value.
    pub jti: String,
}

/// Verifies a device-identifier JWT with the keys of the deployment at `issuer`, for the relying party with that id.
pub fn verify_device_identifier(
    jwt: &str,
    jwks: &Jwks,
    issuer: &str,
    relying_party: &str,
    now: Timestamp,
) -> Result<DeviceClaims, JoseError> {
    let compact = jws::Compact::parse(jwt)?;
    let key = compact.header().kid.as_deref().and_then(|kid| jwks.find_for(kid, DEVICE_TYP)).ok_or(JoseError::Key)?;
    let claims: DeviceClaims = compact.verify(key, DEVICE_TYP)?;
    let meant = claims.iss == issuer && claims.aud.includes(relying_party) && now.as_seconds() < claims.exp;
    if meant { Ok(claims) } else { Err(JoseError::Claims) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        jose::{Algorithm, PrivateKey, PublishedKey},
        random::Random,
    };

    #[test]
    fn a_device_identifier_holds_for_its_relying_party_by_its_deployment_and_for_a_time() {
        let key = PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(1));
        let kid = key.public().thumbprint();
        let jwks = Jwks { keys: vec![PublishedKey { kid: kid.clone(), key: key.public(), typs: None }] };
        let (iss, aud) = ("https://auth.example", "acme");
        let claims = DeviceClaims { iss: iss.into(), aud: aud.into(), sub: "d".into(), iat: 1, exp: 10, jti: "j".into() };
        let jwt = jws::sign(DEVICE_TYP, Some(&kid), None, &claims, &key);
        let at = Timestamp::from_seconds;
        assert_eq!(verify_device_identifier(&jwt, &jwks, iss, aud, at(9)), Ok(claims.clone()));
        assert_eq!(verify_device_identifier(&jwt, &jwks, iss, aud, at(10)), Err(JoseError::Claims));
        assert_eq!(verify_device_identifier(&jwt, &jwks, iss, "other", at(9)), Err(JoseError::Claims));
        assert_eq!(verify_device_identifier(&jwt, &jwks, "https://else.example", aud, at(9)), Err(JoseError::Claims));
        assert_eq!(verify_device_identifier(&jwt, &Jwks::default(), iss, aud, at(9)), Err(JoseError::Key));
        let result = jws::sign("nodkey-result+jwt", Some(&kid), None, &claims, &key);
        assert_eq!(verify_device_identifier(&result, &jwks, iss, aud, at(9)), Err(JoseError::Type));
    }
}
