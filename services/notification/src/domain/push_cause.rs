//! Causes of pushes.

use nodkey_kernel::id::TrusonaficationId;

/// Why a phone is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It may answer this trusonafication.
    Prompt(TrusonaficationId),
    /// Its user should learn of something.
    Notice,
}

impl Cause {
    /// The stored form.
    #[must_use]
    pub fn as_text(self) -> String {
        match self {
            Self::Prompt(id) => id.to_string(),
            Self::Notice => "notice".to_owned(),
        }
    }
}
