//! Use cases of identity documents.

use nodkey_kernel::{
    error::{Classify as _, Kind},
    id::{DeviceId, IdentityDocumentId, RelyingPartyId},
};
use nodkey_proto::{
    binding::v1::{BindingState, GetDeviceBindingRequest, binding_service_client::BindingServiceClient},
    registry::v1::{IdentityDocumentRegistered, IdentityDocumentVerified},
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
        phone_call::ProvenCall,
    },
    error::Error,
    store::document as store,
};

impl App {
    /// Registers a document for the user a device is bound to, as the phone itself asks. The same hash again: the same document.
    pub async fn register_document(
        &self,
        party: RelyingPartyId,
        device: &DeviceId,
        scan: Scan,
        call: Option<&ProvenCall>,
    ) -> Result<Document, Error> {
        call.map_or(Ok(()), |call| call.ensure_has_document(&scan.hash)).map_err(Refusal::from)?;
        self.device(party, device).await?.ensure_alive()?;
        checked(|| self.try_to_register_document(party, device, scan.clone(), call)).await
    }

    async fn try_to_register_document(
        &self,
        party: RelyingPartyId,
        device: &DeviceId,
        scan: Scan,
        call: Option<&ProvenCall>,
    ) -> Result<Document, Error> {
        let place = self.0.db.place().await?;
        let user = asking(self.user_of(party, device)).await?;
        let now = self.now();
        self.device(party, device).await?.ensure_alive()?;
        let id = IdentityDocumentId::generate(now, &self.0.random);
        let document = Document::register(id, party, user, scan, now);
        let mut tx = begin(place, &self.0.clock, now).await?;
        if !store::insert(&mut tx, &document).await? {
            // What was there may be another's that is not committed yet: then this waits for what becomes of it.
            tx.rollback().await?;
            let mut tx = self.0.db.begin().await?;
            let found = store::find(&mut tx, party, &document.user, &document.hash).await?;
            tx.commit().await?;
            return found.ok_or(Error::Raced);
        }
        self.use_up(&mut tx, call).await?;
        self.emit(&mut tx, &IdentityDocumentRegistered { identity_document_id: id.to_string() }, party, document.version).await?;
        tx.commit().await?;
        Ok(document)
    }

    /// Asks whom a device is bound to, now.
    async fn user_of(&self, party: RelyingPartyId, device: &DeviceId) -> Result<String, Error> {
        let mut bindings = BindingServiceClient::new(self.0.peers.binding().acting_for(party));
        let request = GetDeviceBindingRequest { device_identifier: device.to_string() };
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

    /// Returns one.
    pub async fn document(&self, party: RelyingPartyId, id: IdentityDocumentId) -> Result<Document, Error> {
        Ok(store::get(&self.0.db, party, id).await?.ok_or(Refusal::NotFound("identity document"))?)
    }

    /// Lists those of a user, newest first, with the token of the next page.
    pub async fn documents(&self, party: RelyingPartyId, user: &str, page: &Page) -> Result<(Vec<Document>, String), Error> {
        let start = start(page, |id| id.parse().ok())?;
        Ok(store::list(&self.0.db, party, user, &start, page.size).await?.into_parts())
    }

    /// Records what a verification by a third party found.
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
