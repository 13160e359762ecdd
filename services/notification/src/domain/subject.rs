//! Subjects of deliveries.

use std::{fmt, str::FromStr};

use nodkey_kernel::id::{BindingId, DeviceId, IdentityDocumentId, TrusonaficationId};

/// Maximum length of a user identifier, in bytes of UTF-8: 255 characters.
const MAX_USER: usize = 1_020;

/// What a delivery is about. Written as `<kind>/<id>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A trusonafication.
    Trusonafication(TrusonaficationId),
    /// A device.
    Device(DeviceId),
    /// A binding.
    Binding(BindingId),
    /// An identity document.
    IdentityDocument(IdentityDocumentId),
    /// A user, by the relying party's identifier.
    User(String),
}

/// The text does not name a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be trusonafication/ID, device/ID, binding/ID, identity_document/ID or user/IDENTIFIER")]
pub struct InvalidSubject;

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trusonafication(id) => write!(f, "trusonafication/{id}"),
            Self::Device(id) => write!(f, "device/{id}"),
            Self::Binding(id) => write!(f, "binding/{id}"),
            Self::IdentityDocument(id) => write!(f, "identity_document/{id}"),
            Self::User(identifier) => write!(f, "user/{identifier}"),
        }
    }
}

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        let (kind, id) = text.split_once('/').ok_or(InvalidSubject)?;
        match kind {
            "trusonafication" => id.parse().map(Self::Trusonafication).map_err(|_| InvalidSubject),
            "device" => id.parse().map(Self::Device).map_err(|_| InvalidSubject),
            "binding" => id.parse().map(Self::Binding).map_err(|_| InvalidSubject),
            "identity_document" => id.parse().map(Self::IdentityDocument).map_err(|_| InvalidSubject),
            "user" if !id.is_empty() && id.len() <= MAX_USER && !id.contains('\0') => Ok(Self::User(id.to_owned())),
            _ => Err(InvalidSubject),
        }
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::{random::Random, time::Timestamp};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_subject_is_read_back_as_it_was_written(seed: u64, user in "[^\0]{1,255}") {
            let (now, random) = (Timestamp::from_seconds(1_700_000_000), Random::seeded(seed));
            for subject in [
                Subject::Trusonafication(TrusonaficationId::generate(now, &random)),
                Subject::Device(DeviceId::parse(&"d".repeat(43)).unwrap()),
                Subject::Binding(BindingId::generate(now, &random)),
                Subject::IdentityDocument(IdentityDocumentId::generate(now, &random)),
                Subject::User(user.clone()),
            ] {
                prop_assert_eq!(subject.to_string().parse(), Ok(subject));
            }
        }
    }

    #[test]
    fn other_texts_are_none() {
        for text in ["", "device", "device/", "device/x", "user/", "party/x", "binding/x/y", "user/\0", "trusonafication/"] {
            assert_eq!(text.parse::<Subject>(), Err(InvalidSubject), "{text:?}");
        }
        assert!(format!("user/{}", "x".repeat(MAX_USER + 1)).parse::<Subject>().is_err());
    }
}
