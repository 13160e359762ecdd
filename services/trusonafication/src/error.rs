//! What can go wrong, classified once.

use std::time::Duration;

use nodkey_kernel::error::{Classify, FieldViolation, Kind, retry_seconds};
use nodkey_runtime::Failure;

use crate::domain::Refusal;

/// A use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody can answer for this user.
    #[error("the user has no active device: create and activate a binding first")]
    UserHasNoActiveDevice,
    /// Nobody may be asked, and nobody answers, until the release.
    #[error("the user is frozen: release them first, once you know that their phones are in their hands")]
    UserFrozen,
    /// The device cannot answer.
    #[error("the device has no active binding: create and activate one first")]
    DeviceHasNoActiveBinding,
    /// The executive level needs a document, and the user has none.
    #[error("the user must show a document, but has none that counts")]
    NoDocuments,
    /// A flood.
    #[error("too many wait for this user or device already")]
    TooManyPending {
        /// After how long the first of them ends, if nobody answers.
        after: Duration,
    },
    /// Others prompted a user who did not accept.
    #[error("others prompted this user too often; again in {} s, or let the user scan a code: that is never refused because of others", retry_seconds(*after))]
    PromptBudget {
        /// After how long the same may be asked, if nobody answers what waits.
        after: Duration,
    },
    /// The user said that it was not them.
    #[error("the user said that it was not them who asked; again in {} s, or let the user scan a code: that is never refused because of others", retry_seconds(*after))]
    PromptsHeld {
        /// After how long the same may be asked.
        after: Duration,
    },
    /// Whoever learns of a code prompts by it again.
    #[error("this code was asked of before; show another one")]
    TruCodeUsed,
    /// A flood, of all users together.
    #[error("{limit} are in progress, as many as the relying party may have at once (open_trusonafications)")]
    TooManyOpen {
        /// As many as there may be.
        limit: u32,
        /// After how long they are counted again.
        after: Duration,
    },
    /// The relying party takes no fewer digits than its users' phones can.
    #[error(
        "none of the devices that would be asked can take six digits, and the relying party allows no fewer; have the user update the app"
    )]
    NoSixDigits,
    /// Beyond the limit.
    #[error("custom fields may be 1 MB at most")]
    CustomFieldsTooLarge,
    /// The answering device may not answer any more.
    #[error("the device is retired")]
    DeviceRetired,
    /// The answering device belongs to nobody.
    #[error("the device is not bound to a user")]
    DeviceNotBound,
    /// The answering device's binding waits for its activation code.
    #[error("the binding of the device is not active")]
    DeviceNotActive,
    /// A page of another site.
    #[error("pages of this origin may not make codes; add it to the relying party's allowed origins")]
    OriginNotAllowed,
    /// Anybody could pair anything.
    #[error("pairing needs a proof by the device's key")]
    ProofRequired,
    /// What any use case may run into.
    #[error(transparent)]
    Failure(Failure),
    /// This process is to stop; the same request to another may work at once.
    #[error("this server is about to stop")]
    Stopping,
    /// Nothing can end before its receipt can be verified; soon it will.
    #[error("no signing key is published yet")]
    NoSigningKey,
    /// Others changed the same thing again and again; the same request may work soon.
    #[error("others keep changing the same thing")]
    Raced,
}

impl<T: Into<Failure>> From<T> for Error {
    fn from(failure: T) -> Self {
        Self::Failure(failure.into())
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused(Refusal::InvalidResponse(_) | Refusal::NotInProgress | Refusal::InvalidPayload | Refusal::NumberMismatch)
            | Self::UserHasNoActiveDevice
            | Self::DeviceHasNoActiveBinding => Kind::Invalid,
            Self::Refused(Refusal::InvalidSignature | Refusal::NotAddressed)
            | Self::OriginNotAllowed
            | Self::ProofRequired
            | Self::DeviceRetired
            | Self::DeviceNotBound
            | Self::DeviceNotActive => Kind::Forbidden,
            Self::Refused(Refusal::Expired | Refusal::TooManyWrongNumbers) => Kind::Gone,
            Self::Refused(Refusal::AlreadyCompleted | Refusal::AlreadyPaired) | Self::TruCodeUsed => Kind::Conflict,
            Self::NoDocuments | Self::UserFrozen | Self::NoSixDigits => Kind::Precondition,
            Self::TooManyPending { .. } | Self::TooManyOpen { .. } | Self::PromptBudget { .. } | Self::PromptsHeld { .. } => {
                Kind::Exhausted
            }
            Self::CustomFieldsTooLarge => Kind::TooLarge,
            Self::Failure(e) => e.kind(),
            Self::Stopping | Self::NoSigningKey | Self::Raced => Kind::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Refused(Refusal::InvalidResponse(_)) => "INVALID_RESPONSE",
            Self::Refused(Refusal::InvalidSignature) => "INVALID_SIGNATURE",
            Self::Refused(Refusal::NotAddressed) => "NOT_ADDRESSED",
            Self::Refused(Refusal::Expired) => "EXPIRED",
            Self::Refused(Refusal::AlreadyCompleted) => "ALREADY_COMPLETED",
            Self::Refused(Refusal::NotInProgress) => "NOT_IN_PROGRESS",
            Self::Refused(Refusal::InvalidPayload) => "INVALID_PAYLOAD",
            Self::Refused(Refusal::AlreadyPaired) => "ALREADY_PAIRED",
            Self::Refused(Refusal::NumberMismatch) => "NUMBER_MISMATCH",
            Self::Refused(Refusal::TooManyWrongNumbers) => "TOO_MANY_WRONG_NUMBERS",
            Self::OriginNotAllowed => "ORIGIN_NOT_ALLOWED",
            Self::ProofRequired => "PROOF_REQUIRED",
            Self::UserHasNoActiveDevice => "USER_HAS_NO_ACTIVE_DEVICE",
            Self::DeviceHasNoActiveBinding => "DEVICE_HAS_NO_ACTIVE_BINDING",
            Self::UserFrozen => "USER_FROZEN",
            Self::NoDocuments => "NO_DOCUMENTS",
            Self::NoSixDigits => "NO_SIX_DIGITS",
            Self::TooManyPending { .. } => "TOO_MANY_PENDING",
            Self::TooManyOpen { .. } => "TOO_MANY_OPEN",
            Self::PromptBudget { .. } => "PROMPT_BUDGET_EXHAUSTED",
            Self::PromptsHeld { .. } => "PROMPTS_HELD",
            Self::TruCodeUsed => "TRUCODE_USED",
            Self::CustomFieldsTooLarge => "CUSTOM_FIELDS_TOO_LARGE",
            Self::DeviceRetired => "DEVICE_RETIRED",
            Self::DeviceNotBound => "DEVICE_NOT_BOUND",
            Self::DeviceNotActive => "DEVICE_NOT_ACTIVE",
            Self::Failure(e) => e.reason(),
            Self::Stopping => "STOPPING",
            Self::NoSigningKey => "NO_SIGNING_KEY",
            Self::Raced => "RACED",
        }
    }

    fn field_violations(&self) -> Vec<FieldViolation> {
        match self {
            Self::UserHasNoActiveDevice => vec![FieldViolation::new("user_identifier", "must have an active device")],
            Self::DeviceHasNoActiveBinding => vec![FieldViolation::new("device_identifier", "must have an active binding")],
            Self::Failure(e) => e.field_violations(),
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::PromptBudget { after }
            | Self::PromptsHeld { after }
            | Self::TooManyPending { after }
            | Self::TooManyOpen { after, .. } => Some(*after),
            Self::Failure(e) => e.retry_after(),
            _ => None,
        }
    }
}
