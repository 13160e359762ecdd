//! Event types of webhook endpoints.

use nodkey_kernel::named;

named! {
    /// An event type that an endpoint can subscribe to. An endpoint without types gets all events.
    pub enum EventType {
        /// A trusonafication was accepted.
        Accepted = "trusonafication.accepted",
        /// It was rejected.
        Rejected = "trusonafication.rejected",
        /// It expired without an answer.
        Expired = "trusonafication.expired",
        /// It was canceled.
        Canceled = "trusonafication.canceled",
        /// The person reported "not me". Sent in addition to [`EventType::Rejected`], for receivers that only handle reports.
        Reported = "trusonafication.reported",
        /// A phone registered with a new key.
        DeviceRegistered = "device.registered",
        /// Its presence keys changed, or whether they count.
        DeviceKeysChanged = "device.keys_changed",
        /// A new phone replaced an old one.
        DeviceReplaced = "device.replaced",
        /// A device was retired permanently.
        DeviceRetired = "device.retired",
        /// A device was bound to a user, and the binding is active.
        BindingActivated = "binding.activated",
        /// A document was registered, or counts from now on.
        DocumentRegistered = "identity_document.registered",
        /// A user was frozen: none of their devices can answer until they are released.
        UserFrozen = "user.frozen",
        /// Nothing happened: somebody tries an endpoint out. It is sent to that one alone.
        EndpointTest = "endpoint.test",
    }
}

impl EventType {
    /// Those that an endpoint may name: a test is sent whatever it names.
    pub fn choosable() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|known| *known != Self::EndpointTest)
    }
}
