//! Document statements: a document that raises an accept to level 3 is registered by a presence key that counts, or by the backend.
//!
//! The device key signs without user interaction. Without this rule, anyone who holds it could register any hash and have the person's next
//! accept refer to it.

use nodkey_kernel::{
    document_statement::{DOCUMENT_TYP, verify_document_statement},
    error::{Classify, FieldViolation, Kind},
    jose::{JoseError, jws::Compact},
};

use super::{
    Refusal,
    device::Device,
    device_challenge::{self, NonceError},
    document::Scan,
    key_statement::Verifier,
};

/// Maximum length of a statement, in characters.
const MAX_LENGTH: usize = 4096;

/// A statement sent by a phone, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentDocumentStatement(String);

impl SentDocumentStatement {
    /// Parses the field of a request.
    pub fn parse(jws: &str) -> Result<Self, Refusal> {
        let fits = jws.len() <= MAX_LENGTH;
        fits.then(|| Self(jws.to_owned())).ok_or_else(|| Refusal::invalid("statement", "must be at most 4096 characters"))
    }

    /// Verifies the statement of a device about a scan. Returns the device with the nonce marked as used.
    pub fn verify(&self, device: Device, scan: &Scan, verifier: Verifier<'_>) -> Result<Device, DocumentRefusal> {
        let compact = Compact::parse(&self.0).map_err(DocumentRefusal::Invalid)?;
        if compact.header().typ.as_deref() != Some(DOCUMENT_TYP) {
            return Err(DocumentRefusal::Invalid(JoseError::Type));
        }
        let kid = compact.header().kid.as_deref();
        let presence = device.profile.presence;
        let signer = presence.iter().find(|(_, key)| Some(&*key.thumbprint()) == kid);
        let (_, key) = signer.filter(|(kind, _)| device.standings.of(*kind).counts).ok_or(DocumentRefusal::PresenceRequired)?;
        let claims = verify_document_statement(&self.0, &key, device.id.as_str(), &scan.hash, verifier.audience);
        let claims = claims.map_err(DocumentRefusal::Invalid)?;
        let challenged_at = device_challenge::verify(verifier.vault, &device.id, &claims.nonce, verifier.now)?;
        if device.vouching.challenged_at.is_some_and(|last| challenged_at <= last) {
            return Err(DocumentRefusal::NonceUsed);
        }
        Ok(device.challenged(challenged_at))
    }
}

/// Why a statement is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DocumentRefusal {
    /// Signed by the device key, by an unknown key, or by a key that does not count.
    #[error("must be signed by a presence key of the device that counts, whose thumbprint is kid")]
    PresenceRequired,
    /// Not a JWS, of another type, about something else, or with an invalid signature.
    #[error(
        "must be a compact JWS of typ nodkey-document+jwt over iss (the device identifier), aud (the gateway's public URL), hash, nonce and iat; {0}"
    )]
    Invalid(JoseError),
    /// The nonce was not made here for this device, or has expired.
    #[error(transparent)]
    Nonce(#[from] NonceError),
    /// The nonce, or a later one, has been used.
    #[error("the nonce, or a later one, has already been used")]
    NonceUsed,
}

impl Classify for DocumentRefusal {
    fn kind(&self) -> Kind {
        match self {
            Self::PresenceRequired => Kind::Forbidden,
            Self::Invalid(_) | Self::Nonce(NonceError::Unknown) => Kind::Invalid,
            Self::Nonce(NonceError::Expired) => Kind::Gone,
            Self::NonceUsed => Kind::Conflict,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::PresenceRequired => "PRESENCE_REQUIRED",
            Self::Invalid(_) => "DOCUMENT_STATEMENT_INVALID",
            Self::Nonce(NonceError::Unknown) => "DEVICE_CHALLENGE_UNKNOWN",
            Self::Nonce(NonceError::Expired) => "DEVICE_CHALLENGE_EXPIRED",
            Self::NonceUsed => "DEVICE_CHALLENGE_USED",
        }
    }

    fn field_violations(&self) -> Vec<FieldViolation> {
        vec![FieldViolation::new("statement", self.to_string())]
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::{
        document_statement::{DocumentStatementClaims, sign_document_statement},
        id::RelyingPartyId,
        jose::{Algorithm, PrivateKey},
        random::Random,
        time::Timestamp,
        vault::Vault,
    };

    use super::*;
    use crate::domain::{
        Change,
        device::{Patch, Platform, PresenceKeys, Registration, RegistrationFields},
        device_challenge::DeviceChallenge,
        document::DocumentType,
    };

    const GATEWAY: &str = "https://auth.example";
    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn key(seed: u64) -> PrivateKey {
        PrivateKey::generate(Algorithm::Es256, &Random::seeded(seed))
    }

    fn presence(key: &PrivateKey) -> PresenceKeys {
        PresenceKeys { biometric: Some(key.public()), credential: None }
    }

    fn verifier(vault: &Vault) -> Verifier<'_> {
        Verifier { audience: GATEWAY, vault, now: NOW }
    }

    /// A device with these keys, registered without a key statement.
    fn device(key: &PrivateKey, biometric: &PrivateKey, vault: &Vault) -> Device {
        let fields = RegistrationFields {
            device_key: &key.public().to_value().to_string(),
            presence: Ok(presence(biometric)),
            name: "",
            platform: Ok(Platform::Other),
            app_version: "",
            statement: None,
        };
        let party = RelyingPartyId::generate(NOW, &Random::seeded(1));
        Device::register(party, Registration::parse(fields).unwrap(), verifier(vault)).unwrap()
    }

    #[test]
    fn only_a_presence_key_that_counts_vouches_for_the_very_document_once() {
        let (vault, own, biometric, stranger) = (Vault::new(&[1; 32]), key(1), key(2), key(3));
        let registered = device(&own, &biometric, &vault);
        let scan = Scan { hash: "licence".into(), document_type: DocumentType::AamvaDriversLicense };
        let nonce = |at| DeviceChallenge::issue(&vault, &registered.id, at).nonce;
        let claims = DocumentStatementClaims {
            iss: registered.id.to_string(),
            aud: GATEWAY.into(),
            hash: "licence".into(),
            nonce: nonce(NOW),
            iat: NOW.as_seconds(),
        };
        let verify = |device: &Device, claims: &DocumentStatementClaims, by: &PrivateKey| {
            let sent = SentDocumentStatement::parse(&sign_document_statement(claims, by)).unwrap();
            sent.verify(device.clone(), &scan, verifier(&vault))
        };
        let spent = verify(&registered, &claims, &biometric).unwrap();
        assert_eq!((spent.vouching.challenged_at, spent.version), (Some(NOW), 2));
        assert!(crate::invariants::check_device(&spent).is_ok());
        assert_eq!(verify(&spent, &claims, &biometric), Err(DocumentRefusal::NonceUsed));
        for by in [&own, &stranger] {
            assert_eq!(verify(&registered, &claims, by), Err(DocumentRefusal::PresenceRequired));
        }
        for other in [
            DocumentStatementClaims { iss: "another".into(), ..claims.clone() },
            DocumentStatementClaims { aud: "https://else.example".into(), ..claims.clone() },
            DocumentStatementClaims { hash: "passport".into(), ..claims.clone() },
        ] {
            assert_eq!(verify(&registered, &other, &biometric), Err(DocumentRefusal::Invalid(JoseError::Claims)), "{other:?}");
        }
        let unknown = DocumentStatementClaims { nonce: "n".into(), ..claims.clone() };
        assert_eq!(verify(&registered, &unknown, &biometric), Err(DocumentRefusal::Nonce(NonceError::Unknown)));
        let old = DocumentStatementClaims { nonce: nonce(Timestamp::from_seconds(NOW.as_seconds() - 600)), ..claims.clone() };
        assert_eq!(verify(&registered, &old, &biometric), Err(DocumentRefusal::Nonce(NonceError::Expired)));
        // A key that only the device key vouched for does not count.
        let patch = Patch::parse(Ok(presence(&stranger)), None, None, None).unwrap();
        let Change::Changed(swapped) = registered.clone().update(patch, verifier(&vault)).unwrap() else { panic!("it changes") };
        for by in [&stranger, &biometric] {
            assert_eq!(verify(&swapped, &claims, by), Err(DocumentRefusal::PresenceRequired));
        }
    }
}
