//! Frozen users: they are not prompted, and none of their devices can answer.

use nodkey_kernel::{id::DeviceId, named, time::Timestamp};

/// Maximum length of a note, in characters.
const MAX_NOTE: usize = 200;

/// The freeze of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// When the user was frozen.
    pub at: Timestamp,
    /// Who froze the user.
    pub by: Freezer,
    /// The reason, for people.
    pub note: Note,
}

/// Who froze a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Freezer {
    /// The relying party's backend.
    Backend,
    /// An operator; the audit log names them.
    Operator,
    /// One of the user's own devices.
    Device(DeviceId),
}

named! {
    /// Names of the kinds of freezers.
    pub enum FreezerName {
        /// The relying party's backend.
        Backend = "backend",
        /// An operator.
        Operator = "operator",
        /// One of the user's own devices.
        Device = "device",
    }
}

impl Freezer {
    /// The stored name.
    pub const fn name(&self) -> FreezerName {
        match self {
            Self::Backend => FreezerName::Backend,
            Self::Operator => FreezerName::Operator,
            Self::Device(_) => FreezerName::Device,
        }
    }

    /// The device, if one froze its user.
    pub const fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Backend | Self::Operator => None,
            Self::Device(device) => Some(device),
        }
    }

    /// The freezer for these stored values; `None` if they contradict each other.
    pub fn of(name: FreezerName, device: Option<DeviceId>) -> Option<Self> {
        match (name, device) {
            (FreezerName::Backend, None) => Some(Self::Backend),
            (FreezerName::Operator, None) => Some(Self::Operator),
            (FreezerName::Device, Some(device)) => Some(Self::Device(device)),
            (FreezerName::Backend | FreezerName::Operator, Some(_)) | (FreezerName::Device, None) => None,
        }
    }
}

/// Why a user was frozen, as free text. It may contain personal data and is never logged.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Note(String);

impl Note {
    /// Accepts at most 200 characters without control characters; may be empty.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.chars().count() > MAX_NOTE {
            return Err("must be at most 200 characters");
        }
        if text.chars().any(char::is_control) {
            return Err("must not contain control characters");
        }
        Ok(Self(text.trim().to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Note")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freezer_is_read_back_from_its_name_and_device_and_from_nothing_else() {
        let device = DeviceId::parse(&"d".repeat(43)).unwrap();
        for freezer in [Freezer::Backend, Freezer::Operator, Freezer::Device(device.clone())] {
            assert_eq!(Freezer::of(freezer.name(), freezer.device().cloned()), Some(freezer));
        }
        assert_eq!(Freezer::of(FreezerName::Device, None), None);
        assert_eq!(Freezer::of(FreezerName::Backend, Some(device)), None);
    }

    #[test]
    fn a_note_is_short_and_can_be_seen_and_does_not_show_in_logs() {
        for (text, good) in
            [("", true), ("lost at the airport", true), (&*"é".repeat(200), true), (&*"a".repeat(201), false), ("a\nb", false)]
        {
            assert_eq!(Note::parse(text).is_ok(), good, "{text}");
        }
        assert_eq!(Note::parse(" lost ").unwrap().as_str(), "lost");
        assert!(!format!("{:?}", Note::parse("lost").unwrap()).contains("lost"));
    }
}
