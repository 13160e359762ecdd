//! What the registry knows and how it may change. Pure: no I/O, no clock, no randomness.

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

/// After how long one more device may be registered where there are as many as may be: nobody knows when one of them is bound, and it is the
/// backend's next step with each.
const UNBOUND: Duration = Duration::from_mins(1);

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Fields are wrong.
    #[error("the request is not valid: {}", list(.0))]
    Invalid(Vec<FieldViolation>),
    /// There is no such thing, or it is another relying party's.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The id is taken.
    #[error("a relying party of this id exists")]
    RelyingPartyExists,
    /// The host is another relying party's.
    #[error("links of this host open another relying party's app")]
    HostTaken,
    /// Its time is over.
    #[error("the relying party is disabled")]
    RelyingPartyDisabled,
    /// A retired device never comes back; its key is dead.
    #[error("the device is retired; register again with a new key")]
    DeviceRetired,
    /// The key is registered elsewhere.
    #[error("the device key is in use; register with a new key")]
    DeviceKeyInUse,
    /// What the device says about its keys does not hold.
    #[error("the key statement is refused: {0}")]
    Statement(StatementRefusal),
    /// What two phones signed does not hold.
    #[error("the transfer is refused: {0}")]
    Transfer(TransferRefusal),
    /// What the device says about a document does not hold.
    #[error("the document statement is refused: {0}")]
    Document(DocumentRefusal),
    /// The phone itself did not ask for it.
    #[error("the phone does not prove that it asks for this: {0}")]
    Unproven(Unproven),
    /// Their phones prove nothing until they are released.
    #[error("the user is frozen: their backend has to release them first")]
    UserFrozen,
    /// Whoever has the app's credential registers devices without end.
    #[error("{0} devices are registered that nobody bound, as many as there may be (unbound_devices)")]
    TooManyUnboundDevices(u32),
    /// The device belongs to nobody.
    #[error("the device is not bound to a user")]
    DeviceNotBound,
    /// The binding waits for its activation.
    #[error("the binding of the device is not active")]
    DeviceNotActive,
    /// Operators do not come back.
    #[error("the operator is disabled; invite them anew")]
    OperatorDisabled,
    /// Invited and without a phone, or disabled.
    #[error("this phone belongs to no operator who may sign in")]
    OperatorNotActive,
    /// What somebody was asked is not a sign-in that begins a session.
    #[error("this is no sign-in, or it is over, or was used")]
    SignInNotAccepted,
    /// It has proven to be another device's.
    #[error("one of these presence keys is another device's")]
    PresenceKeyInUse,
    /// The device has no such presence key.
    #[error("the device has no presence key of this thumbprint")]
    NoSuchKey,
    /// Another service published it.
    #[error("this key is another service's")]
    SigningKeyTaken,
    /// The registry publishes its own, and others have none.
    #[error("this service has no signing keys to publish")]
    NotAnOwner,
    /// The service whose it is signs it by a key of its own.
    #[error("what has this typ is signed by a key of another service")]
    NotSignedHere,
    /// A stolen session must not be enough for it.
    #[error("{0}")]
    ConfirmationRequired(&'static str),
    /// The operator key is nobody's phone.
    #[error("whoever holds the operator key confirms nothing: call the method itself")]
    NoPhone,
    /// The role of who asks for it does not suffice for what it is for.
    #[error("the role {0} may not call this method")]
    RoleTooLow(Role),
    /// One owner could lock out all of them by a slip.
    #[error("nobody does this to themselves: ask another owner, or use the operator key")]
    Yourself,
}

impl Refusal {
    /// One field is wrong.
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

/// What a transition did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<T> {
    /// Nothing: it was so already.
    Same(T),
    /// This is what it became, one version later.
    Changed(T),
}

/// Collects everything that is wrong with a request, so that it is told at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<FieldViolation>);

impl Violations {
    /// Takes a field, or notes what is wrong with it.
    pub fn check<T, E: ToString>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|e| self.0.push(FieldViolation::new(field, e.to_string()))).ok()
    }

    /// `Ok` when nothing was noted.
    pub fn finish(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(self.refusal()) }
    }

    /// Everything that was noted, as a refusal.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        Refusal::Invalid(self.0)
    }
}

/// A name that is not among those an enumeration has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be specified")]
pub struct Unknown;
