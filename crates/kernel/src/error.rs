//! What kinds of error there are. Each is mapped to gRPC once and to HTTP once.

use std::time::Duration;

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is wrong; the same one will never work.
    Invalid,
    /// Who calls is not proven.
    Unauthenticated,
    /// Who calls may not.
    Forbidden,
    /// There is no such thing, or it is another relying party's.
    NotFound,
    /// Something else was first.
    Conflict,
    /// It is over.
    Gone,
    /// Something else has to happen first.
    Precondition,
    /// The request is too large.
    TooLarge,
    /// A limit is reached; later may work.
    Exhausted,
    /// Something we depend on is away; the same request may work soon.
    Unavailable,
    /// Our fault.
    Internal,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Invalid,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::Gone,
        Self::Precondition,
        Self::TooLarge,
        Self::Exhausted,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The stable name.
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

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Name of the field in the proto, `user_identifier`.
    pub field: String,
    /// What is wrong, for people: `must not be blank`.
    pub description: String,
}

impl FieldViolation {
    /// Makes one.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

/// An error that knows its kind.
pub trait Classify: std::error::Error {
    /// What the caller can do about it.
    fn kind(&self) -> Kind;

    /// Stable, upper case, part of the interface: `DEVICE_ALREADY_BOUND`.
    fn reason(&self) -> &'static str;

    /// Which of the causes that the reason covers it was, where callers may know: stable, lower case, part of the interface.
    fn cause_code(&self) -> Option<&'static str> {
        None
    }

    /// The fields that are wrong, if that is what is wrong.
    fn field_violations(&self) -> Vec<FieldViolation> {
        Vec::new()
    }

    /// After how long the same request may work, where that is known.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// An error with its causes, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
