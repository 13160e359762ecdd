//! The errors of the trusonafication service, classified once.

use std::time::Duration;

use nodkey_kernel::error::{Classify, FieldViolation, Kind, retry_seconds};
use nodkey_runtime::Failure;

use crate::domain::Refusal;

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A domain rule refuses the request.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The user has no device that can answer.
    #[error("the user has no active device: create and activate a binding first")]
    UserHasNoActiveDevice,
    /// A frozen user is not prompted and cannot answer until released.
    #[error("the user is frozen: release them first, once you know that they have their phones")]
    UserFrozen,
    /// The device cannot answer.
    #[error("the device has no active binding: create and activate one first")]
    DeviceHasNoActiveBinding,
    /// The executive level needs a document, and the user has none.
    #[error("the user must show a document, but has none that counts")]
    NoDocuments,
    /// Protects a user or device from a flood.
    #[error("too many trusonafications are already pending for this user or device")]
    TooManyPending {
        /// When the first of them ends if nobody answers.
        after: Duration,
    },
    /// The prompt budget of the user is used up.
    #[error("others prompted this user too often; try again in {} s, or let the user scan a code, which is exempt from this limit", retry_seconds(*after))]
    PromptBudget {
        /// When the next prompt is allowed if nobody answers the pending ones.
        after: Duration,
    },
    /// The user reported "not me".
    #[error("the user reported that a prompt was not their own; try again in {} s, or let the user scan a code, which is exempt from this limit", retry_seconds(*after))]
    PromptsHeld {
        /// When the next prompt is allowed.
        after: Duration,
    },
    /// Protects against prompts by others who learn of a code.
    #[error("this code has already been used for a prompt; show another one")]
    TruCodeUsed,
    /// Protects the deployment from a flood for all users together.
    #[error("the relying party has {limit} trusonafications in progress, which is its limit (open_trusonafications)")]
    TooManyOpen {
        /// The limit.
        limit: u32,
        /// When they are counted again.
        after: Duration,
    },
    /// The relying party requires six digits, and no target phone supports them.
    #[error("the relying party requires six digits, and none of the target devices supports them; have the user update the app")]
    NoSixDigits,
    /// The custom fields are too large.
    #[error("custom fields may be 1 MB at most")]
    CustomFieldsTooLarge,
    /// The answering device is retired.
    #[error("the device is retired")]
    DeviceRetired,
    /// The answering device is bound to nobody.
    #[error("the device is not bound to a user")]
    DeviceNotBound,
    /// The binding of the answering device is not activated yet.
    #[error("the binding of the device is not active")]
    DeviceNotActive,
    /// The page's origin is not allowed.
    #[error("pages of this origin may not create codes; add it to the relying party's allowed origins")]
    OriginNotAllowed,
    /// Without proof, any device could be paired.
    #[error("pairing needs a proof signed by the device's key")]
    ProofRequired,
    /// A failure that any use case may run into.
    #[error(transparent)]
    Failure(Failure),
    /// This process is about to stop; the same request to another process may work immediately.
    #[error("this server is shutting down")]
    Stopping,
    /// Nothing can end before its receipt can be verified; a retry will succeed soon.
    #[error("no signing key is published yet")]
    NoSigningKey,
    /// Concurrent requests kept changing the same row; a retry may succeed soon.
    #[error("too many concurrent changes of the same object; try again")]
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
