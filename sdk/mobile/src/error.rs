//! Errors, and what an app can do about them.

use std::{error, fmt, time::Duration};

use crate::{KeyStoreError, PresenceError, Untrusted};

/// What an app can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration is invalid: a URL, keys or certificate that the app was built with.
    Configuration,
    /// What was scanned, opened or entered is not what it has to be. Have the person try again.
    Input,
    /// The gateway cannot be reached. Every call may be repeated.
    Offline,
    /// The gateway cannot do it now. Repeat the call after [`Error::retry_after`].
    Busy,
    /// The gateway does not know this device: register it.
    NotRegistered,
    /// The device was retired permanently. Delete its keys, and register with new ones.
    Retired,
    /// The device is bound to no user, or not active yet. The app's backend does both.
    NotActive,
    /// The user is frozen: no phone of theirs can respond until their relying party releases them.
    Frozen,
    /// The request, or the code, is over: it was answered elsewhere, canceled, or expired. Stop showing it.
    Over,
    /// The gateway refused for another reason, which [`Error::reason`] names.
    Refused,
    /// The person did not confirm. Nothing was sent.
    Denied,
    /// The device cannot verify the person now, in no way for which there is a key.
    PresenceUnavailable,
    /// Too many failed attempts: the operating system does not verify the person for some time.
    PresenceLockedOut,
    /// The key store failed. The [source](error::Error::source) is a [`KeyStoreError`].
    KeyStore,
    /// Something is not signed by the deployment. Show nothing of it. The [source](error::Error::source) is [`Untrusted`].
    Untrusted,
    /// The gateway's response does not follow the protocol.
    Protocol,
}

/// Why a call of the phone failed.
///
/// It is displayed in English, for logs. It contains no secrets.
pub struct Error(Box<Failure>);

/// What happened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{reason}: {message}")]
    Refused { status: u16, reason: String, cause: String, message: String, retry_after: Duration },
    #[error("the gateway cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the gateway cannot be reached: {0}")]
    Cut(String),
    #[error("unexpected answer: {0}")]
    Protocol(String),
    #[error("the code cannot be trusted")]
    Untrusted(#[source] Untrusted),
    #[error("{0}")]
    Presence(PresenceError),
    #[error("{0}")]
    KeyStore(#[source] KeyStoreError),
    #[error("{0}")]
    Input(&'static str),
    #[error("{0}")]
    Expired(&'static str),
    #[error("{0}")]
    Configuration(String),
    #[error("{what}")]
    Certificate { what: &'static str, source: reqwest::Error },
}

impl Error {
    /// What an app can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &*self.0 {
            Failure::Refused { status, reason, cause, .. } => refused(*status, reason, cause),
            Failure::Unreachable(_) | Failure::Cut(_) => ErrorKind::Offline,
            Failure::Protocol(_) => ErrorKind::Protocol,
            Failure::Untrusted(_) => ErrorKind::Untrusted,
            Failure::Presence(PresenceError::Denied) => ErrorKind::Denied,
            Failure::Presence(PresenceError::Unavailable) => ErrorKind::PresenceUnavailable,
            Failure::Presence(PresenceError::LockedOut) => ErrorKind::PresenceLockedOut,
            Failure::Presence(PresenceError::KeyStore(_)) | Failure::KeyStore(_) => ErrorKind::KeyStore,
            Failure::Input(_) => ErrorKind::Input,
            Failure::Expired(_) => ErrorKind::Over,
            Failure::Configuration(_) | Failure::Certificate { .. } => ErrorKind::Configuration,
        }
    }

    /// Why the gateway refused: a stable word of `docs/errors.md`, such as `EXPIRED`. Empty if it did not say, or did not refuse.
    #[must_use]
    pub fn reason(&self) -> &str {
        if let Failure::Refused { reason, .. } = &*self.0 { reason } else { "" }
    }

    /// The HTTP status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        if let Failure::Refused { status, .. } = &*self.0 { Some(*status) } else { None }
    }

    /// What happened, in English, without the reason's word.
    #[must_use]
    pub fn message(&self) -> String {
        if let Failure::Refused { message, .. } = &*self.0 { message.clone() } else { self.to_string() }
    }

    /// Minimum delay after which a repetition may succeed; `None` if it will not.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match &*self.0 {
            Failure::Unreachable(_) | Failure::Cut(_) => Some(Duration::ZERO),
            Failure::Refused { status, retry_after, .. } if is_passing(*status) => Some(*retry_after),
            _ => None,
        }
    }

    pub(crate) fn untrusted(reason: Untrusted) -> Self {
        Failure::Untrusted(reason).into()
    }

    pub(crate) fn protocol(what: impl Into<String>) -> Self {
        Failure::Protocol(what.into()).into()
    }

    pub(crate) fn unreachable(error: reqwest::Error) -> Self {
        Failure::Unreachable(error).into()
    }

    pub(crate) fn configuration(what: impl Into<String>) -> Self {
        Failure::Configuration(what.into()).into()
    }
}

const fn is_passing(status: u16) -> bool {
    matches!(status, 429 | 502..=504)
}

fn refused(status: u16, reason: &str, cause: &str) -> ErrorKind {
    match (reason, status) {
        _ if is_passing(status) => ErrorKind::Busy,
        ("INVALID_PROOF", _) if cause == "unknown_device" => ErrorKind::NotRegistered,
        ("DEVICE_NOT_FOUND", _) => ErrorKind::NotRegistered,
        ("DEVICE_RETIRED", _) => ErrorKind::Retired,
        ("DEVICE_NOT_BOUND" | "DEVICE_NOT_ACTIVE", _) => ErrorKind::NotActive,
        ("USER_FROZEN", _) => ErrorKind::Frozen,
        ("ALREADY_COMPLETED" | "ALREADY_PAIRED" | "EXPIRED" | "TOO_MANY_WRONG_NUMBERS", _) => ErrorKind::Over,
        ("NUMBER_MISMATCH" | "INVALID_PAYLOAD" | "TRANSFER_REQUEST_INVALID", _) => ErrorKind::Input,
        _ => ErrorKind::Refused,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source()
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self(Box::new(failure))
    }
}

impl From<KeyStoreError> for Error {
    fn from(error: KeyStoreError) -> Self {
        Failure::KeyStore(error).into()
    }
}

impl From<PresenceError> for Error {
    fn from(error: PresenceError) -> Self {
        match error {
            PresenceError::KeyStore(error) => error.into(),
            error => Failure::Presence(error).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_kind_that_says_what_to_do() {
        for (status, reason, cause, kind) in [
            (401, "INVALID_PROOF", "unknown_device", ErrorKind::NotRegistered),
            (401, "INVALID_PROOF", "clock", ErrorKind::Refused),
            (424, "DEVICE_NOT_FOUND", "", ErrorKind::NotRegistered),
            (403, "DEVICE_RETIRED", "", ErrorKind::Retired),
            (403, "DEVICE_NOT_ACTIVE", "", ErrorKind::NotActive),
            (424, "USER_FROZEN", "", ErrorKind::Frozen),
            (409, "ALREADY_COMPLETED", "", ErrorKind::Over),
            (410, "EXPIRED", "", ErrorKind::Over),
            (422, "NUMBER_MISMATCH", "", ErrorKind::Input),
            (429, "RATE_LIMITED", "", ErrorKind::Busy),
            (503, "", "", ErrorKind::Busy),
            (500, "INTERNAL", "", ErrorKind::Refused),
            (418, "SOMETHING_NEW", "", ErrorKind::Refused),
        ] {
            let retry_after = Duration::from_secs(7);
            let (reason, cause, message) = (reason.to_owned(), cause.to_owned(), "no".to_owned());
            let error = Error::from(Failure::Refused { status, reason, cause, message, retry_after });
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(error.retry_after(), (kind == ErrorKind::Busy).then_some(retry_after), "{error}");
        }
    }
}
