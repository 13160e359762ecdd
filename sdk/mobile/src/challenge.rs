//! What the person is asked, and what they say.

use std::{fmt, time::SystemTime};

use nodkey_kernel::custom_fields;

use crate::TrusonaficationId;

/// What to show: these fields and no others. The deployment signed them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Challenge {
    /// The gateway's public URL.
    pub gateway: String,
    /// The relying party that requests it.
    pub relying_party: RelyingParty,
    /// Action, exactly as shown.
    pub action: String,
    /// Resource, exactly as shown.
    pub resource: String,
    /// Desired level: 1 the phone, 2 the phone and the person's presence, 3 also an identity document.
    pub level: i32,
    /// Whether the phone must show it and prompt the person.
    pub prompt: bool,
    /// Whether presence must be proven.
    pub presence: bool,
    /// Whether an identity document must be presented.
    pub document: bool,
    /// Custom fields, character by character as the backend sent them.
    pub custom_fields: Option<CustomFields>,
    /// The number that the person has to match.
    pub number_match: Option<NumberMatch>,
    /// Who requested this from the backend, as far as the backend says.
    pub request_context: Option<RequestContext>,
    /// When it was issued, by the gateway's clock.
    pub issued_at: SystemTime,
    /// When it expires, by the gateway's clock.
    pub expires_at: SystemTime,
}

impl Challenge {
    /// A challenge for previews and tests of an app's screens: level 1, shown, without anything optional. It cannot be answered.
    #[must_use]
    pub fn preview(relying_party: &str, action: &str, resource: &str) -> Self {
        Self {
            gateway: String::new(),
            relying_party: RelyingParty { id: String::new(), name: relying_party.to_owned() },
            action: action.to_owned(),
            resource: resource.to_owned(),
            level: 1,
            prompt: true,
            presence: false,
            document: false,
            custom_fields: None,
            number_match: None,
            request_context: None,
            issued_at: SystemTime::UNIX_EPOCH,
            expires_at: SystemTime::UNIX_EPOCH,
        }
    }
}

/// The organization that requests something.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelyingParty {
    /// UUID.
    pub id: String,
    /// Display name.
    pub name: String,
}

/// How the number is matched. The correct number is never included.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NumberMatch {
    /// The person picks one of these.
    Choose {
        /// Two digits each.
        choices: Vec<String>,
    },
    /// The person types the number.
    Enter {
        /// How many digits it has: 2 or 6.
        digits: u8,
    },
}

/// Where the request comes from that the person is to confirm, as the backend saw it. Only the backend vouches for it. Empty if the backend
/// did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestContext {
    /// IP address.
    pub address: String,
    /// Name of the browser, or its own user agent string.
    pub browser: String,
    /// Approximate location of the address.
    pub place: String,
}

impl RequestContext {
    /// The text shown to people, hidden characters made visible: `Firefox on Linux, Berlin, 203.0.113.7`.
    #[must_use]
    pub fn describe(&self) -> String {
        self.to_kernel().describe()
    }
}

/// Custom fields of a request: a JSON object, character by character as the backend sent it.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomFields(pub(crate) custom_fields::CustomFields);

impl CustomFields {
    /// Reads custom fields, for previews and tests of an app's screens. `None` when the text is not a JSON object.
    #[must_use]
    pub fn from_json(json: &str) -> Option<Self> {
        custom_fields::CustomFields::stored(json).map(Self)
    }

    /// The JSON as it was signed.
    #[must_use]
    pub fn as_json(&self) -> &str {
        self.0.as_str()
    }

    /// What to show, in order: the name, and the plain text of a string, or the JSON of any other value on one line with numbers as they
    /// were written. A repeated member is shown twice. The app must make hidden characters visible.
    #[must_use]
    pub fn members(&self) -> Vec<(String, String)> {
        self.0.members()
    }
}

/// The text may be confidential, and does not show.
impl fmt::Debug for CustomFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomFields({} bytes)", self.as_json().len())
    }
}

/// The person's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Yes.
    Accept,
    /// No.
    Reject,
}

/// Why the person rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// The person did not start this. Others then cannot prompt the user in the same context for some time.
    NotMe,
    /// The person did, and no longer wants it.
    ChangedMind,
}

/// The result of a response, as reported by the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// Trusonafication id.
    pub id: TrusonaficationId,
    /// How it ended.
    pub outcome: Outcome,
    /// The proven level, 1 to 3; `None` when rejected.
    pub accepted_level: Option<i32>,
    /// Until when others cannot prompt the user there, after [`RejectReason::NotMe`].
    pub held_until: Option<SystemTime>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Accepted at the desired level.
    Accepted,
    /// Accepted, but less was proven than desired. Relying parties treat it as a failure.
    AcceptedAtLowerLevel,
    /// Accepted, and more was proven than desired.
    AcceptedAtHigherLevel,
    /// Rejected, or accepted with a wrong number.
    Rejected,
    /// A status that this version of the library does not know.
    Other(String),
}

impl Outcome {
    /// The status in the protocol, such as `ACCEPTED`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::AcceptedAtLowerLevel => "ACCEPTED_AT_LOWER_LEVEL",
            Self::AcceptedAtHigherLevel => "ACCEPTED_AT_HIGHER_LEVEL",
            Self::Rejected => "REJECTED",
            Self::Other(status) => status,
        }
    }
}
