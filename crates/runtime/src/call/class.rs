//! The classes of requests, in the order in which they are refused under overload.

use nodkey_metrics::Label;

use super::refusal::Refusal;

/// The class of a request. The first classes are refused first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// From a caller who has no credential, or has not proven one yet.
    Anonymous,
    /// Lists and searches: a person looks something up.
    List,
    /// Something is created or changed.
    Create,
    /// A caller waits for a result, or checks for pending challenges.
    Read,
    /// A phone answers: everything before was for this.
    Answer,
}

impl Class {
    /// All classes; those that are refused first come first.
    pub const ALL: [Self; 5] = [Self::Anonymous, Self::List, Self::Create, Self::Read, Self::Answer];

    /// Name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Anonymous => "anonymous",
            Self::Create => "create",
            Self::Read => "read",
            Self::Answer => "answer",
        }
    }

    /// The share of the permits that it may use, in percent.
    pub(super) const fn share(self) -> usize {
        match self {
            Self::Anonymous => 50,
            Self::List => 60,
            Self::Create => 75,
            Self::Read => 90,
            Self::Answer => 100,
        }
    }

    pub(super) const fn refusal(self) -> Refusal {
        match self {
            Self::List => Refusal::List,
            Self::Anonymous => Refusal::Anonymous,
            Self::Create => Refusal::Create,
            Self::Read => Refusal::Read,
            Self::Answer => Refusal::Answer,
        }
    }
}

impl Label for Class {
    const ALL: &'static [Self] = &Self::ALL;

    fn as_str(self) -> &'static str {
        Self::as_str(self)
    }

    fn index(self) -> usize {
        self as usize
    }
}
