#![doc = include_str!("../README.md")]

mod challenge;
mod config;
mod device;
mod environment;
mod error;
mod events;
mod id;
mod keys;
mod pending;
mod phone;
mod push;
mod respond;
mod signer;
#[cfg(feature = "software")]
pub mod software;
mod transfer;
mod transport;
mod trucode;
mod trust;
mod vouching;
mod wire;

/// Implements the async methods of [`KeyStore`], [`UserPresence`] and [`Environment`], which are object-safe.
pub use async_trait::async_trait;
pub use challenge::{Answer, Challenge, CustomFields, Decision, NumberMatch, Outcome, RejectReason, RelyingParty, RequestContext};
pub use config::{Config, ConfigBuilder, DeploymentKeys, Platform};
pub use device::{HeldKey, RegisteredDevice, RegisteredDocument, UserDevice};
pub use environment::{Environment, SystemEnvironment};
pub use error::{Error, ErrorKind};
pub use events::Events;
pub use id::{DeviceIdentifier, DocumentId, TrusonaficationId};
pub use keys::{
    Algorithm, KeyStore, KeyStoreError, MalformedKey, PresenceError, PresenceKey, PresenceKind, PublicKey, UserPresence,
    es256_signature_from_der,
};
pub use pending::{Open, Pending, PhoneEvent};
pub use phone::{Phone, PhoneBuilder};
pub use push::{PushRegistration, WebPushKeys};
pub use transfer::{TransferAct, Transferred};
pub use trucode::{Scanned, TruCodeContext};
pub use trust::Untrusted;
