//! Identifiers, each of its own type.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{jose::sha256, random::Random, time::Timestamp};

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

impl EventId {
    /// The id of an event: what happened, and not who publishes it, or how often. `subject` is the whole subject, which ends with the
    /// object's id, `version` the object's version after the event, and `at` when it happened, as the object's row says.
    #[must_use]
    pub fn derive(at: Timestamp, subject: &str, version: i64) -> Self {
        Self(derived("nodkey-event-id", at, &[subject.as_bytes(), &version.to_be_bytes()]))
    }
}

impl DeliveryId {
    /// The id of the delivery of a fact to an endpoint: what happened, to what, and when. `event` tells facts of one type about one subject
    /// apart, where there may be several.
    #[must_use]
    pub fn derive(at: Timestamp, endpoint: EndpointId, event_type: &str, subject: &str, event: Option<EventId>) -> Self {
        let event = event.map(|id| id.as_uuid().into_bytes());
        let event = event.as_ref().map_or(&[][..], |bytes| &bytes[..]);
        Self(derived("nodkey-delivery-id", at, &[endpoint.as_uuid().as_bytes(), event_type.as_bytes(), subject.as_bytes(), event]))
    }

    /// The id of the delivery of a trusonafication's end to its `callback_url`. Two services have to agree on it.
    #[must_use]
    pub fn of_callback(ended_at: Timestamp, id: TrusonaficationId) -> Self {
        Self(derived("nodkey-callback-id", ended_at, &[id.as_uuid().as_bytes()]))
    }
}

/// A UUID version 7 whose random part is a digest: the same of the same parts, and ordered by time like any other.
fn derived(domain: &str, at: Timestamp, parts: &[&[u8]]) -> Uuid {
    let mut input = Vec::with_capacity(256);
    let at_micros = at.as_micros().to_be_bytes();
    for part in [domain.as_bytes(), &at_micros[..]].iter().chain(parts) {
        // Each part with its length, so that no two lists have the same bytes.
        input.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        input.extend_from_slice(part);
    }
    let mut random = [0; 10];
    random.copy_from_slice(&sha256(&input)[..10]);
    uuid::Builder::from_unix_timestamp_millis(millis(at), &random).into_uuid()
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;

    const AT: Timestamp = Timestamp::from_seconds(1_700_000_000);

    #[test]
    fn the_same_fact_has_the_same_id_and_any_other_another() {
        let id = EventId::derive(AT, "evt.registry.v1.device_retired.p.d", 2);
        assert_eq!(EventId::derive(AT, "evt.registry.v1.device_retired.p.d", 2), id);
        // Ids that were published must stay what they are: a later release replays what an earlier one has published.
        assert_eq!(id.to_string(), "018bcfe5-6800-7881-ae53-0db9d78bc89c");
        let others = [
            EventId::derive(AT + Duration::from_micros(1), "evt.registry.v1.device_retired.p.d", 2),
            EventId::derive(AT, "evt.registry.v1.device_retired.p.e", 2),
            EventId::derive(AT, "evt.registry.v1.device_updated.p.d", 2),
            EventId::derive(AT, "evt.registry.v1.device_retired.p.d", 3),
        ];
        assert_eq!(others.iter().chain([&id]).collect::<BTreeSet<_>>().len(), 5);
        assert!(others.iter().chain([&id]).all(|id| id.as_uuid().get_version_num() == 7));
        assert!(EventId::derive(AT + Duration::from_millis(1), "a", 1) > EventId::derive(AT, "z", 9), "ordered by time");
    }

    #[test]
    fn each_receiver_of_each_event_has_a_delivery_of_its_own() {
        let (one, other) = (EndpointId::from_uuid(Uuid::from_u128(1)), EndpointId::from_uuid(Uuid::from_u128(2)));
        let event = EventId::from_uuid(Uuid::from_u128(3));
        let ids = [
            DeliveryId::derive(AT, one, "a", "t", None),
            DeliveryId::derive(AT, other, "a", "t", None),
            DeliveryId::derive(AT, one, "b", "t", None),
            DeliveryId::derive(AT, one, "a", "u", None),
            DeliveryId::derive(AT, one, "a", "t", Some(event)),
            DeliveryId::derive(AT, one, "at", "", None),
            DeliveryId::of_callback(AT, TrusonaficationId::from_uuid(Uuid::from_u128(1))),
            DeliveryId::of_callback(AT, TrusonaficationId::from_uuid(Uuid::from_u128(2))),
        ];
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        assert_eq!(DeliveryId::derive(AT, one, "a", "t", None), ids[0]);
        assert!(ids.iter().all(|id| *id >= DeliveryId::first_of(AT)));
    }
}
