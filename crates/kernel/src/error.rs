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

    /// After how long the same request may work, where that is known. Whoever is told it is told [`retry_seconds`] of it.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// The whole seconds after which to try again: not one too few, and never none, which would mean at once.
#[must_use]
pub const fn retry_seconds(after: Duration) -> u64 {
    let seconds = after.as_secs().saturating_add((after.subsec_nanos() > 0) as u64);
    if seconds == 0 { 1 } else { seconds }
}

/// An error with its causes, in one line, and each of them once: some repeat what caused them.
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

/// A text without the numbers that the operating system has for its errors: `Connection refused (os error 111)` says enough without.
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
