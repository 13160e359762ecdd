//! What the gateway knows of a phone.

use nodkey_kernel::json::null_as_default;
use serde::{Deserialize, Deserializer, Serialize};

use crate::PresenceKind;

/// A device that is known to the gateway.
#[derive(Clone, Debug, Deserialize)]
pub struct RegisteredDevice {
    /// What the app hands to its backend.
    pub device_identifier: String,
    /// The same, signed by the deployment.
    pub device_identifier_jwt: String,
    /// True while an active binding exists.
    pub is_active: bool,
    /// True while the device vouches for its presence keys; false at gateways that know no key statements.
    #[serde(default, deserialize_with = "null_as_default")]
    pub certified: bool,
    /// True while the user is frozen: this device is asked nothing and its answers are refused with `USER_FROZEN`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub frozen: bool,
    /// The presence keys that the gateway knows of the phone; none at gateways that do not say which count.
    #[serde(default, deserialize_with = "null_as_default")]
    pub presence_keys: Vec<HeldKey>,
    /// The user's active phones, this one included, in the order they were activated. From [`status`](crate::Phone::status) alone, and empty at gateways
    /// that do not say it, or while this device is not active. Show the person one that they may not know of.
    #[serde(default, deserialize_with = "null_as_default")]
    pub user_devices: Vec<UserDevice>,
}

impl RegisteredDevice {
    /// The presence keys that do not count: what they accept is level 1, the phone alone.
    ///
    /// Where another counts, or the one that was replaced still signs, [`update_keys`](crate::Phone::update_keys) has it vouch for them. Where none is
    /// left, tell the person to have the organisation approve the phone: its backend does so by the thumbprint.
    pub fn not_counting(&self) -> impl Iterator<Item = &HeldKey> {
        self.presence_keys.iter().filter(|key| !key.counts)
    }
}

/// One of the user's phones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDevice {
    /// RFC 3339; since when it answers for the user.
    pub activated_at: String,
    /// Whether it is this one.
    pub is_this: bool,
}

/// How a presence key of the phone stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HeldKey {
    /// How the person is asked before it signs.
    pub kind: PresenceKind,
    /// Names it (RFC 7638).
    pub thumbprint: String,
    /// Whether what it signs proves a person's presence.
    pub counts: bool,
    /// RFC 3339; since when the gateway knows it. Absent: since before this was noted.
    pub since: Option<String>,
}

/// A document that is registered for the user of the phone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RegisteredDocument {
    /// Names it.
    pub id: String,
    /// Whether accepts that present it are level 3. One that a phone registers without a presence key that counts does not, until the backend
    /// registers it, too.
    #[serde(default = "of_before", deserialize_with = "or_of_before")]
    pub counts: bool,
}

/// At gateways that do not say it, every document counts.
const fn of_before() -> bool {
    true
}

fn or_of_before<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::deserialize(deserializer).map(|counts| counts.unwrap_or(of_before()))
}
