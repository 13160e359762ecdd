//! Roles of the people who run a deployment.

use std::{fmt, str::FromStr};

/// A role. Each includes the permissions of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Can read.
    Auditor,
    /// Can read and act.
    Operator,
    /// Can also manage the other operators.
    Owner,
}

/// The text is not a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be owner, operator or auditor")]
pub struct InvalidRole;

impl Role {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auditor => "auditor",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        [Self::Auditor, Self::Operator, Self::Owner].into_iter().find(|role| role.as_str() == text).ok_or(InvalidRole)
    }
}
