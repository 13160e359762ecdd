#![doc = include_str!("../README.md")]

mod client;
mod credential;
mod error;
mod evidence;
mod id;
mod keys;
mod level;
mod pages;
mod receipt;
mod resources;
mod secret;
mod time;
mod token;
mod verification;
mod webhook;

pub use client::{Builder, Nodkey};
pub use credential::{bearer_token, hash_user_identifier};
pub use error::{Error, ErrorKind, FieldViolation};
pub use evidence::{
    Certification, Challenge, ChallengeMatch, Evidence, Expected, RequestContext, Response, VerifiedEvidence, verify_evidence,
};
pub use id::{
    BindingId, CodeId, DeliveryId, DeviceIdentifier, DocumentId, EndpointId, RelyingPartyId, ResultId, TrusonaficationId, UserIdentifier,
};
pub use keys::{Jwk, Jwks};
pub use level::Level;
pub use pages::{List, Pages};
pub use receipt::{Decision, KeyKind, Receipt, ReceiptKey, ReceiptStatus, verify_receipt};
pub use resources::{
    Attempt, Binding, BindingFilter, BindingState, Bindings, Codes, Created, Deliveries, Delivery, DeliveryFilter, DeliveryState, Device,
    Devices, DisabledReason, DocumentFilter, DocumentType, Documents, Endpoint, EndpointChanges, EndpointWithSecret, Endpoints, Freeze,
    FrozenBy, IdentityDocument, KeyRotation, NewBinding, NewDocument, NewEndpoint, NewTrusonafication, NumberMatch, Pairing, Platform,
    PresenceKey, PresenceKind, Redelivery, RejectReason, SigningKeys, Status, Trusonafication, TrusonaficationFilter,
    TrusonaficationResult, Trusonafications, User, UserFilter, Users, VerificationStatus, VerifyError, Watch,
};
pub use secret::Secret;
pub use token::{ResultReceipt, SignedDevice, SignedResult, verify_device_identifier, verify_result};
pub use verification::{VerificationError, VerificationReason};
pub use webhook::{Webhook, WebhookHeaders, WebhookNotice, WebhookResult, WebhookTrust, verify_webhook};
