//! Use cases of identity documents.

use nodkey_kernel::{
    error::{Classify as _, Kind},
    id::{DeviceId, IdentityDocumentId, RelyingPartyId},
};
use nodkey_proto::{
    binding::v1::{BindingState, GetDeviceBindingRequest, binding_service_client::BindingServiceClient},
    registry::v1::{self as pb, IdentityDocumentRegistered, IdentityDocumentVerified},
};
use nodkey_runtime::{
    checked::{asking, begin, checked},
    page::Page,
    status::PeerError,
};

use super::{ATTEMPTS, App, start};
use crate::{
    domain::{
        Change, Refusal,
        document::{Document, Scan, VerificationStatus},
        document_statement::SentDocumentStatement,
        phone_call::ProvenCall,
    },
    error::Error,
    store::{device as devices, document as store},
};

/// Who registers a document, and with what proof.
#[derive(Debug)]
pub enum Word {
    /// The phone.
    Phone {
        /// Statement signed by a presence key. With the device key alone, the document is registered but does not count.
        statement: Option<SentDocumentStatement>,
        /// Call signed by the device key; `None` while gateways of an earlier release may still run.
        call: Option<Box<ProvenCall>>,
    },
    /// The backend or an operator.
    Backend,
}

impl Word {
    /// The word of a phone, taken from its call.
    pub fn of_phone(call: Option<ProvenCall>) -> Result<Self, Refusal> {
        let statement = call.as_ref().map_or(Ok(None), ProvenCall::document_statement)?;
        Ok(Self::Phone { statement, call: call.map(Box::new) })
    }

    /// Whether a document registered this way counts.
    #[must_use]
    pub const fn vouches(&self) -> bool {
        match self {
            Self::Phone { statement, .. } => statement.is_some(),
            Self::Backend => true,
        }
    }
}

impl App {
    /// Registers a document for the user a device is bound to. The same hash again returns the same document, which counts from then on if
    /// `by` vouches for it.
    pub async fn register_document(&self, party: RelyingPartyId, device: &DeviceId, scan: Scan, by: Word) -> Result<Document, Error> {
        if let Word::Phone { call: Some(call), .. } = &by {
            call.ensure_has_document(&scan.hash).map_err(Refusal::from)?;
        }
        self.device(party, device).await?.ensure_alive()?;
        for _ in 0..ATTEMPTS {
            if let Some(document) = checked(|| self.try_to_register_document(party, device, scan.clone(), &by)).await? {
                return Ok(document);
            }
        }
        Err(Error::Raced)
    }

    /// Returns `None` if a concurrent request was first.
    async fn try_to_register_document(
        &self,
        party: RelyingPartyId,
        device: &DeviceId,
        scan: Scan,
        by: &Word,
    ) -> Result<Option<Document>, Error> {
        let place = self.0.db.place().await?;
        let user = asking(self.user_of(party, device)).await?;
        let now = self.now();
        let device = self.device(party, device).await?;
        device.ensure_alive()?;
        let device_id = device.id.to_string();
        let mut tx = begin(place, &self.0.clock, now).await?;
        let found = store::find(&mut tx, party, &user, &scan.hash).await?;
        if let Some(found) = found.as_ref().filter(|found| found.counts || !by.vouches()) {
            tx.rollback().await?;
            return Ok(Some(found.clone()));
        }
        if let Word::Phone { statement: Some(statement), .. } = by {
            let challenged = statement.verify(device, &scan, self.verifier()).map_err(Refusal::from)?;
            if !devices::update(&mut tx, &challenged).await? {
                tx.rollback().await?;
                return Ok(None);
            }
        }
        let (document, written) = if let Some(found) = found {
            let document = found.vouched_for();
            let written = store::update(&mut tx, &document).await?;
            (document, written)
        } else {
            let id = IdentityDocumentId::generate(now, &self.0.random);
            let document = Document::register(id, party, user, scan, by.vouches(), now);
            let written = store::insert(&mut tx, &document).await?;
            (document, written)
        };
        if !written {
            tx.rollback().await?;
            return Ok(None);
        }
        if let Word::Phone { call, .. } = by {
            self.use_up(&mut tx, call.as_deref()).await?;
        }
        self.emit(&mut tx, &registered(&document, device_id), party, document.version).await?;
        tx.commit().await?;
        Ok(Some(document))
    }

    /// Fetches the user a device is bound to at this moment.
    async fn user_of(&self, party: RelyingPartyId, device: &DeviceId) -> Result<String, Error> {
        let mut bindings = BindingServiceClient::new(self.0.peers.binding().acting_for(party));
        let request = GetDeviceBindingRequest { device_identifier: device.to_string(), with_user_devices: false };
        let binding = match bindings.get_device_binding(request).await.map_err(PeerError::from) {
            Ok(answer) => answer.into_inner(),
            Err(e) if e.kind() == Kind::NotFound => return Err(Refusal::DeviceNotBound.into()),
            Err(e) => return Err(e.into()),
        };
        match binding.state() {
            BindingState::Active if binding.user_frozen => Err(Refusal::UserFrozen.into()),
            BindingState::Active => Ok(binding.user_identifier),
            BindingState::Inactive => Err(Refusal::DeviceNotActive.into()),
            BindingState::Deactivated | BindingState::Unspecified => Err(Refusal::DeviceNotBound.into()),
        }
    }

    /// Returns a document.
    pub async fn document(&self, party: RelyingPartyId, id: IdentityDocumentId) -> Result<Document, Error> {
        Ok(store::get(&self.0.db, party, id).await?.ok_or(Refusal::NotFound("identity document"))?)
    }

    /// Lists the documents of a user, newest first, with the token of the next page. With `counting`, only those that count.
    pub async fn documents(
        &self,
        party: RelyingPartyId,
        user: &str,
        counting: bool,
        page: &Page,
    ) -> Result<(Vec<Document>, String), Error> {
        let start = start(page, |id| id.parse().ok())?;
        let found = store::list(&self.0.db, party, user, counting, &start, page.size).await?.into_parts();
        self.unless_empty(party, found).await
    }

    /// Records the result of a third party's verification.
    pub async fn verify_document(
        &self,
        party: RelyingPartyId,
        id: IdentityDocumentId,
        status: VerificationStatus,
    ) -> Result<Document, Error> {
        for _ in 0..ATTEMPTS {
            let document = match self.document(party, id).await?.verified(status, self.now()) {
                Change::Same(document) => return Ok(document),
                Change::Changed(document) => document,
            };
            let mut tx = self.0.db.begin().await?;
            if store::update(&mut tx, &document).await? {
                let event = IdentityDocumentVerified { identity_document_id: id.to_string() };
                self.emit(&mut tx, &event, party, document.version).await?;
                tx.commit().await?;
                return Ok(document);
            }
            tx.rollback().await?;
        }
        Err(Error::Raced)
    }
}

/// The event of a document that was registered, or that counts from now on.
fn registered(document: &Document, device_id: String) -> IdentityDocumentRegistered {
    IdentityDocumentRegistered {
        identity_document_id: document.id.to_string(),
        user_identifier: document.user.clone(),
        device_id,
        hash: document.hash.clone(),
        r#type: pb::DocumentType::from(document.document_type).into(),
        counts: document.counts,
    }
}
