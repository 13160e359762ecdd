//! Identity documents of users, for level 3.

use std::{sync::Arc, time::SystemTime};

use nodkey_proto::registry::v1::{self as message, identity_document_service_client::IdentityDocumentServiceClient};

use super::wire::{list, required, send, time, to_wire, wire_enum};
use crate::{DeviceIdentifier, DocumentId, Error, List, RelyingPartyId, UserIdentifier, client::Inner};

/// An identity document of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdentityDocument {
    /// Its id.
    pub id: DocumentId,
    /// Your relying party.
    pub relying_party: RelyingPartyId,
    /// The user, as you name them.
    pub user: UserIdentifier,
    /// The app's hash of it.
    pub hash: String,
    /// Its type.
    pub document_type: DocumentType,
    /// What somebody found who verified it; without effect on levels.
    pub verification_status: VerificationStatus,
    /// When it was verified.
    pub verified_at: Option<SystemTime>,
    /// When it was first registered.
    pub created_at: SystemTime,
    /// Whether it makes an accept level 3.
    pub counts: bool,
}

wire_enum! {
    /// The type of a document.
    DocumentType of message::DocumentType {
        /// A driver's licence with the barcode of the AAMVA.
        AamvaDriversLicense = "AAMVA_DRIVERS_LICENSE",
    }
}

to_wire!(DocumentType of message::DocumentType { AamvaDriversLicense, });

wire_enum! {
    /// What somebody found who verified a document.
    VerificationStatus of message::VerificationStatus {
        /// Nobody has verified it.
        Unverified = "UNVERIFIED",
        /// It cannot be verified.
        Unverifiable = "UNVERIFIABLE",
        /// It is genuine.
        Verified = "VERIFIED",
        /// It is not.
        Failed = "FAILED",
    }
}

/// A document to register.
#[derive(Clone, Debug)]
#[must_use]
pub struct NewDocument(message::RegisterIdentityDocumentRequest);

impl NewDocument {
    /// The document with this hash, 1 to 255 characters, as the app on a device of the user made it. The device has an active binding. A
    /// driver's licence, unless it says otherwise.
    pub fn new(device: impl Into<DeviceIdentifier>, hash: impl Into<String>) -> Self {
        let (device_id, hash) = (device.into().into(), hash.into());
        let r#type = DocumentType::AamvaDriversLicense.to_wire();
        Self(message::RegisterIdentityDocumentRequest { device_id, hash, r#type, ..Default::default() })
    }

    /// Of another type.
    pub const fn document_type(mut self, document_type: DocumentType) -> Self {
        self.0.r#type = document_type.to_wire();
        self
    }
}

/// Which documents of a user to list: all, unless it says otherwise.
#[derive(Clone, Debug)]
#[must_use]
pub struct DocumentFilter(message::ListIdentityDocumentsRequest);

impl DocumentFilter {
    /// Those of this user.
    pub fn user(user: impl Into<UserIdentifier>) -> Self {
        Self(message::ListIdentityDocumentsRequest { user_identifier: user.into().into(), ..Default::default() })
    }

    /// Only those that count.
    pub const fn counting(mut self) -> Self {
        self.0.counting = true;
        self
    }
}

/// Identity documents of users, for level 3.
#[derive(Clone, Debug)]
pub struct Documents(Arc<Inner>);

impl Documents {
    pub(crate) const fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Makes a document of the user of a device count: from now on accepts that present it are level 3. First verify by other means that it is
    /// the user's. The same hash again is the same document.
    ///
    /// Errors: `NOT_FOUND`, `DEVICE_RETIRED`, `DEVICE_NOT_BOUND`, `DEVICE_NOT_ACTIVE`.
    pub async fn register(&self, document: NewDocument) -> Result<IdentityDocument, Error> {
        IdentityDocument::read(send!(self.0, Registry, IdentityDocumentServiceClient::register_identity_document, document.0)?)
    }

    /// Returns a document.
    ///
    /// Errors: `NOT_FOUND`.
    pub async fn get(&self, id: impl Into<DocumentId>) -> Result<IdentityDocument, Error> {
        let message = message::GetIdentityDocumentRequest { id: id.into().into() };
        IdentityDocument::read(send!(self.0, Registry, IdentityDocumentServiceClient::get_identity_document, message)?)
    }

    /// Lists the documents of a user, newest first.
    pub fn list(&self, filter: DocumentFilter) -> List<IdentityDocument> {
        list!(
            self.0, Registry, IdentityDocumentServiceClient::list_identity_documents, filter.0,
            identity_documents => IdentityDocument::read
        )
    }
}

impl IdentityDocument {
    fn read(document: message::IdentityDocument) -> Result<Self, Error> {
        Ok(Self {
            id: document.id.into(),
            relying_party: document.relying_party_id.into(),
            user: document.user_identifier.into(),
            hash: document.hash,
            document_type: required(DocumentType::from_wire(document.r#type))?,
            verification_status: required(VerificationStatus::from_wire(document.verification_status))?,
            verified_at: time(document.verified_at),
            created_at: required(time(document.created_at))?,
            counts: document.counts.unwrap_or(true),
        })
    }
}
