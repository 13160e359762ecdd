//! What an endpoint can be notified of.

use nodkey_kernel::named;

named! {
    /// What an endpoint can be notified of. An endpoint that names none is notified of all.
    pub enum EventType {
        /// A trusonafication was accepted.
        Accepted = "trusonafication.accepted",
        /// It was rejected.
        Rejected = "trusonafication.rejected",
        /// Nobody answered it before it expired.
        Expired = "trusonafication.expired",
        /// It was canceled.
        Canceled = "trusonafication.canceled",
        /// The person said that it was not them who asked; sent besides [`EventType::Rejected`], for whoever looks after that alone.
        Reported = "trusonafication.reported",
        /// A phone registered with a new key.
        DeviceRegistered = "device.registered",
        /// Its presence keys changed, or whether they count.
        DeviceKeysChanged = "device.keys_changed",
        /// A new phone took the place of an old one.
        DeviceReplaced = "device.replaced",
        /// Its keys ended for good.
        DeviceRetired = "device.retired",
        /// A device is a user's from now on.
        BindingActivated = "binding.activated",
        /// A document was registered, or counts from now on.
        DocumentRegistered = "identity_document.registered",
        /// None of a user's devices answers until the user is released.
        UserFrozen = "user.frozen",
        /// Nothing happened: somebody tries an endpoint out. It is sent to that one alone.
        EndpointTest = "endpoint.test",
    }
}

impl EventType {
    /// Reads one that an endpoint may name: a test is sent whatever it names.
    pub fn chosen(name: &str) -> Result<Self, ()> {
        Self::try_from(name).ok().filter(|known| *known != Self::EndpointTest).ok_or(())
    }
}
