//! The document statement: a presence key states which document its user scanned.

use serde::{Deserialize, Serialize};

use crate::jose::{Audience, JoseError, PrivateKey, PublicJwk, jws, numeric_date};

/// The `typ` of the header.
pub const DOCUMENT_TYP: &str = "nodkey-document+jwt";

/// The claims of a document statement, signed by a presence key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentStatementClaims {
    /// Device identifier, thumbprint of the device key.
    pub iss: String,
    /// The deployment: the gateway's public URL.
    pub aud: Audience,
    /// Hash of the document.
    pub hash: String,
    /// Nonce from the deployment, valid for one use.
    pub nonce: String,
    /// When it was signed, in seconds.
    #[serde(deserialize_with = "numeric_date")]
    pub iat: i64,
}

/// Signs claims with a presence key.
#[must_use]
pub fn sign_document_statement(claims: &DocumentStatementClaims, key: &PrivateKey) -> String {
    jws::sign(DOCUMENT_TYP, Some(&key.public().thumbprint()), None, claims, key)
}

/// Verifies a statement signed by a presence key of the device `device`, about the document with this hash, for the deployment at
/// `audience`.
///
/// Whether that key counts and the `nonce` is valid, only the registry knows.
pub fn verify_document_statement(
    statement: &str,
    key: &PublicJwk,
    device: &str,
    hash: &str,
    audience: &str,
) -> Result<DocumentStatementClaims, JoseError> {
    let claims: DocumentStatementClaims = jws::Compact::parse(statement)?.verify(key, DOCUMENT_TYP)?;
    let meant = claims.iss == device && claims.aud.includes(audience) && claims.hash == hash;
    if meant { Ok(claims) } else { Err(JoseError::Claims) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{jose::Algorithm, key_statement::KEYS_TYP, random::Random};

    #[test]
    fn a_statement_is_about_one_document_of_one_device_at_one_deployment() {
        let key = |seed| PrivateKey::generate(Algorithm::Es256, &Random::seeded(seed));
        let (presence, other) = (key(1), key(2));
        let claims = DocumentStatementClaims {
            iss: "device".into(),
            aud: "https://auth.example".into(),
            hash: "licence".into(),
            nonce: "n".into(),
            iat: 1,
        };
        let statement = sign_document_statement(&claims, &presence);
        let verify = |statement: &str, by: &PrivateKey, device, hash, audience| {
            verify_document_statement(statement, &by.public(), device, hash, audience)
        };
        assert_eq!(verify(&statement, &presence, "device", "licence", "https://auth.example"), Ok(claims.clone()));
        assert_eq!(verify(&statement, &other, "device", "licence", "https://auth.example"), Err(JoseError::Signature));
        for (device, hash, audience) in [
            ("another", "licence", "https://auth.example"),
            ("device", "another", "https://auth.example"),
            ("device", "licence", "https://else.example"),
        ] {
            assert_eq!(verify(&statement, &presence, device, hash, audience), Err(JoseError::Claims), "{device} {hash} {audience}");
        }
        let as_keys = jws::sign(KEYS_TYP, None, None, &claims, &presence);
        assert_eq!(verify(&as_keys, &presence, "device", "licence", "https://auth.example"), Err(JoseError::Type));
    }
}
