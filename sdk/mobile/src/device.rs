//! The gateway's information about a phone.

use std::time::SystemTime;

use crate::{DeviceIdentifier, DocumentId, PresenceKind};

/// A device as the gateway knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisteredDevice {
    /// Device identifier, which the app hands to its backend.
    pub device_identifier: DeviceIdentifier,
    /// The device identifier, signed by the deployment.
    pub device_identifier_jwt: String,
    /// True while an active binding exists.
    pub is_active: bool,
    /// True while the device certifies its presence keys with a key statement; false with gateways that do not support key statements.
    pub certified: bool,
    /// True while the user is frozen: this device receives no challenges, and its responses are refused with `USER_FROZEN`.
    pub frozen: bool,
    /// The presence keys of the phone that the gateway knows; empty with gateways that do not report which keys count.
    pub presence_keys: Vec<HeldKey>,
    /// The user's active phones, including this one, in order of activation. Only [`status`](crate::Phone::status) returns them. Empty with
    /// gateways that do not report them, and while this device is not active. Show the person any phone that they may not know of.
    pub user_devices: Vec<UserDevice>,
}

impl RegisteredDevice {
    /// The presence keys that do not count: an accept signed with one is level 1, the phone alone.
    ///
    /// If another key counts, or the replaced one can still sign, [`update_keys`](crate::Phone::update_keys) makes it vouch for them. If
    /// none is left, tell the person to have the organization approve the phone: its backend does so by the thumbprint.
    pub fn not_counting(&self) -> impl Iterator<Item = &HeldKey> {
        self.presence_keys.iter().filter(|key| !key.counts)
    }
}

/// One of the user's phones.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserDevice {
    /// When it became active for the user, to the millisecond.
    pub activated_at: SystemTime,
    /// Whether it is this phone.
    pub is_this: bool,
}

/// A presence key of the phone and its standing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldKey {
    /// How the person is verified before it signs.
    pub kind: PresenceKind,
    /// Thumbprint of the key (RFC 7638).
    pub thumbprint: String,
    /// Whether its signature proves a person's presence.
    pub counts: bool,
    /// When the gateway learned of it, to the millisecond. `None` if that was before the time was recorded.
    pub since: Option<SystemTime>,
}

/// A document registered for the user of the phone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisteredDocument {
    /// Identifier of the document.
    pub id: DocumentId,
    /// Whether accepts that present it are level 3. A document that a phone registers without a presence key that counts does not count
    /// until the backend registers it as well.
    pub counts: bool,
}
