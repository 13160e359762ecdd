//! Identifiers, each of its own type.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{random::Random, time::Timestamp};

/// The text is not an id of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {0}")]
pub struct InvalidId(&'static str);

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Generates a new id: a UUID version 7 (RFC 9562), ordered by time.
            #[must_use]
            pub fn generate(now: Timestamp, random: &Random) -> Self {
                Self(v7(now, random))
            }

            /// The smallest id that can be generated at a time, for finding older ones.
            #[must_use]
            pub fn first_of(at: Timestamp) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(millis(at), &[0; 10]).into_uuid())
            }

            /// From a UUID.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId("a UUID"))
            }
        }
    )+};
}

ids! {
    /// A tenant.
    RelyingPartyId,
    /// A server or mobile credential.
    CredentialId,
    /// A binding; the activation code.
    BindingId,
    /// An authentication challenge.
    TrusonaficationId,
    /// A secure QR code.
    TruCodeId,
    /// A registered document.
    IdentityDocumentId,
    /// A signing key's row.
    SigningKeyId,
    /// A webhook endpoint.
    EndpointId,
    /// A delivery; the `webhook-id`.
    DeliveryId,
    /// An event; the `Nats-Msg-Id`.
    EventId,
    /// An operator of the deployment.
    OperatorId,
    /// An operator's session, from sign-in to sign-out.
    OperatorSessionId,
    /// An entry of the audit log.
    AuditEntryId,
    /// An action that an operator confirms on their phone.
    ConfirmationId,
}

impl RelyingPartyId {
    /// The console's own relying party: its users are the operators of the deployment. It is not a tenant, and only services act for it.
    pub const CONSOLE: Self = Self::from_uuid(Uuid::from_u128(1));
}

fn v7(now: Timestamp, random: &Random) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(millis(now), &random.bytes()).into_uuid()
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.as_micros().div_euclid(1_000)).unwrap_or(0)
}

/// A device: the RFC 7638 SHA-256 thumbprint of its device key, 43 base64url characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceId(String);

impl DeviceId {
    /// Checks the format.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        text.parse()
    }

    /// The 43 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DeviceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let fits = text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        fits.then(|| Self(text.to_owned())).ok_or(InvalidId("a device identifier: 43 base64url characters"))
    }
}

impl TryFrom<String> for DeviceId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<DeviceId> for String {
    fn from(id: DeviceId) -> Self {
        id.0
    }
}
