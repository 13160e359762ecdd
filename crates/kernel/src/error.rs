//! Kinds of errors. Each is mapped to gRPC in one place and to HTTP in one place.

use std::time::Duration;

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is invalid; the same request will never succeed.
    Invalid,
    /// The caller is not authenticated.
    Unauthenticated,
    /// The caller lacks permission.
    Forbidden,
    /// The resource does not exist, or belongs to another relying party.
    NotFound,
    /// The request conflicts with an earlier change.
    Conflict,
    /// The resource has ended or expired.
    Gone,
    /// A precondition is not met: something else has to happen first.
    Precondition,
    /// The request is too large.
    TooLarge,
    /// A limit is reached; a later request may succeed.
    Exhausted,
    /// A dependency is unavailable; the same request may succeed soon.
    Unavailable,
    /// An internal error.
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

    /// The kind with that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A problem with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Name of the field in the proto, `user_identifier`.
    pub field: String,
    /// What is wrong, for people: `must not be blank`.
    pub description: String,
}

impl FieldViolation {
    /// Creates a violation.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

/// An error that knows its kind.
pub trait Classify: std::error::Error {
    /// The kind: what the caller can do about the error.
    fn kind(&self) -> Kind;

    /// Stable, upper case, part of the interface: `DEVICE_ALREADY_BOUND`.
    fn reason(&self) -> &'static str;

    /// The specific cause within the reason, where callers may know it: stable, lower case, part of the interface.
    fn cause_code(&self) -> Option<&'static str> {
        None
    }

    /// The invalid fields, if that is the problem.
    fn field_violations(&self) -> Vec<FieldViolation> {
        Vec::new()
    }

    /// Delay after which the same request may succeed, where that is known. Clients receive it as [`retry_seconds`].
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// The delay in whole seconds, rounded up and at least 1: 0 would mean immediately.
#[must_use]
pub const fn retry_seconds(after: Duration) -> u64 {
    let seconds = after.as_secs().saturating_add((after.subsec_nanos() > 0) as u64);
    if seconds == 0 { 1 } else { seconds }
}

/// An error with its causes, on one line. A cause that an outer message already repeats is not written twice.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = plain(&error.to_string());
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = plain(&cause.to_string());
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Removes the operating system's error numbers from a text: `Connection refused (os error 111)` is clear without its number.
#[must_use]
pub fn plain(text: &str) -> String {
    const MARK: &str = " (os error ";
    let mut parts = text.split(MARK);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|b| b.is_ascii_digit() || b == b'-') => plain.push_str(rest),
            _ => plain.extend([MARK, part]),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::{error::Error, io};

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot connect: {0}")]
    struct Repeating(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("the call failed")]
    struct Outer(#[source] Box<dyn Error + Send + Sync>);

    #[test]
    fn each_cause_is_told_once_and_in_words() {
        let refused = io::Error::from_raw_os_error(111);
        assert!(refused.to_string().ends_with("(os error 111)"));
        let said = chain(&Outer(Repeating(refused).into()));
        assert_eq!(said, "the call failed: cannot connect: Connection refused");
    }

    #[test]
    fn who_comes_again_after_what_they_were_told_is_never_too_early() {
        for (after, told) in [(0, 1), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (59_999, 60)] {
            assert_eq!(retry_seconds(Duration::from_millis(after)), told, "{after}");
        }
        assert_eq!(retry_seconds(Duration::MAX), u64::MAX);
    }

    #[test]
    fn numbers_of_the_operating_system_are_left_out_and_nothing_else_is() {
        assert_eq!(plain("a (os error 2): b (os error -1), c"), "a: b, c");
        for text in ["", "nothing", "(os error)", "a (os error x)", "a (os error 1"] {
            assert_eq!(plain(text), text);
        }
    }
}
