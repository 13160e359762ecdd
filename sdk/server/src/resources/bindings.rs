//! Which device is which user's.

use std::{sync::Arc, time::SystemTime};

use nodkey_proto::binding::v1::{self as message, binding_service_client::BindingServiceClient};

use super::wire::{list, required, send, text, time, to_wire, wire_enum};
use crate::{BindingId, DeviceIdentifier, Error, List, RelyingPartyId, UserIdentifier, client::Inner};

/// That a device is a user's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Binding {
    /// Its id, which is also the activation code.
    pub id: BindingId,
    /// Your relying party.
    pub relying_party: RelyingPartyId,
    /// The user, as you name them.
    pub user: UserIdentifier,
    /// The device.
    pub device: DeviceIdentifier,
    /// Its state.
    pub state: BindingState,
    /// When the device was bound.
    pub created_at: SystemTime,
    /// When it was activated; kept after it has ended.
    pub activated_at: Option<SystemTime>,
    /// When it ended.
    pub deactivated_at: Option<SystemTime>,
    /// Whether the user is frozen: then the device cannot respond.
    pub is_user_frozen: bool,
    /// The phone of the user that vouched for this one; `None`: you bound it.
    pub vouched_by: Option<DeviceIdentifier>,
}

wire_enum! {
    /// The state of a binding. It never goes back.
    BindingState of message::BindingState {
        /// Bound, and not activated yet.
        Inactive = "INACTIVE",
        /// The device can respond.
        Active = "ACTIVE",
        /// Ended, permanently.
        Deactivated = "DEACTIVATED",
    }
}

to_wire!(BindingState of message::BindingState { Inactive, Active, Deactivated, });

/// A device to bind to a user.
#[derive(Clone, Debug)]
#[must_use]
pub struct NewBinding(message::CreateBindingRequest, Option<String>);

impl NewBinding {
    /// Binds this device to this user.
    pub fn new(user: impl Into<UserIdentifier>, device: impl Into<DeviceIdentifier>) -> Self {
        let (user_identifier, device_identifier) = (user.into().into(), device.into().into());
        Self(message::CreateBindingRequest { request_id: String::new(), user_identifier, device_identifier }, None)
    }

    /// Your own id of the call, at most 128 characters, so that it can be repeated across restarts of your backend: the same id and content
    /// within 24 hours has no second effect. Otherwise each call has a new one.
    pub fn request_id(self, id: impl Into<String>) -> Self {
        Self(self.0, Some(id.into()))
    }
}

/// Which bindings to list: all, unless it says otherwise.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct BindingFilter(message::ListBindingsRequest);

impl BindingFilter {
    /// All of them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those of this user.
    pub fn user(mut self, user: impl Into<UserIdentifier>) -> Self {
        self.0.user_identifier = user.into().into();
        self
    }

    /// Only those in this state.
    pub const fn state(mut self, state: BindingState) -> Self {
        self.0.state = state.to_wire();
        self
    }
}

/// Which device is which user's.
#[derive(Clone, Debug)]
pub struct Bindings(Arc<Inner>);

impl Bindings {
    pub(crate) const fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Binds a device to a user, inactive.
    ///
    /// Errors: `DEVICE_NOT_FOUND`, `DEVICE_RETIRED`, `DEVICE_ALREADY_BOUND`, `VALIDATION_FAILED`.
    pub async fn create(&self, NewBinding(message, request_id): NewBinding) -> Result<Binding, Error> {
        let message = message::CreateBindingRequest { request_id: self.0.request_id(request_id), ..message };
        Binding::read(send!(self.0, Binding, BindingServiceClient::create_binding, message)?)
    }

    /// Activates a binding: from now on the user can be prompted.
    ///
    /// Errors: `BINDING_DEACTIVATED`, `NOT_FOUND`.
    pub async fn activate(&self, id: impl Into<BindingId>) -> Result<Binding, Error> {
        let message = message::ActivateBindingRequest { id: id.into().into() };
        Binding::read(send!(self.0, Binding, BindingServiceClient::activate_binding, message)?)
    }

    /// Ends a binding, permanently.
    ///
    /// Errors: `NOT_FOUND`.
    pub async fn deactivate(&self, id: impl Into<BindingId>) -> Result<Binding, Error> {
        let message = message::DeactivateBindingRequest { id: id.into().into() };
        Binding::read(send!(self.0, Binding, BindingServiceClient::deactivate_binding, message)?)
    }

    /// Returns a binding.
    ///
    /// Errors: `NOT_FOUND`.
    pub async fn get(&self, id: impl Into<BindingId>) -> Result<Binding, Error> {
        let message = message::GetBindingRequest { id: id.into().into() };
        Binding::read(send!(self.0, Binding, BindingServiceClient::get_binding, message)?)
    }

    /// Returns the binding of a device that has not ended.
    ///
    /// Errors: `NOT_FOUND`.
    pub async fn for_device(&self, device: impl Into<DeviceIdentifier>) -> Result<Binding, Error> {
        let message = message::GetDeviceBindingRequest { device_identifier: device.into().into(), with_user_devices: false };
        Binding::read(send!(self.0, Binding, BindingServiceClient::get_device_binding, message)?)
    }

    /// Lists bindings, newest first, those that have ended included.
    pub fn list(&self, filter: BindingFilter) -> List<Binding> {
        list!(self.0, Binding, BindingServiceClient::list_bindings, filter.0, bindings => Binding::read)
    }
}

impl Binding {
    pub(super) fn read(binding: message::Binding) -> Result<Self, Error> {
        Ok(Self {
            id: binding.id.into(),
            relying_party: binding.relying_party_id.into(),
            user: binding.user_identifier.into(),
            device: binding.device_identifier.into(),
            state: required(BindingState::from_wire(binding.state))?,
            created_at: required(time(binding.created_at))?,
            activated_at: time(binding.activated_at),
            deactivated_at: time(binding.deactivated_at),
            is_user_frozen: binding.user_frozen,
            vouched_by: text(binding.vouched_by),
        })
    }
}
