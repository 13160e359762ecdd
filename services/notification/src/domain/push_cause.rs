//! Why phones are woken.

use nodkey_kernel::id::TrusonaficationId;

/// Why a phone is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It may answer this.
    Asked(TrusonaficationId),
    /// Its user is to know of something.
    Notice,
}

impl Cause {
    /// As it is stored.
    #[must_use]
    pub fn as_text(self) -> String {
        match self {
            Self::Asked(id) => id.to_string(),
            Self::Notice => "notice".to_owned(),
        }
    }
}
