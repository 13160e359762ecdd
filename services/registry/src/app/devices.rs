//! Use cases of devices.

use nodkey_db::Tx;
use nodkey_kernel::{
    device::DEVICE_TYP,
    id::{DeviceId, RelyingPartyId},
    jose::PublicJwk,
    key_statement::PresenceKind,
};
use nodkey_proto::{
    Event,
    convert::{timestamp, to_presence_kind},
    registry::v1::{DeviceRegistered, DeviceRetired, DeviceUpdated, PresenceKey},
};
use nodkey_runtime::page::Page;

use super::{ATTEMPTS, App, start};
use crate::{
    domain::{
        Change, Refusal,
        device::{self, Device, Patch, Registration},
        device_challenge::DeviceChallenge,
        key_statement::Verifier,
        phone_call::ProvenCall,
        relying_party::RelyingParty,
        standing::Standing,
    },
    error::Error,
    store::{device as store, proven_key, retention},
};

/// A device that has just been registered.
#[derive(Debug)]
pub struct Registered {
    /// The device.
    pub device: Device,
    /// Whether the device is new.
    pub created: bool,
    /// Its device-identifier JWT.
    pub jwt: String,
}

impl App {
    /// Registers a device or updates a known one, at the request of the phone itself.
    pub async fn register_device(
        &self,
        party: RelyingPartyId,
        registration: Registration,
        call: Option<&ProvenCall>,
    ) -> Result<Registered, Error> {
        let relying_party = self.relying_party(party).await?;
        relying_party.ensure_enabled()?;
        let registration = if let Some(call) = call { registration.sent_by(call).map_err(Refusal::from)? } else { registration };
        let id = registration.device_id();
        for _ in 0..ATTEMPTS {
            let registration = registration.clone();
            let registered = match store::resolve(&self.0.db, &id).await? {
                None => {
                    self.ensure_room(&relying_party).await?;
                    let device = Device::register(party, registration, self.verifier())?;
                    Box::pin(self.insert_device(device, call)).await?.map(|device| (device, true))
                }
                Some(known) => {
                    let change = known.clone().register_again(party, registration, self.verifier())?;
                    // On the heap, since both are large.
                    Box::pin(self.write_changed(&known, change, call)).await?.map(|device| (device, false))
                }
            };
            // If it was deleted in between, it is registered anew.
            if let Some((device, created)) = registered
                && self.note_seen(&device).await?
            {
                let jwt = self.device_jwt(&device).await?;
                return Ok(Registered { device, created, jwt });
            }
        }
        Err(Error::Raced)
    }

    /// Makes a nonce for a key statement of a device, whether it is registered or not.
    #[must_use]
    pub fn create_device_challenge(&self, id: &DeviceId) -> DeviceChallenge {
        DeviceChallenge::issue(&self.0.vault, id, self.now())
    }

    /// The deployment data that statements of phones are verified against.
    pub(super) fn verifier(&self) -> Verifier<'_> {
        Verifier { audience: &self.0.deployment.public_url, vault: &self.0.vault, now: self.now() }
    }

    /// Returns an authenticated device of any relying party, so that the caller learns its relying party.
    pub async fn resolve_device(&self, id: &DeviceId) -> Result<Device, Error> {
        let device = store::resolve(&self.0.db, id).await?.ok_or(Refusal::NotFound("device"))?;
        if !self.note_seen(&device).await? {
            return Err(Refusal::NotFound("device").into());
        }
        Ok(device)
    }

    /// Returns a device to another service that is about to rely on it. This counts as being seen and protects the device from deletion.
    pub async fn device_in_use(&self, party: RelyingPartyId, id: &DeviceId) -> Result<Device, Error> {
        let device = self.device(party, id).await?;
        let noted =
            if device.in_use { self.note_seen(&device).await? } else { store::note_in_use(&self.0.db, &device, self.now()).await? };
        if noted { Ok(device) } else { Err(Refusal::NotFound("device").into()) }
    }

    /// Refuses another unbound device once the limit is reached. Concurrent registrations may exceed it slightly.
    async fn ensure_room(&self, party: &RelyingParty) -> Result<(), Error> {
        let own = u32::try_from(party.limits.unbound_devices).ok().filter(|own| *own > 0);
        let limit = own.unwrap_or(self.0.max_unbound_devices);
        let count = store::count_unbound(&self.0.db, party.id, limit).await?;
        if count < i64::from(limit) { Ok(()) } else { Err(Refusal::TooManyUnboundDevices(limit).into()) }
    }

    /// Returns false if the device was deleted in between.
    async fn note_seen(&self, device: &Device) -> Result<bool, Error> {
        let now = self.now();
        Ok(!device.is_seen_anew(now) || retention::note_seen(&self.0.db, device, now).await?)
    }

    /// Returns a device.
    pub async fn device(&self, party: RelyingPartyId, id: &DeviceId) -> Result<Device, Error> {
        Ok(store::get(&self.0.db, party, id).await?.ok_or(Refusal::NotFound("device"))?)
    }

    /// Lists the devices of a relying party, newest first, with the token of the next page.
    pub async fn devices(&self, party: RelyingPartyId, page: &Page) -> Result<(Vec<Device>, String), Error> {
        let start = start(page, |id| DeviceId::parse(id).ok().map(String::from))?;
        let found = store::list(&self.0.db, party, &start, page.size).await?.into_parts();
        self.unless_empty(party, found).await
    }

    /// Changes the profile of a device, at the request of the phone itself.
    pub async fn update_device(
        &self,
        party: RelyingPartyId,
        id: &DeviceId,
        patch: Patch,
        call: Option<&ProvenCall>,
    ) -> Result<Device, Error> {
        let patch = if let Some(call) = call { patch.sent_by(call).map_err(Refusal::from)? } else { patch };
        for _ in 0..ATTEMPTS {
            let known = self.device(party, id).await?;
            let change = known.clone().update(patch.clone(), self.verifier())?;
            if let Some(device) = self.write_changed(&known, change, call).await? {
                return Ok(device);
            }
        }
        Err(Error::Raced)
    }

    /// Makes presence keys of a device count, on the backend's approval.
    pub async fn approve_device_keys(&self, party: RelyingPartyId, id: &DeviceId, thumbprints: &[String]) -> Result<Device, Error> {
        for _ in 0..ATTEMPTS {
            let known = self.device(party, id).await?;
            let change = known.clone().approve_keys(thumbprints, self.now())?;
            if let Some(device) = self.write_device(change, |device| updated(device, &known), async |_, _| Ok(())).await? {
                return Ok(device);
            }
        }
        Err(Error::Raced)
    }

    /// Retires a device.
    pub async fn retire_device(&self, party: RelyingPartyId, id: &DeviceId) -> Result<Device, Error> {
        for _ in 0..ATTEMPTS {
            let change = self.device(party, id).await?.retire(self.now());
            let event = |_: &Device| DeviceRetired { device_id: id.to_string() };
            if let Some(device) = self.write_device(change, event, async |_, _| Ok(())).await? {
                return Ok(device);
            }
        }
        Err(Error::Raced)
    }

    /// Retires the devices of a deactivated user in the transaction of the event. Unknown devices are skipped.
    pub async fn retire_devices(&self, tx: &mut Tx, party: RelyingPartyId, ids: &[DeviceId]) -> Result<(), Error> {
        for id in ids {
            let Some(device) = store::load(tx, party, id).await? else { continue };
            let Change::Changed(device) = device.retire(self.now()) else { continue };
            if !store::update(tx, &device).await? {
                return Err(Error::Raced);
            }
            let event = DeviceRetired { device_id: id.to_string() };
            self.emit_at(tx, &event, party, device.version, device.updated_at).await?;
        }
        Ok(())
    }

    /// Issues a device-identifier JWT.
    pub async fn issue_device_jwt(&self, party: RelyingPartyId, id: &DeviceId) -> Result<String, Error> {
        let device = self.device(party, id).await?;
        device.ensure_alive()?;
        self.device_jwt(&device).await
    }

    async fn device_jwt(&self, device: &Device) -> Result<String, Error> {
        let claims = device::claims(&self.0.deployment.public_url, device, self.0.random.token(), self.now());
        self.sign_claims(DEVICE_TYP, &claims).await
    }

    /// Returns `None` if a concurrent request registered it first.
    async fn insert_device(&self, device: Device, call: Option<&ProvenCall>) -> Result<Option<Device>, Error> {
        let mut tx = self.0.db.begin().await?;
        if !store::insert(&mut tx, &device).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        self.use_up(&mut tx, call).await?;
        self.claim_keys(&mut tx, &device).await?;
        self.emit_at(&mut tx, &registered(&device), device.relying_party, device.version, device.updated_at).await?;
        tx.commit().await?;
        Ok(Some(device))
    }

    /// Writes a phone's change of its own profile. Returns `None` if a concurrent request changed it first.
    async fn write_changed(&self, before: &Device, change: Change<Device>, call: Option<&ProvenCall>) -> Result<Option<Device>, Error> {
        let also = async |tx: &mut Tx, device: &Device| {
            self.use_up(tx, call).await?;
            // Unchanged keys are not checked again, so that a conflict about them does not block a change of the name.
            let same = device.profile.presence == before.profile.presence && device.vouching == before.vouching;
            if same { Ok(()) } else { self.claim_keys(tx, device).await }
        };
        self.write_device(change, |device| updated(device, before), also).await
    }

    /// Refuses presence keys that belong to another device, and records those that this device has proven to hold.
    async fn claim_keys(&self, tx: &mut Tx, device: &Device) -> Result<(), Error> {
        for thumbprint in device.proven_thumbprints() {
            proven_key::insert(tx, &device.id, &thumbprint).await?;
        }
        if proven_key::is_anothers(tx, &device.id, &device.presence_thumbprints()).await? {
            return Err(Refusal::PresenceKeyInUse.into());
        }
        Ok(())
    }

    /// Writes a change, and `also` in the same transaction. Returns `None` if a concurrent request changed it first.
    async fn write_device<E: Event>(
        &self,
        change: Change<Device>,
        event: impl FnOnce(&Device) -> E,
        also: impl AsyncFnOnce(&mut Tx, &Device) -> Result<(), Error>,
    ) -> Result<Option<Device>, Error> {
        let device = match change {
            Change::Same(device) => return Ok(Some(device)),
            Change::Changed(device) => device,
        };
        let mut tx = self.0.db.begin().await?;
        if !store::update(&mut tx, &device).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        also(&mut tx, &device).await?;
        self.emit_at(&mut tx, &event(&device), device.relying_party, device.version, device.updated_at).await?;
        tx.commit().await?;
        Ok(Some(device))
    }
}

/// The event of a device that was just registered.
pub(super) fn registered(device: &Device) -> DeviceRegistered {
    let certified = Some(device.vouching.statement.is_some());
    DeviceRegistered { device_id: device.id.to_string(), presence_keys: held_keys(device), certified }
}

/// The event of a device that differs from what it was `before`.
fn updated(device: &Device, before: &Device) -> DeviceUpdated {
    DeviceUpdated {
        device_id: device.id.to_string(),
        keys_changed: device.has_other_keys(before),
        presence_keys: held_keys(device),
        certified: device.vouching.statement.is_some(),
    }
}

fn held_keys(device: &Device) -> Vec<PresenceKey> {
    let held = |(kind, key): (PresenceKind, PublicJwk)| {
        let Standing { counts, since } = device.standings.of(kind);
        let kind = to_presence_kind(kind).into();
        PresenceKey { kind, thumbprint: key.thumbprint(), counts: Some(counts), since: since.map(timestamp), ..PresenceKey::default() }
    };
    device.profile.presence.iter().map(held).collect()
}
