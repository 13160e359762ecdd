//! The phone's side of the mobile protocol (`docs/protocol/mobile.md`), as a library.
//!
//! An app provides two things that belong to the platform: a [`KeyStore`] (Secure Enclave, Android Keystore) and a [`UserPresence`] (the
//! prompt before a presence key signs). Everything else is here: proofs, registration with a key statement, waiting, verifying challenges
//! with pinned keys, and the signed response.
//!
//! ```no_run
//! use std::time::Duration;
//! use nodkey_mobile_sdk::{Config, Decision, Phone, software::{SoftwareKeyStore, AlwaysPresent}};
//!
//! # async fn example(config: Config) -> Result<(), nodkey_mobile_sdk::Error> {
//! let phone = Phone::new(config, SoftwareKeyStore::generate(), AlwaysPresent)?;
//! let device = phone.register("Ada's phone").await?;
//! println!("{}", device.device_identifier);
//! for pending in phone.wait(Duration::from_secs(25)).await? {
//!     if pending.is_shown() {
//!         // Show pending.challenge, and let the person decide: these bytes were signed by the server and no others may be shown.
//!     }
//!     phone.respond(&pending, Decision::Accept, None).await?;
//! }
//! # Ok(())
//! # }
//! ```

mod device;
mod error;
mod keys;
mod pending;
mod phone;
pub mod software;
pub mod time;
mod transfer;
mod transport;
mod trucode;
mod trust;
mod vouching;

pub use device::{HeldKey, RegisteredDevice, RegisteredDocument, UserDevice};
pub use error::Error;
pub use keys::{KeyStore, PresenceError, UserPresence};
pub use nodkey_kernel::{
    challenge::{ChallengeClaims, ChallengeError, Decision, RejectReason},
    custom_fields::CustomFields,
    key_statement::PresenceKind,
    transfer::TransferAct,
};
pub use pending::{Open, Pending, PhoneEvent};
pub use phone::{Answer, Config, Phone, Platform};
pub use transfer::Transferred;
pub use trucode::{Scanned, TruCodeContext};
pub use trust::Untrusted;
