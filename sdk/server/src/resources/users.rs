//! Users, by the names that you give them.

use std::{sync::Arc, time::SystemTime};

use nodkey_proto::binding::v1::{self as message, user_service_client::UserServiceClient};

use super::{
    Binding,
    wire::{list, required, send, text, time, wire_enum},
};
use crate::{DeviceIdentifier, Error, List, UserIdentifier, client::Inner};

/// A user who has a device, or is frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The user, as you name them.
    pub user: UserIdentifier,
    /// How many devices are bound to them, active or not.
    pub devices: u32,
    /// `None`: they are not frozen.
    pub freeze: Option<Freeze>,
}

/// Nobody can prompt the user, and none of their devices can respond.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Freeze {
    /// Since when.
    pub frozen_at: SystemTime,
    /// Who froze them first.
    pub frozen_by: FrozenBy,
    /// The device that did, if one did.
    pub frozen_by_device: Option<DeviceIdentifier>,
    /// Why, for people.
    pub note: Option<String>,
}

wire_enum! {
    /// Who froze a user.
    FrozenBy of message::FrozenBy {
        /// You.
        Backend = "BACKEND",
        /// An operator of the deployment.
        Operator = "OPERATOR",
        /// The user, with one of their devices.
        Device = "DEVICE",
    }
}

/// Which users to list: all, unless it says otherwise.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct UserFilter(message::ListUsersRequest);

impl UserFilter {
    /// All of them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those whose identifiers begin like this, case-sensitive.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.0.prefix = prefix.into();
        self
    }
}

/// Users, by the names that you give them.
#[derive(Clone, Debug)]
pub struct Users(Arc<Inner>);

impl Users {
    pub(crate) const fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Returns a user: how many devices they have, and whether they are frozen.
    ///
    /// Errors: `USER_NOT_FOUND`.
    pub async fn get(&self, user: impl Into<UserIdentifier>) -> Result<User, Error> {
        let message = message::GetUserRequest { user_identifier: user.into().into() };
        User::read(send!(self.0, Binding, UserServiceClient::get_user, message)?)
    }

    /// Lists users in the byte order of their identifiers.
    pub fn list(&self, filter: UserFilter) -> List<User> {
        list!(self.0, Binding, UserServiceClient::list_users, filter.0, users => User::read)
    }

    /// Returns the bindings of a user that have not ended, oldest first: at most 100. Empty for an unknown user.
    pub async fn devices(&self, user: impl Into<UserIdentifier>) -> Result<Vec<Binding>, Error> {
        let message = message::ListUserDevicesRequest { user_identifier: user.into().into() };
        let answer = send!(self.0, Binding, UserServiceClient::list_user_devices, message)?;
        answer.bindings.into_iter().map(Binding::read).collect()
    }

    /// Freezes a user: open prompts are canceled, and until the user is released nobody can prompt them and none of their devices can respond.
    /// Bindings and devices stay. `note` says why, for people, and may be empty.
    ///
    /// Errors: `USER_NOT_FOUND`.
    pub async fn freeze(&self, user: impl Into<UserIdentifier>, note: &str) -> Result<User, Error> {
        let message = message::FreezeUserRequest { user_identifier: user.into().into(), note: note.into() };
        User::read(send!(self.0, Binding, UserServiceClient::freeze_user, message)?)
    }

    /// Releases a frozen user: everything is as before. First make sure that the user, and nobody else, has their phones.
    ///
    /// Errors: `USER_NOT_FOUND`.
    pub async fn release(&self, user: impl Into<UserIdentifier>) -> Result<User, Error> {
        let message = message::ReleaseUserRequest { user_identifier: user.into().into() };
        User::read(send!(self.0, Binding, UserServiceClient::release_user, message)?)
    }

    /// Ends every binding of a user and retires the devices, permanently. Returns the devices. If the answer is lost and the call is repeated,
    /// it is refused with `USER_NOT_FOUND`.
    ///
    /// Errors: `USER_NOT_FOUND`.
    pub async fn deactivate(&self, user: impl Into<UserIdentifier>) -> Result<Vec<DeviceIdentifier>, Error> {
        let message = message::DeactivateUserRequest { user_identifier: user.into().into() };
        let answer = send!(self.0, Binding, UserServiceClient::deactivate_user, message)?;
        Ok(answer.device_identifiers.into_iter().map(DeviceIdentifier::from).collect())
    }
}

impl User {
    fn read(user: message::User) -> Result<Self, Error> {
        Ok(Self {
            user: user.user_identifier.into(),
            devices: user.devices.try_into().unwrap_or_default(),
            freeze: user.freeze.map(Freeze::read).transpose()?,
        })
    }
}

impl Freeze {
    fn read(freeze: message::Freeze) -> Result<Self, Error> {
        Ok(Self {
            frozen_at: required(time(freeze.frozen_at))?,
            frozen_by: required(FrozenBy::from_wire(freeze.frozen_by))?,
            frozen_by_device: text(freeze.frozen_by_device),
            note: text(freeze.note),
        })
    }
}
