//! The subject of each event message.

use crate::{binding::v1 as binding, notification::v1 as notification, registry::v1 as registry, trusonafication::v1 as trusonafication};

/// A fact published by one service, on `{SUBJECT}.{relying party}.{key}`.
pub trait Event: prost::Message + Default {
    /// `evt.<service>.v<version>.<fact>`.
    const SUBJECT: &'static str;

    /// Returns the id of the aggregate that the fact is about. Facts about the same aggregate are delivered in order.
    fn key(&self) -> String;
}

/// Takes `Message { path to the key } => "subject"`, and also defines [`SUBJECTS`].
macro_rules! events {
    ($($module:ident :: $message:ident ($($key:tt)+) => $subject:literal,)+) => {
        $(impl Event for $module::$message {
            const SUBJECT: &'static str = $subject;

            fn key(&self) -> String {
                events!(@key self, $($key)+)
            }
        })+

        /// Every subject, with the full name of its message.
        pub const SUBJECTS: &[(&str, &str)] = &[$(($subject, concat!("nodkey.", stringify!($module), ".v1.", stringify!($message)))),+];
    };
    (@key $event:ident, trusonafication) => { $event.trusonafication.as_ref().map_or_else(String::new, |t| t.id.clone()) };
    (@key $event:ident, $field:ident) => { $event.$field.clone() };
    (@key $event:ident, hash $field:ident) => { token(&$event.$field) };
}

events! {
    registry::RelyingPartyCreated(relying_party_id) => "evt.registry.v1.relying_party_created",
    registry::RelyingPartyDisabled(relying_party_id) => "evt.registry.v1.relying_party_disabled",
    registry::CredentialCreated(credential_id) => "evt.registry.v1.credential_created",
    registry::CredentialDisabled(credential_id) => "evt.registry.v1.credential_disabled",
    registry::DeviceRegistered(device_id) => "evt.registry.v1.device_registered",
    registry::DeviceUpdated(device_id) => "evt.registry.v1.device_updated",
    registry::DeviceRetired(device_id) => "evt.registry.v1.device_retired",
    registry::IdentityDocumentRegistered(identity_document_id) => "evt.registry.v1.identity_document_registered",
    registry::IdentityDocumentVerified(identity_document_id) => "evt.registry.v1.identity_document_verified",
    binding::BindingCreated(binding_id) => "evt.binding.v1.created",
    binding::BindingActivated(binding_id) => "evt.binding.v1.activated",
    binding::BindingDeactivated(binding_id) => "evt.binding.v1.deactivated",
    binding::UserDeactivated(hash user_identifier) => "evt.binding.v1.user_deactivated",
    binding::UserFrozen(hash user_identifier) => "evt.binding.v1.user_frozen",
    binding::UserReleased(hash user_identifier) => "evt.binding.v1.user_released",
    binding::DeviceReplaced(old_device_identifier) => "evt.binding.v1.device_replaced",
    trusonafication::TrusonaficationCreated(trusonafication) => "evt.trusonafication.v1.created",
    trusonafication::TrusonaficationAccepted(trusonafication) => "evt.trusonafication.v1.accepted",
    trusonafication::TrusonaficationRejected(trusonafication) => "evt.trusonafication.v1.rejected",
    trusonafication::TrusonaficationExpired(trusonafication) => "evt.trusonafication.v1.expired",
    trusonafication::TrusonaficationCanceled(trusonafication) => "evt.trusonafication.v1.canceled",
    trusonafication::TruCodeCreated(trucode_id) => "evt.trusonafication.v1.trucode_created",
    trusonafication::TruCodePaired(trucode_id) => "evt.trusonafication.v1.trucode_paired",
    notification::DeliveryFailed(delivery_id) => "evt.notification.v1.delivery_failed",
    notification::DeliveryExhausted(delivery_id) => "evt.notification.v1.delivery_exhausted",
    notification::EndpointDisabled(endpoint_id) => "evt.notification.v1.endpoint_disabled",
}

/// The digest of a user identifier, which may contain any character and must not appear in subjects.
fn token(user_identifier: &str) -> String {
    nodkey_kernel::jose::b64u(&nodkey_kernel::jose::sha256(user_identifier.as_bytes()))
}
