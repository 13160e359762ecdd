//! Devices and their keys.

use std::{sync::Arc, time::SystemTime};

use nodkey_proto::registry::v1::{self as message, device_service_client::DeviceServiceClient};

use super::wire::{list, required, send, text, time, wire_enum};
use crate::{DeviceIdentifier, Error, Jwk, List, RelyingPartyId, client::Inner};

/// A phone, browser or terminal with keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// The thumbprint (RFC 7638) of the device key.
    pub id: DeviceIdentifier,
    /// Your relying party.
    pub relying_party: RelyingPartyId,
    /// Signs without the person: level 1.
    pub device_key: Jwk,
    /// Sign after the person was verified: level 2.
    pub presence_keys: Vec<PresenceKey>,
    /// The phone's own name, for people.
    pub name: Option<String>,
    /// As the device says.
    pub platform: Platform,
    /// As the device says.
    pub app_version: Option<String>,
    /// Whether it is retired, permanently: none of its keys counts.
    pub is_retired: bool,
    /// When it registered.
    pub created_at: SystemTime,
    /// When its keys, name, app or statement last changed, or it was retired.
    pub updated_at: SystemTime,
    /// When it last proved itself, recorded once an hour at most.
    pub last_seen_at: Option<SystemTime>,
    /// Its own statement of which presence keys it has, a JWS. `None`: it is uncertified.
    pub key_statement: Option<String>,
    /// The same claims by presence keys.
    pub key_signatures: Vec<String>,
    /// `match6`: its app takes numbers of six digits.
    pub capabilities: Vec<String>,
}

/// A key that signs after the person was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceKey {
    /// How the person is verified.
    pub kind: PresenceKind,
    /// The public key.
    pub jwk: Jwk,
    /// RFC 7638.
    pub thumbprint: String,
    /// Whether it proves presence. One that does not, until you approve it, proves level 1.
    pub counts: bool,
    /// Since when the device has it; `None`: since before this was recorded.
    pub since: Option<SystemTime>,
}

wire_enum! {
    /// How a person is verified before a presence key signs.
    PresenceKind of message::PresenceKind {
        /// By fingerprint or face.
        Biometric = "BIOMETRIC",
        /// By PIN, pattern or passcode.
        Credential = "CREDENTIAL",
    }
}

wire_enum! {
    /// What a device is, as it says itself.
    Platform of message::Platform {
        /// An iPhone or iPad.
        Ios = "IOS",
        /// An Android phone.
        Android = "ANDROID",
        /// Something else.
        Other = "OTHER",
        /// A browser.
        Web = "WEB",
        /// A terminal.
        Cli = "CLI",
    }
}

/// Devices and their keys.
#[derive(Clone, Debug)]
pub struct Devices(Arc<Inner>);

impl Devices {
    pub(crate) const fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Returns a device with its public keys.
    ///
    /// Errors: `NOT_FOUND`.
    pub async fn get(&self, device: impl Into<DeviceIdentifier>) -> Result<Device, Error> {
        let message = message::GetDeviceRequest { device_id: device.into().into() };
        Device::read(send!(self.0, Registry, DeviceServiceClient::get_device, message)?)
    }

    /// Lists devices, newest first, retired ones included.
    pub fn list(&self) -> List<Device> {
        list!(self.0, Registry, DeviceServiceClient::list_devices, message::ListDevicesRequest::default(), devices => Device::read)
    }

    /// Makes presence keys count that were added after the device was registered. First make sure, by other means, that the device is still the
    /// user's.
    ///
    /// Errors: `NO_SUCH_PRESENCE_KEY`, `DEVICE_RETIRED`, `NOT_FOUND`.
    pub async fn approve_keys(
        &self,
        device: impl Into<DeviceIdentifier>,
        thumbprints: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Device, Error> {
        let thumbprints = thumbprints.into_iter().map(Into::into).collect();
        let message = message::ApproveDeviceKeysRequest { device_id: device.into().into(), thumbprints };
        Device::read(send!(self.0, Registry, DeviceServiceClient::approve_device_keys, message)?)
    }

    /// Retires a device, permanently: from now on its keys count no more.
    ///
    /// Errors: `NOT_FOUND`.
    pub async fn retire(&self, device: impl Into<DeviceIdentifier>) -> Result<Device, Error> {
        let message = message::RetireDeviceRequest { device_id: device.into().into() };
        Device::read(send!(self.0, Registry, DeviceServiceClient::retire_device, message)?)
    }
}

impl Device {
    fn read(device: message::Device) -> Result<Self, Error> {
        Ok(Self {
            id: device.id.into(),
            relying_party: device.relying_party_id.into(),
            device_key: Jwk::answered(device.device_key),
            presence_keys: device.presence_keys.into_iter().map(PresenceKey::read).collect::<Result<_, _>>()?,
            name: text(device.name),
            platform: required(Platform::from_wire(device.platform))?,
            app_version: text(device.app_version),
            is_retired: device.retired,
            created_at: required(time(device.created_at))?,
            updated_at: required(time(device.updated_at))?,
            last_seen_at: time(device.last_seen_at),
            key_statement: text(device.key_statement),
            key_signatures: device.key_signatures,
            capabilities: device.capabilities,
        })
    }
}

impl PresenceKey {
    fn read(key: message::PresenceKey) -> Result<Self, Error> {
        Ok(Self {
            kind: required(PresenceKind::from_wire(key.kind))?,
            jwk: Jwk::answered(key.jwk),
            thumbprint: key.thumbprint,
            counts: key.counts.unwrap_or(true),
            since: time(key.since),
        })
    }
}
