//! The registry's state and its transitions. Pure: no I/O, no clock, no randomness.

pub mod app_links;
pub mod audit;
pub mod capability;
pub mod confirmation;
pub mod credential;
pub mod device;
pub mod device_challenge;
pub mod document;
pub mod document_statement;
pub mod key_statement;
pub mod operator;
pub mod phone_call;
pub mod relying_party;
pub mod retention;
pub mod signing_key;
pub mod standing;
pub mod text;
pub mod transfer;

use std::time::Duration;

use nodkey_kernel::{
    dpop::Unproven,
    error::{Classify, FieldViolation, Kind},
    role::Role,
};

use document_statement::DocumentRefusal;
use key_statement::StatementRefusal;
use transfer::TransferRefusal;

/// Retry delay when the limit of unbound devices is reached. It is not known when one of them will be bound, but binding is the backend's
/// next step with each.
const UNBOUND: Duration = Duration::from_mins(1);

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Fields are not valid.
    #[error("the request is not valid: {}", list(.0))]
    Invalid(Vec<FieldViolation>),
    /// It does not exist, or belongs to another relying party.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The id is already in use.
    #[error("a relying party with this id already exists")]
    RelyingPartyExists,
    /// The host belongs to another relying party.
    #[error("links of this host open another relying party's app")]
    HostTaken,
    /// The relying party is disabled.
    #[error("the relying party is disabled")]
    RelyingPartyDisabled,
    /// The device is retired, which is permanent.
    #[error("the device is retired; register again with a new key")]
    DeviceRetired,
    /// The key is registered elsewhere.
    #[error("the device key is in use; register with a new key")]
    DeviceKeyInUse,
    /// The key statement is not valid.
    #[error("the key statement is refused: {0}")]
    Statement(StatementRefusal),
    /// What two phones signed is not a valid transfer.
    #[error("the transfer is refused: {0}")]
    Transfer(TransferRefusal),
    /// The document statement is not valid.
    #[error("the document statement is refused: {0}")]
    Document(DocumentRefusal),
    /// The request does not match a call signed by the phone itself.
    #[error("the phone did not sign this request: {0}")]
    Unproven(Unproven),
    /// Phones of a frozen user are refused until the backend releases the user.
    #[error("the user is frozen: the backend has to release them first")]
    UserFrozen,
    /// Protects against a holder of the app's credential who registers devices without end.
    #[error("the limit of {0} unbound devices is reached (unbound_devices)")]
    TooManyUnboundDevices(u32),
    /// The device is bound to nobody.
    #[error("the device is not bound to a user")]
    DeviceNotBound,
    /// The binding is not activated yet.
    #[error("the binding of the device is not active")]
    DeviceNotActive,
    /// A disabled operator cannot be enabled again.
    #[error("the operator is disabled; invite them anew")]
    OperatorDisabled,
    /// The operator has no phone yet, or is disabled.
    #[error("this phone does not belong to an operator who may sign in")]
    OperatorNotActive,
    /// The trusonafication is not an accepted sign-in, or was already used.
    #[error("this is not an accepted sign-in, or it has expired or been used")]
    SignInNotAccepted,
    /// Another device has proven to hold the key.
    #[error("one of these presence keys belongs to another device")]
    PresenceKeyInUse,
    /// The device has no such presence key.
    #[error("the device has no presence key with this thumbprint")]
    NoSuchKey,
    /// Another service published the key.
    #[error("this key belongs to another service")]
    SigningKeyTaken,
    /// The registry publishes its own keys itself, and other services have none.
    #[error("this service has no signing keys to publish")]
    NotAnOwner,
    /// The service that owns this `typ` signs it with a key of its own.
    #[error("tokens of this typ are signed with a key of another service")]
    NotSignedHere,
    /// A stolen session must not be enough for this method.
    #[error("{0}")]
    ConfirmationRequired(&'static str),
    /// The operator key has no phone to confirm with.
    #[error("the operator key needs no confirmation: call the method directly")]
    NoPhone,
    /// The caller's role may not call the method to be confirmed.
    #[error("the role {0} may not call this method")]
    RoleTooLow(Role),
    /// An owner could lock out all owners by mistake.
    #[error("operators cannot do this to themselves: ask another owner, or use the operator key")]
    Yourself,
}

impl Refusal {
    /// Refuses a single field.
    pub fn invalid(field: &str, description: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldViolation::new(field, description)])
    }
}

impl From<StatementRefusal> for Refusal {
    fn from(refusal: StatementRefusal) -> Self {
        Self::Statement(refusal)
    }
}

impl From<DocumentRefusal> for Refusal {
    fn from(refusal: DocumentRefusal) -> Self {
        Self::Document(refusal)
    }
}

fn list(violations: &[FieldViolation]) -> String {
    let each: Vec<_> = violations.iter().map(|v| format!("{} {}", v.field, v.description)).collect();
    each.join("; ")
}

impl Classify for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::Invalid(_) | Self::NoSuchKey => Kind::Invalid,
            Self::NotFound(_) => Kind::NotFound,
            Self::RelyingPartyExists | Self::DeviceKeyInUse | Self::PresenceKeyInUse | Self::HostTaken | Self::SigningKeyTaken => {
                Kind::Conflict
            }
            Self::TooManyUnboundDevices(_) => Kind::Exhausted,
            Self::SignInNotAccepted | Self::NotSignedHere | Self::UserFrozen | Self::ConfirmationRequired(_) => Kind::Precondition,
            Self::Statement(e) => e.kind(),
            Self::Transfer(e) => e.kind(),
            Self::Document(e) => e.kind(),
            Self::RelyingPartyDisabled
            | Self::DeviceRetired
            | Self::Unproven(_)
            | Self::DeviceNotBound
            | Self::DeviceNotActive
            | Self::OperatorDisabled
            | Self::OperatorNotActive
            | Self::NotAnOwner
            | Self::NoPhone
            | Self::RoleTooLow(_)
            | Self::Yourself => Kind::Forbidden,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "VALIDATION_FAILED",
            Self::NotFound(_) => "NOT_FOUND",
            Self::RelyingPartyExists => "RELYING_PARTY_EXISTS",
            Self::HostTaken => "HOST_TAKEN",
            Self::RelyingPartyDisabled => "RELYING_PARTY_DISABLED",
            Self::DeviceRetired => "DEVICE_RETIRED",
            Self::DeviceKeyInUse => "DEVICE_KEY_IN_USE",
            Self::PresenceKeyInUse => "PRESENCE_KEY_IN_USE",
            Self::NoSuchKey => "NO_SUCH_PRESENCE_KEY",
            Self::Statement(e) => e.reason(),
            Self::Transfer(e) => e.reason(),
            Self::Document(e) => e.reason(),
            Self::Unproven(_) => "INVALID_PROOF",
            Self::UserFrozen => "USER_FROZEN",
            Self::TooManyUnboundDevices(_) => "TOO_MANY_UNBOUND_DEVICES",
            Self::DeviceNotBound => "DEVICE_NOT_BOUND",
            Self::DeviceNotActive => "DEVICE_NOT_ACTIVE",
            Self::OperatorDisabled => "OPERATOR_DISABLED",
            Self::OperatorNotActive => "OPERATOR_NOT_ACTIVE",
            Self::SignInNotAccepted => "SIGN_IN_NOT_ACCEPTED",
            Self::ConfirmationRequired(_) => "CONFIRMATION_REQUIRED",
            Self::SigningKeyTaken => "SIGNING_KEY_TAKEN",
            Self::NotAnOwner | Self::NoPhone | Self::RoleTooLow(_) => "NOT_ALLOWED",
            Self::NotSignedHere => "NOT_SIGNED_HERE",
            Self::Yourself => "NOT_YOURSELF",
        }
    }

    fn cause_code(&self) -> Option<&'static str> {
        match self {
            Self::Unproven(unproven) => Some(unproven.cause_code()),
            _ => None,
        }
    }

    fn field_violations(&self) -> Vec<FieldViolation> {
        match self {
            Self::Invalid(violations) => violations.clone(),
            Self::Statement(e) => e.field_violations(),
            Self::Transfer(e) => e.field_violations(),
            Self::Document(e) => e.field_violations(),
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::TooManyUnboundDevices(_)).then_some(UNBOUND)
    }
}

/// The result of a transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<T> {
    /// Nothing changed.
    Same(T),
    /// The new state, one version later.
    Changed(T),
}

/// Collects all violations of a request, so that they are reported together.
#[derive(Debug, Default)]
pub struct Violations(Vec<FieldViolation>);

impl Violations {
    /// Returns the value of a field, or records its violation.
    pub fn check<T, E: ToString>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|e| self.0.push(FieldViolation::new(field, e.to_string()))).ok()
    }

    /// Returns `Ok` if there are no violations.
    pub fn finish(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(self.refusal()) }
    }

    /// All violations as a refusal.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        Refusal::Invalid(self.0)
    }
}

/// A name that is not a value of the enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be specified")]
pub struct Unknown;
