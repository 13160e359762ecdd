//! Transfers: a phone hands its binding to a new phone, or adds one to the user, authorized by its own key and by the person who holds it.

use nodkey_kernel::{
    error::{Classify, FieldViolation, Kind},
    id::DeviceId,
    jose::{JoseError, jws::Compact},
    time::Timestamp,
    transfer::{TransferAct, TransferClaims, TransferRequestClaims, verify_transfer, verify_transfer_request, verify_transfer_signature},
};

use super::{
    Refusal,
    device::Device,
    device_challenge::{self, NonceError},
    key_statement::Verifier,
    relying_party::PhoneSettings,
};

/// Maximum length of each of the three parts, in characters.
const MAX_LENGTH: usize = 4096;

/// What two phones signed, as received and not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentTransfer {
    statement: String,
    signature: String,
    request: String,
    new: DeviceId,
}

/// A verified transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The phone that is bound.
    pub old: DeviceId,
    /// The new phone.
    pub new: DeviceId,
    /// What the transfer does.
    pub act: TransferAct,
    /// When the nonce of the statement was made.
    pub challenged_at: Timestamp,
}

impl SentTransfer {
    /// Parses the fields of a request.
    pub fn parse(statement: &str, signature: &str, request: &str) -> Result<Self, TransferRefusal> {
        if [statement, signature, request].iter().any(|jws| jws.len() > MAX_LENGTH) {
            return Err(TransferRefusal::TooLong);
        }
        let claims = Compact::parse(request).and_then(|jws| jws.unverified_claims::<TransferRequestClaims>());
        let new = claims.ok().and_then(|claims| DeviceId::parse(&claims.iss).ok()).ok_or(TransferRefusal::Request(JoseError::Malformed))?;
        Ok(Self { statement: statement.to_owned(), signature: signature.to_owned(), request: request.to_owned(), new })
    }

    /// The new phone as named in the request, not yet verified.
    #[must_use]
    pub const fn new_device(&self) -> &DeviceId {
        &self.new
    }

    /// Verifies that the old phone, the person who holds it and the new phone have signed this transfer within the last ten minutes.
    pub fn verify(&self, old: &Device, new: &Device, verifier: Verifier<'_>) -> Result<Transfer, Refusal> {
        old.ensure_alive()?;
        new.ensure_alive()?;
        let statement = verify_transfer(&self.statement, &old.key, verifier.audience).map_err(TransferRefusal::Statement)?;
        if statement.sub != new.id.as_str() {
            return Err(TransferRefusal::Statement(JoseError::Claims).into());
        }
        ensure_present(&self.signature, &statement, old)?;
        let request = verify_transfer_request(&self.request, &new.key, verifier.audience).map_err(TransferRefusal::Request)?;
        let nonce = |device: &Device, nonce: &str, field| {
            device_challenge::verify(verifier.vault, &device.id, nonce, verifier.now).map_err(|e| TransferRefusal::Nonce(field, e))
        };
        nonce(new, &request.nonce, "request")?;
        let challenged_at = nonce(old, &statement.nonce, "statement")?;
        // A key statement of the old phone used this nonce, or a later one.
        if old.vouching.challenged_at.is_some_and(|last| challenged_at <= last) {
            return Err(TransferRefusal::NonceUsed.into());
        }
        Ok(Transfer { old: old.id.clone(), new: new.id.clone(), act: statement.act, challenged_at })
    }
}

/// The device key signs without user interaction, so a presence key that counts must have signed the same claims.
fn ensure_present(signature: &str, statement: &TransferClaims, device: &Device) -> Result<(), TransferRefusal> {
    let compact = Compact::parse(signature).map_err(|_| TransferRefusal::Presence)?;
    let kid = compact.header().kid.as_deref().ok_or(TransferRefusal::Presence)?;
    let signer = device.profile.presence.iter().find(|(_, key)| key.thumbprint() == kid);
    let (_, key) = signer.filter(|(kind, _)| device.standings.of(*kind).counts).ok_or(TransferRefusal::Presence)?;
    verify_transfer_signature(signature, statement, &key).map_err(|_| TransferRefusal::Presence)
}

impl PhoneSettings {
    /// Refuses an act that the relying party does not allow phones to perform.
    pub const fn ensure_allow(self, act: TransferAct) -> Result<(), TransferRefusal> {
        match act {
            TransferAct::Replace if self.refuse_transfers => Err(TransferRefusal::NotAllowed),
            TransferAct::Add if !self.phones_add_phones => Err(TransferRefusal::NotAllowed),
            TransferAct::Replace | TransferAct::Add => Ok(()),
        }
    }
}

/// Why a transfer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransferRefusal {
    /// A part is too long.
    #[error("statement, signature and request must be at most 4096 characters each")]
    TooLong,
    /// The statement is not by the bound phone, about this new phone and for this deployment.
    #[error(
        "must be a compact JWS of typ nodkey-transfer+jwt by the device key, with iss the device identifier, sub that of the new phone, aud the \
         gateway's public URL, act, nonce and iat; {0}"
    )]
    Statement(JoseError),
    /// The person who holds the phone did not sign.
    #[error("must be a JWS over the claims of the statement by a presence key of the device that counts, which kid names")]
    Presence,
    /// The new phone did not sign the request for this deployment.
    #[error(
        "must be a compact JWS of typ nodkey-transfer-request+jwt by the device key of the new phone, with iss its device identifier, aud the \
         gateway's public URL and nonce; {0}"
    )]
    Request(JoseError),
    /// The nonce was not made here for this device, or has expired.
    #[error("{1}")]
    Nonce(&'static str, NonceError),
    /// The nonce, or a later one, has been used.
    #[error("the nonce, or a later one, has already been used")]
    NonceUsed,
    /// The relying party does not allow it; it binds phones itself.
    #[error("the relying party does not let phones do this: the backend has to bind the new phone")]
    NotAllowed,
}

impl Classify for TransferRefusal {
    fn kind(&self) -> Kind {
        match self {
            Self::TooLong | Self::Statement(_) | Self::Request(_) | Self::Nonce(_, NonceError::Unknown) => Kind::Invalid,
            Self::Presence | Self::NotAllowed => Kind::Forbidden,
            Self::Nonce(_, NonceError::Expired) => Kind::Gone,
            Self::NonceUsed => Kind::Conflict,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::TooLong => "VALIDATION_FAILED",
            Self::Statement(_) => "TRANSFER_STATEMENT_INVALID",
            Self::Presence => "TRANSFER_PRESENCE_REQUIRED",
            Self::Request(_) => "TRANSFER_REQUEST_INVALID",
            Self::Nonce(_, NonceError::Unknown) => "DEVICE_CHALLENGE_UNKNOWN",
            Self::Nonce(_, NonceError::Expired) => "DEVICE_CHALLENGE_EXPIRED",
            Self::NonceUsed => "DEVICE_CHALLENGE_USED",
            Self::NotAllowed => "TRANSFER_NOT_ALLOWED",
        }
    }

    fn field_violations(&self) -> Vec<FieldViolation> {
        let field = match self {
            Self::TooLong | Self::Statement(_) | Self::NonceUsed => "statement",
            Self::Presence => "signature",
            Self::Request(_) => "request",
            Self::Nonce(field, _) => field,
            Self::NotAllowed => return Vec::new(),
        };
        vec![FieldViolation::new(field, self.to_string())]
    }
}

impl From<TransferRefusal> for Refusal {
    fn from(refusal: TransferRefusal) -> Self {
        Self::Transfer(refusal)
    }
}

#[cfg(test)]
mod tests;
