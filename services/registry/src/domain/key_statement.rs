//! Key statements: the device key signs which presence keys belong to the device, so that nobody else can swap one, not even the registry.

use nodkey_kernel::{
    error::{Classify, FieldViolation, Kind},
    id::DeviceId,
    jose::{PublicJwk, jws::Compact},
    key_statement::{KEYS_TYP, KeyStatementClaims, PresenceKind, verify_key_signature, verify_key_statement},
    time::Timestamp,
    vault::Vault,
};

use super::{
    Refusal,
    device::PresenceKeys,
    device_challenge::{self, NonceError},
};

/// Maximum length of a statement or signature, in characters.
const MAX_LENGTH: usize = 4096;
/// Maximum number of signatures: one by a key of each kind, and one by each key they replace.
const MAX_SIGNATURES: usize = 4;
/// Maximum `seq`: the largest integer that every JSON parser reads exactly.
const MAX_SEQ: u64 = (1 << 53) - 1;

/// A statement sent by a phone, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentStatement {
    jws: String,
    signatures: Vec<String>,
}

impl SentStatement {
    /// Parses the fields of a request; `None` if it has no statement.
    pub fn parse(jws: &str, signatures: &[String]) -> Result<Option<Self>, Refusal> {
        if jws.is_empty() {
            return if signatures.is_empty() { Ok(None) } else { Err(Refusal::invalid("key_signatures", "need a key_statement")) };
        }
        if jws.len() > MAX_LENGTH {
            return Err(Refusal::invalid("key_statement", "must be at most 4096 characters"));
        }
        if signatures.len() > MAX_SIGNATURES || signatures.iter().any(|signature| signature.len() > MAX_LENGTH) {
            return Err(Refusal::invalid("key_signatures", "must be at most 4, each at most 4096 characters"));
        }
        Ok(Some(Self { jws: jws.to_owned(), signatures: signatures.to_vec() }))
    }
}

/// A verified statement with its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStatement {
    /// JWS signed by the device key.
    pub jws: String,
    /// JWS over the same claims, signed by presence keys.
    pub signatures: Vec<String>,
}

impl KeyStatement {
    /// Whether the statement names exactly these keys. Does not verify signatures.
    #[must_use]
    pub fn covers(&self, keys: &PresenceKeys) -> bool {
        let claims = Compact::parse(&self.jws).and_then(|jws| jws.unverified_claims::<KeyStatementClaims>());
        claims.is_ok_and(|claims| names(&claims, keys))
    }
}

/// What a device has vouched for, and what is needed to detect an old statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vouching {
    /// Statement that names exactly the presence keys of the device; a device without one is uncertified.
    pub statement: Option<KeyStatement>,
    /// `seq` of the last statement, even if its keys are gone; 0 before the first.
    pub seq: u64,
    /// When the last used nonce was made.
    pub challenged_at: Option<Timestamp>,
}

/// What statements are verified against.
#[derive(Debug, Clone, Copy)]
pub struct Verifier<'a> {
    /// The deployment: the gateway's public URL.
    pub audience: &'a str,
    /// Vault that issued the nonces.
    pub vault: &'a Vault,
    /// Current time.
    pub now: Timestamp,
}

impl Vouching {
    /// Thumbprints of the presence keys that signed the statement. Their signatures were verified when it was accepted.
    #[must_use]
    pub fn signers(&self) -> Vec<String> {
        let signatures = self.statement.iter().flat_map(|statement| &statement.signatures);
        signatures.filter_map(|jws| Compact::parse(jws).ok()?.header().kid.clone()).collect()
    }

    /// What the device vouches for once its presence keys change from `before` to `after`.
    ///
    /// Repeating the last statement changes nothing, so that requests may be repeated. Without a new statement, the existing one is kept
    /// only if the keys are unchanged: an old statement never vouches for a new key.
    pub fn renew(
        self,
        sent: Option<&SentStatement>,
        device: &PublicJwk,
        before: &PresenceKeys,
        after: &PresenceKeys,
        verifier: Verifier<'_>,
    ) -> Result<Self, StatementRefusal> {
        let Some(sent) = sent else {
            let statement = self.statement.filter(|_| before == after);
            return Ok(Self { statement, ..self });
        };
        if before == after && self.statement.as_ref().is_some_and(|made| made.jws == sent.jws) {
            return Ok(self);
        }
        let compact = Compact::parse(&sent.jws).map_err(|_| StatementRefusal::Malformed)?;
        if compact.header().typ.as_deref() != Some(KEYS_TYP) {
            return Err(StatementRefusal::Malformed);
        }
        let claims: KeyStatementClaims = compact.unverified_claims().map_err(|_| StatementRefusal::Malformed)?;
        compact.verify::<KeyStatementClaims>(device, KEYS_TYP).map_err(|_| StatementRefusal::Signature)?;
        if claims.iss != device.thumbprint() {
            return Err(StatementRefusal::Issuer);
        }
        if !claims.aud.includes(verifier.audience) {
            return Err(StatementRefusal::Audience);
        }
        // Evidence is verified offline with this statement alone.
        if !names(&claims, after) || verify_key_statement(&sent.jws, device, verifier.audience).is_err() {
            return Err(StatementRefusal::Keys);
        }
        if claims.seq <= self.seq || claims.seq > MAX_SEQ {
            return Err(StatementRefusal::Outdated);
        }
        let device = DeviceId::parse(&claims.iss).map_err(|_| StatementRefusal::Issuer)?;
        let challenged_at = device_challenge::verify(verifier.vault, &device, &claims.nonce, verifier.now)?;
        if self.challenged_at.is_some_and(|last| challenged_at <= last) {
            return Err(StatementRefusal::NonceUsed);
        }
        for signature in &sent.signatures {
            verify_signature(signature, &claims, before, after)?;
        }
        let statement = KeyStatement { jws: sent.jws.clone(), signatures: sent.signatures.clone() };
        Ok(Self { statement: Some(statement), seq: claims.seq, challenged_at: Some(challenged_at) })
    }
}

/// Whether a statement names exactly these keys, in any order.
fn names(claims: &KeyStatementClaims, keys: &PresenceKeys) -> bool {
    let is_named = |(kind, key): (PresenceKind, PublicJwk)| {
        let jkt = key.thumbprint();
        claims.keys.iter().any(|stated| stated.kind == kind && stated.jkt == jkt)
    };
    claims.keys.len() == keys.iter().count() && keys.iter().all(is_named)
}

/// Verifies a signature by a presence key of the device, current or previous: a key may vouch for its replacement.
fn verify_signature(
    signature: &str,
    claims: &KeyStatementClaims,
    before: &PresenceKeys,
    after: &PresenceKeys,
) -> Result<(), StatementRefusal> {
    let compact = Compact::parse(signature).map_err(|_| StatementRefusal::CoSignature)?;
    let kid = compact.header().kid.as_deref().ok_or(StatementRefusal::CoSignature)?;
    let mut keys = after.iter().chain(before.iter());
    let (_, key) = keys.find(|(_, key)| key.thumbprint() == kid).ok_or(StatementRefusal::CoSignature)?;
    verify_key_signature(signature, claims, &key).map_err(|_| StatementRefusal::CoSignature)
}

/// Why a statement is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementRefusal {
    /// Not a JWS, of another type, or without the required claims.
    #[error("must be a compact JWS of typ nodkey-keys+jwt with iss, aud, seq, keys, nonce and iat")]
    Malformed,
    /// Signed by another key.
    #[error("must be signed by the device key")]
    Signature,
    /// About another device.
    #[error("iss must be the device identifier")]
    Issuer,
    /// For another deployment.
    #[error("aud must be the gateway's public URL")]
    Audience,
    /// Names other keys.
    #[error("keys must name exactly the presence keys that the device is to have, by kind and thumbprint")]
    Keys,
    /// A later statement exists.
    #[error("seq must be greater than that of the statement before, and at most 2^53 - 1")]
    Outdated,
    /// The nonce was not made here for this device, or has expired.
    #[error(transparent)]
    Nonce(#[from] NonceError),
    /// The nonce, or a later one, has been used.
    #[error("the nonce, or a later one, has already been used")]
    NonceUsed,
    /// A signature is not by a presence key over these claims.
    #[error(
        "each must be a JWS over the claims of the statement by the presence key that kid names: one of the statement, or one it replaces"
    )]
    CoSignature,
}

impl StatementRefusal {
    const fn field(self) -> &'static str {
        if matches!(self, Self::CoSignature) { "key_signatures" } else { "key_statement" }
    }
}

impl Classify for StatementRefusal {
    fn kind(&self) -> Kind {
        match self {
            Self::Outdated | Self::NonceUsed => Kind::Conflict,
            Self::Nonce(NonceError::Expired) => Kind::Gone,
            _ => Kind::Invalid,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Malformed => "KEY_STATEMENT_MALFORMED",
            Self::Signature => "KEY_STATEMENT_SIGNATURE",
            Self::Issuer => "KEY_STATEMENT_ISSUER",
            Self::Audience => "KEY_STATEMENT_AUDIENCE",
            Self::Keys => "KEY_STATEMENT_KEYS",
            Self::Outdated => "KEY_STATEMENT_OUTDATED",
            Self::Nonce(NonceError::Unknown) => "DEVICE_CHALLENGE_UNKNOWN",
            Self::Nonce(NonceError::Expired) => "DEVICE_CHALLENGE_EXPIRED",
            Self::NonceUsed => "DEVICE_CHALLENGE_USED",
            Self::CoSignature => "KEY_SIGNATURE_INVALID",
        }
    }

    fn field_violations(&self) -> Vec<FieldViolation> {
        vec![FieldViolation::new(self.field(), self.to_string())]
    }
}

#[cfg(test)]
pub(super) mod tests;
