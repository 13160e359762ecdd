//! The calls, and what they take and return. Each file has its part of the contract, and the conversion from its messages.

mod bindings;
mod codes;
mod deliveries;
mod devices;
mod documents;
mod endpoints;
mod new_trusonafication;
mod signing_keys;
mod trusonafications;
mod users;
mod wire;

pub use bindings::{Binding, BindingFilter, BindingState, Bindings, NewBinding};
pub use codes::{Codes, Pairing};
pub use deliveries::{Attempt, Deliveries, Delivery, DeliveryFilter, DeliveryState, Redelivery};
pub use devices::{Device, Devices, Platform, PresenceKey, PresenceKind};
pub use documents::{DocumentFilter, DocumentType, Documents, IdentityDocument, NewDocument, VerificationStatus};
pub use endpoints::{DisabledReason, Endpoint, EndpointChanges, EndpointWithSecret, Endpoints, KeyRotation, NewEndpoint};
pub use new_trusonafication::NewTrusonafication;
pub(crate) use signing_keys::KeyCache;
pub use signing_keys::{SigningKeys, VerifyError};
pub use trusonafications::{
    Created, NumberMatch, RejectReason, Status, Trusonafication, TrusonaficationFilter, TrusonaficationResult, Trusonafications, Watch,
};
pub use users::{Freeze, FrozenBy, User, UserFilter, Users};
