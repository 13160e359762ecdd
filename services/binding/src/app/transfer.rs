//! Transfers: a phone hands its binding to another phone, or adds another phone to its user.

use nodkey_db::Tx;
use nodkey_kernel::{
    id::{BindingId, DeviceId, RelyingPartyId},
    time::Timestamp,
    transfer::TransferAct,
};
use nodkey_proto::{
    binding::v1::TransferBindingRequest,
    convert::from_timestamp,
    registry::v1::{self as registry, VerifyTransferRequest, device_service_client::DeviceServiceClient},
};
use nodkey_runtime::{
    Failure,
    checked::{asking, begin, checked},
    status::PeerError,
};

use super::App;
use crate::{
    convert::{created, deactivated, replaced},
    domain::{
        Binding, Refusal, State,
        transfer::{Found, Transfer, Transferred},
    },
    error::Error,
    store,
};

impl App {
    /// Binds a phone at the request of another phone of the user. The registry verifies what both signed; its answer is fresh when the
    /// result is committed.
    pub async fn transfer(&self, party: RelyingPartyId, old: &DeviceId, asked: &TransferBindingRequest) -> Result<Binding, Error> {
        checked(|| self.try_to_transfer(party, old, asked)).await
    }

    async fn try_to_transfer(&self, party: RelyingPartyId, old: &DeviceId, asked: &TransferBindingRequest) -> Result<Binding, Error> {
        self.ensure_vouches(party, old).await?;
        let place = self.db.place().await?;
        let transfer = asking(self.verify(party, old, asked)).await?;
        let now = self.clock.now();
        let mut tx = begin(place, &self.clock, now).await?;
        let done = self.write_transfer(&mut tx, party, &transfer, now).await?;
        tx.commit().await?;
        Ok(done)
    }

    /// Refuses an unbound device before the registry is called, since that call protects the other device from deletion.
    async fn ensure_vouches(&self, party: RelyingPartyId, old: &DeviceId) -> Result<(), Error> {
        let bound = store::living(&self.db, party, old).await?.is_some();
        if bound || store::has_vouched(&self.db, party, old).await? { Ok(()) } else { Err(Refusal::DeviceNotBound.into()) }
    }

    async fn verify(&self, party: RelyingPartyId, old: &DeviceId, asked: &TransferBindingRequest) -> Result<Transfer, Error> {
        let mut devices = DeviceServiceClient::new(self.registry.acting_for(party));
        let request = VerifyTransferRequest {
            device_id: old.to_string(),
            statement: asked.statement.clone(),
            signature: asked.signature.clone(),
            request: asked.request.clone(),
        };
        let verified = devices.verify_transfer(request).await.map_err(PeerError::from)?.into_inner();
        let act = match verified.act() {
            registry::TransferAct::Replace => TransferAct::Replace,
            registry::TransferAct::Add => TransferAct::Add,
            registry::TransferAct::Unspecified => return Err(Failure::Internal("the registry names no act").into()),
        };
        let challenged_at = verified.challenged_at.as_ref().and_then(from_timestamp);
        Ok(Transfer {
            old: old.clone(),
            new: DeviceId::parse(&verified.new_device_id).map_err(|_| Failure::Internal("the registry names no device"))?,
            act,
            challenged_at: challenged_at.ok_or(Failure::Internal("the registry names no moment"))?,
        })
    }

    /// Devices are locked before the user, in the order of their identifiers, as everywhere.
    pub(super) async fn write_transfer(
        &self,
        tx: &mut Tx,
        party: RelyingPartyId,
        transfer: &Transfer,
        now: Timestamp,
    ) -> Result<Binding, Error> {
        let mut devices = [&transfer.old, &transfer.new];
        devices.sort_unstable();
        for device in devices {
            // The new device may have been retired since the registry answered; the old one may have been replaced.
            if store::lock_device(tx, party, device).await? && *device == transfer.new {
                return Err(Refusal::DeviceNotFound.into());
            }
        }
        let challenged_at = store::challenged_at(tx, party, &transfer.old).await?;
        let new = store::load_living(tx, party, &transfer.new).await?;
        // The user's bindings are read once no other transaction can change them.
        let living = match store::load_living(tx, party, &transfer.old).await? {
            Some(old) => {
                store::lock_user(tx, party, &old.user).await?;
                store::load_of_user(tx, party, &old.user).await?
            }
            None => Vec::new(),
        };
        let devices = living.len();
        let old = living.into_iter().find(|binding| binding.device == transfer.old);
        // The binding that vouches cannot end before this transaction does.
        if let Some(old) = &old
            && !store::hold(tx, old).await?
        {
            return Err(Error::Raced);
        }
        let found = Found { old, new, devices, challenged_at };
        let (ended, begun) = match transfer.apply(found, BindingId::generate(now, &self.random), now)? {
            Transferred::Before(binding) => return Ok(binding),
            Transferred::Now { ended, begun } => (ended, begun),
        };
        store::note_challenge(tx, party, &transfer.old, transfer.challenged_at).await?;
        if let Some(ended) = &ended {
            if !store::update(tx, ended).await? {
                return Err(Error::Raced);
            }
            store::retire_device(tx, party, &ended.device).await?;
            self.publish(tx, party, ended.version, &deactivated(ended, false), now).await?;
        }
        let inactive = Binding { state: State::Inactive, version: 1, ..begun.clone() };
        store::insert(tx, &inactive).await?;
        if !store::update(tx, &begun).await? {
            return Err(Failure::Internal("a binding is gone").into());
        }
        self.publish(tx, party, inactive.version, &created(&inactive), now).await?;
        self.publish_activated(tx, &begun, now).await?;
        if let Some(ended) = ended {
            self.publish(tx, party, ended.version, &replaced(&ended, &begun), now).await?;
        }
        Ok(begun)
    }
}
