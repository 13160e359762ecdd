//! A new phone replaces an old one, or is added beside it: the statements that both sign.

use serde::{Deserialize, Serialize};

use crate::{
    jose::{Audience, JoseError, PrivateKey, PublicJwk, jws, numeric_date},
    named,
};

/// The `typ` of the bound phone's statement, and of the signature of its presence key over it.
pub const TRANSFER_TYP: &str = "nodkey-transfer+jwt";
/// The `typ` of the new phone's request.
pub const TRANSFER_REQUEST_TYP: &str = "nodkey-transfer-request+jwt";

/// The new phone's request to be bound. Anyone to whom it is shown may bind the phone for as long as the nonce is valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferRequestClaims {
    /// Device identifier of the new phone.
    pub iss: String,
    /// The deployment: the gateway's public URL.
    pub aud: Audience,
    /// Nonce from the deployment, for the new phone.
    pub nonce: String,
}

/// The bound phone's statement about the new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferClaims {
    /// Device identifier of the bound phone.
    pub iss: String,
    /// Device identifier of the new phone.
    pub sub: String,
    /// The deployment: the gateway's public URL.
    pub aud: Audience,
    /// What happens to the two phones.
    pub act: TransferAct,
    /// Nonce from the deployment, for the bound phone, valid for one use.
    pub nonce: String,
    /// When it was signed, in seconds.
    #[serde(deserialize_with = "numeric_date")]
    pub iat: i64,
}

named! {
    /// What happens to the two phones.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum TransferAct {
        /// The new phone replaces the old one, which is retired.
        Replace = "replace",
        /// Both belong to the user.
        Add = "add",
    }
}

/// Signs the request of a new phone with its device key.
#[must_use]
pub fn sign_transfer_request(claims: &TransferRequestClaims, device: &PrivateKey) -> String {
    jws::sign(TRANSFER_REQUEST_TYP, None, None, claims, device)
}

/// Signs claims: with the bound phone's device key to make the statement, or with a presence key to countersign it.
#[must_use]
pub fn sign_transfer(claims: &TransferClaims, key: &PrivateKey) -> String {
    jws::sign(TRANSFER_TYP, Some(&key.public().thumbprint()), None, claims, key)
}

/// Verifies the request of the new phone, for the deployment at `audience`.
///
/// Whether its nonce is valid, only the registry knows.
pub fn verify_transfer_request(request: &str, device: &PublicJwk, audience: &str) -> Result<TransferRequestClaims, JoseError> {
    let claims: TransferRequestClaims = jws::Compact::parse(request)?.verify(device, TRANSFER_REQUEST_TYP)?;
    let meant = claims.iss == device.thumbprint() && claims.aud.includes(audience);
    if meant { Ok(claims) } else { Err(JoseError::Claims) }
}

/// Verifies a statement with the key of the bound phone, for the deployment at `audience`. A phone cannot replace itself.
///
/// Whether its nonce is valid, only the registry knows.
pub fn verify_transfer(statement: &str, device: &PublicJwk, audience: &str) -> Result<TransferClaims, JoseError> {
    let claims: TransferClaims = jws::Compact::parse(statement)?.verify(device, TRANSFER_TYP)?;
    let meant = claims.iss == device.thumbprint() && claims.aud.includes(audience) && claims.sub != claims.iss;
    if meant { Ok(claims) } else { Err(JoseError::Claims) }
}

/// Verifies a presence key's signature over the same claims.
pub fn verify_transfer_signature(signature: &str, statement: &TransferClaims, presence: &PublicJwk) -> Result<(), JoseError> {
    let claims: TransferClaims = jws::Compact::parse(signature)?.verify(presence, TRANSFER_TYP)?;
    if claims == *statement { Ok(()) } else { Err(JoseError::Claims) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{jose::Algorithm, random::Random};

    const GATEWAY: &str = "https://auth.example";

    fn key(seed: u64) -> PrivateKey {
        PrivateKey::generate(Algorithm::Es256, &Random::seeded(seed))
    }

    fn id(seed: u64) -> String {
        key(seed).public().thumbprint()
    }

    fn claims() -> TransferClaims {
        TransferClaims { iss: id(1), sub: id(2), aud: GATEWAY.into(), act: TransferAct::Replace, nonce: "n".into(), iat: 1 }
    }

    #[test]
    fn a_statement_holds_by_the_phone_it_is_of_and_for_its_deployment() {
        let statement = sign_transfer(&claims(), &key(1));
        let verify = |statement: &str, by: u64, audience| verify_transfer(statement, &key(by).public(), audience);
        assert_eq!(verify(&statement, 1, GATEWAY), Ok(claims()));
        assert_eq!(verify(&statement, 2, GATEWAY), Err(JoseError::Signature));
        assert_eq!(verify(&statement, 1, "https://else.example"), Err(JoseError::Claims));
        assert_eq!(verify(&sign_transfer(&claims(), &key(3)), 3, GATEWAY), Err(JoseError::Claims), "a phone speaks for itself alone");
        let itself = TransferClaims { sub: id(1), ..claims() };
        assert_eq!(verify(&sign_transfer(&itself, &key(1)), 1, GATEWAY), Err(JoseError::Claims));
        let other = jws::sign("nodkey-keys+jwt", None, None, &claims(), &key(1));
        assert_eq!(verify(&other, 1, GATEWAY), Err(JoseError::Type));
        let unknown = serde_json::json!({"iss": id(1), "sub": id(2), "aud": GATEWAY, "act": "steal", "nonce": "n", "iat": 1});
        assert_eq!(verify(&jws::sign(TRANSFER_TYP, None, None, &unknown, &key(1)), 1, GATEWAY), Err(JoseError::Claims));
    }

    #[test]
    fn a_presence_key_signs_the_very_same_claims() {
        let signature = sign_transfer(&claims(), &key(4));
        assert_eq!(verify_transfer_signature(&signature, &claims(), &key(4).public()), Ok(()));
        assert_eq!(verify_transfer_signature(&signature, &claims(), &key(5).public()), Err(JoseError::Signature));
        for other in [
            TransferClaims { sub: id(3), ..claims() },
            TransferClaims { act: TransferAct::Add, ..claims() },
            TransferClaims { nonce: "m".into(), ..claims() },
        ] {
            assert_eq!(verify_transfer_signature(&signature, &other, &key(4).public()), Err(JoseError::Claims));
        }
    }

    #[test]
    fn a_request_is_of_the_new_phone_and_no_statement() {
        let asks = TransferRequestClaims { iss: id(2), aud: GATEWAY.into(), nonce: "n".into() };
        let request = sign_transfer_request(&asks, &key(2));
        assert_eq!(verify_transfer_request(&request, &key(2).public(), GATEWAY), Ok(asks.clone()));
        assert_eq!(verify_transfer_request(&request, &key(1).public(), GATEWAY), Err(JoseError::Signature));
        assert_eq!(verify_transfer_request(&request, &key(2).public(), "https://else.example"), Err(JoseError::Claims));
        let by_another = sign_transfer_request(&asks, &key(1));
        assert_eq!(verify_transfer_request(&by_another, &key(1).public(), GATEWAY), Err(JoseError::Claims), "nobody asks for another");
        assert_eq!(verify_transfer(&request, &key(2).public(), GATEWAY), Err(JoseError::Type));
        assert!(request.len() < 400, "it has to fit into a code that is quickly scanned: {}", request.len());
    }
}
