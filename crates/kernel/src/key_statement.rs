//! The key statement: the device key states which presence keys belong to the device.

use serde::{Deserialize, Serialize};

use crate::{
    jose::{Audience, JoseError, PrivateKey, PublicJwk, jws, numeric_date},
    named,
};

/// The `typ` of the header, for the statement and for the signatures of presence keys over it.
pub const KEYS_TYP: &str = "nodkey-keys+jwt";
/// Maximum number of presence keys in a statement.
pub const MAX_KEYS: usize = 8;

/// The claims that the device key signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStatementClaims {
    /// Device identifier, thumbprint of the device key.
    pub iss: String,
    /// The deployment: the gateway's public URL.
    pub aud: Audience,
    /// Sequence number, greater than in every earlier statement of the device.
    pub seq: u64,
    /// All presence keys of the device.
    pub keys: Vec<StatedKey>,
    /// Nonce from the deployment, valid for one use.
    pub nonce: String,
    /// When it was signed, in seconds.
    #[serde(deserialize_with = "numeric_date")]
    pub iat: i64,
}

/// A presence key of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedKey {
    /// How the person is verified before the key signs.
    pub kind: PresenceKind,
    /// Its thumbprint (RFC 7638).
    pub jkt: String,
}

named! {
    /// How the person is verified before a presence key signs.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum PresenceKind {
        /// By fingerprint or face.
        Biometric = "biometric",
        /// By PIN, pattern or passcode.
        Credential = "credential",
    }
}

/// Signs claims: with the device key to make the statement, or with a presence key to countersign it.
#[must_use]
pub fn sign_key_statement(claims: &KeyStatementClaims, key: &PrivateKey) -> String {
    jws::sign(KEYS_TYP, Some(&key.public().thumbprint()), None, claims, key)
}

/// Verifies a statement with the key of the device it is about, for the deployment at `audience`.
///
/// Whether `seq` and `nonce` are valid, only the registry knows.
pub fn verify_key_statement(statement: &str, device: &PublicJwk, audience: &str) -> Result<KeyStatementClaims, JoseError> {
    let claims: KeyStatementClaims = jws::Compact::parse(statement)?.verify(device, KEYS_TYP)?;
    let each_once = claims.keys.iter().enumerate().all(|(at, key)| claims.keys[..at].iter().all(|before| before.jkt != key.jkt));
    let presence_keys = claims.keys.len() <= MAX_KEYS && each_once && claims.keys.iter().all(|key| key.jkt != claims.iss);
    let meant = claims.iss == device.thumbprint() && claims.aud.includes(audience);
    if presence_keys && meant { Ok(claims) } else { Err(JoseError::Claims) }
}

/// Verifies a presence key's signature over the same claims.
pub fn verify_key_signature(signature: &str, statement: &KeyStatementClaims, presence: &PublicJwk) -> Result<(), JoseError> {
    let claims: KeyStatementClaims = jws::Compact::parse(signature)?.verify(presence, KEYS_TYP)?;
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

    fn claims() -> KeyStatementClaims {
        KeyStatementClaims {
            iss: key(1).public().thumbprint(),
            aud: GATEWAY.into(),
            seq: 1,
            keys: vec![StatedKey { kind: PresenceKind::Biometric, jkt: key(2).public().thumbprint() }],
            nonce: "n".into(),
            iat: 1,
        }
    }

    #[test]
    fn a_statement_holds_by_the_device_it_is_about_and_for_its_deployment() {
        let (device, presence) = (key(1), key(2));
        let statement = sign_key_statement(&claims(), &device);
        let verify = |statement: &str, by: &PrivateKey, audience| verify_key_statement(statement, &by.public(), audience);
        assert_eq!(verify(&statement, &device, GATEWAY), Ok(claims()));
        assert_eq!(verify(&statement, &presence, GATEWAY), Err(JoseError::Signature));
        assert_eq!(verify(&statement, &device, "https://else.example"), Err(JoseError::Claims));
        let by_presence = sign_key_statement(&claims(), &presence);
        assert_eq!(verify(&by_presence, &presence, GATEWAY), Err(JoseError::Claims), "a key speaks for its own device alone");
        let response = jws::sign("nodkey-response+jwt", None, None, &claims(), &device);
        assert_eq!(verify(&response, &device, GATEWAY), Err(JoseError::Type));
    }

    #[test]
    fn a_statement_names_presence_keys_each_once_and_not_too_many() {
        let stated = |jkt: String| StatedKey { kind: PresenceKind::Credential, jkt };
        let holds = |keys: Vec<StatedKey>| {
            let claims = KeyStatementClaims { keys, ..claims() };
            verify_key_statement(&sign_key_statement(&claims, &key(1)), &key(1).public(), GATEWAY).is_ok()
        };
        assert!(holds(vec![]));
        assert!(holds((0..MAX_KEYS).map(|n| stated(n.to_string())).collect()));
        assert!(!holds((0..=MAX_KEYS).map(|n| stated(n.to_string())).collect()));
        assert!(!holds(vec![stated("a".into()), stated("a".into())]));
        assert!(!holds(vec![stated(key(1).public().thumbprint())]), "the device key is no presence key");
    }

    #[test]
    fn a_presence_key_signs_the_very_same_claims() {
        let presence = key(2);
        let signature = sign_key_statement(&claims(), &presence);
        assert_eq!(verify_key_signature(&signature, &claims(), &presence.public()), Ok(()));
        assert_eq!(verify_key_signature(&signature, &claims(), &key(3).public()), Err(JoseError::Signature));
        let newer = KeyStatementClaims { seq: 2, ..claims() };
        assert_eq!(verify_key_signature(&signature, &newer, &presence.public()), Err(JoseError::Claims));
    }
}
