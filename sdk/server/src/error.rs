//! Calls that are refused or fail.

use std::{fmt, time::Duration};

/// A call that was refused or failed. Compare [`reason`](Self::reason), which is stable, and never [`message`](Self::message).
#[derive(Clone, Debug)]
pub struct Error {
    pub(crate) reason: String,
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) fields: Vec<FieldViolation>,
    pub(crate) retry_after: Option<Duration>,
}

impl Error {
    /// Stable, upper case: `USER_NOT_FOUND`. `docs/errors.md` lists all of them. These are not the server's: `INVALID_CREDENTIAL`,
    /// `INVALID_URL`, `INVALID_PARAMETER`, `UNEXPECTED_ANSWER` and `DEADLINE_EXCEEDED`.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What can be done about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// For people. Never with anything secret.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The invalid fields of the request, if that is the problem.
    #[must_use]
    pub fn fields(&self) -> &[FieldViolation] {
        &self.fields
    }

    /// After which time the same call may succeed, if the server knows.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Exhausted | ErrorKind::Unavailable)
    }

    /// An error that no server sent.
    pub(crate) fn client(reason: &str, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind, message: message.into(), fields: Vec::new(), retry_after: None }
    }

    /// A parameter that is not what it has to be.
    pub(crate) fn parameter(message: &str) -> Self {
        Self::client("INVALID_PARAMETER", ErrorKind::Invalid, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.reason)
    }
}

impl std::error::Error for Error {}

/// What can be done about an error (`docs/errors.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong, and always will be.
    Invalid,
    /// The credential is not accepted.
    Unauthenticated,
    /// The credential may not do this.
    Forbidden,
    /// There is no such thing, or it is another relying party's.
    NotFound,
    /// It contradicts something that happened before.
    Conflict,
    /// It is over.
    Gone,
    /// Something else has to happen first.
    Precondition,
    /// The request is too large.
    TooLarge,
    /// A limit is reached. Later it may succeed.
    Exhausted,
    /// The server cannot be reached, or cannot do it at the moment. Soon it may succeed.
    Unavailable,
    /// The server failed, or sent something that cannot be read.
    Internal,
}

impl ErrorKind {
    /// Its name in the APIs: `NOT_FOUND`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "INVALID",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::Conflict => "CONFLICT",
            Self::Gone => "GONE",
            Self::Precondition => "PRECONDITION",
            Self::TooLarge => "TOO_LARGE",
            Self::Exhausted => "EXHAUSTED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldViolation {
    /// The name of the field in `proto/`: `user_identifier`.
    pub field: String,
    /// For people: `must not be blank`.
    pub description: String,
}
