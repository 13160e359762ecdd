//! Use cases: calls to other services first, then one transaction.

mod freeze;
mod inactive;
mod replay;
mod transfer;

use std::sync::Arc;

use nodkey_db::{
    Db, Tx,
    outbox::{self, EventContext},
};
use nodkey_kernel::{
    error::{Classify as _, Kind},
    id::{BindingId, DeviceId, RelyingPartyId},
    jose::{b64u, b64u_decode},
    random::Random,
    time::{Clock, Timestamp},
    vault::Vault,
};
use nodkey_proto::{
    Event,
    binding::v1::{self as pb, UserDeactivated},
    registry::v1::{GetDeviceRequest, device_service_client::DeviceServiceClient},
};
use nodkey_runtime::{
    Deployment, Deps, Failure, Peer,
    idempotent::{Answers, Request, once},
    page::{Listed, Page},
    status::PeerError,
};
use uuid::Uuid;

use crate::{
    convert::{activated, created, deactivated, message},
    domain::{Binding, Change, Identifier, Refusal, Scope, StateName, TrusonaId, UserIdentifier},
    error::Error,
    store,
};

/// How often a change is attempted when concurrent changes win.
const ATTEMPTS: usize = 8;

/// The use cases. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    db: Db,
    registry: Peer,
    clock: Clock,
    random: Random,
    vault: Arc<Vault>,
    deployment: Arc<Deployment>,
}

/// A request to bind a device to a user.
#[derive(Debug)]
pub struct Create {
    /// Identifies the request, if it may be repeated.
    pub request: Option<Request>,
    /// The user.
    pub user: UserIdentifier,
    /// The device; `None` for text that is not a device identifier and therefore names no device.
    pub device: Option<DeviceId>,
}

impl App {
    /// Creates the use cases.
    pub fn new(deps: &Deps) -> anyhow::Result<Self> {
        Ok(Self {
            db: deps.db()?,
            registry: deps.peers.registry().clone(),
            clock: deps.clock.clone(),
            random: deps.random.clone(),
            vault: deps.vault()?,
            deployment: Arc::clone(&deps.deployment),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Binds a device to a user; the binding is inactive. If the two already have a live binding, it is returned unchanged.
    pub async fn create(&self, party: RelyingPartyId, create: Create) -> Result<pb::Binding, Error> {
        let Create { request, user, device } = create;
        let answers = Answers { db: &self.db, vault: &self.vault, random: &self.random, clock: &self.clock };
        let attempt = async || {
            let device = device.as_ref().ok_or(Refusal::DeviceNotFound)?;
            self.ensure_device(party, device).await?;
            let mut tx = self.db.begin().await?;
            let (binding, _) = self.bind(&mut tx, party, &user, device, self.clock.now()).await?;
            Ok(Some((tx, message(&binding))))
        };
        once(request.as_ref(), &answers, attempt).await
    }

    /// Checks with the registry that a device exists and is not retired.
    pub async fn ensure_device(&self, party: RelyingPartyId, device: &DeviceId) -> Result<(), Error> {
        let mut registry = DeviceServiceClient::new(self.registry.acting_for(party));
        match registry.get_device(GetDeviceRequest { device_id: device.to_string() }).await.map_err(PeerError::from) {
            Ok(answer) if answer.get_ref().retired => Err(Refusal::DeviceNotFound.into()),
            Ok(_) => Ok(()),
            Err(e) if e.kind() == Kind::NotFound => Err(Refusal::DeviceNotFound.into()),
            Err(e) => Err(e.into()),
        }
    }

    /// Creates a binding; returns it with whether it is new. Everywhere, the device is locked before the user.
    async fn bind(
        &self,
        tx: &mut Tx,
        party: RelyingPartyId,
        user: &UserIdentifier,
        device: &DeviceId,
        now: Timestamp,
    ) -> Result<(Binding, bool), Error> {
        // It may have been retired since the registry answered.
        if store::lock_device(tx, party, device).await? {
            return Err(Refusal::DeviceNotFound.into());
        }
        if let Some(living) = store::load_living(tx, party, device).await? {
            return Ok((living.create_again(user)?, false));
        }
        store::lock_user(tx, party, user).await?;
        let devices = store::load_of_user(tx, party, user).await?.len();
        let id = BindingId::generate(now, &self.random);
        let user_frozen = store::freeze::load(tx, party, user).await?.is_some();
        let binding = Binding { user_frozen, ..Binding::create(id, party, user.clone(), device.clone(), devices, now)? };
        store::insert(tx, &binding).await?;
        self.publish(tx, party, binding.version, &created(&binding), now).await?;
        Ok((binding, true))
    }

    /// Activates a binding.
    pub async fn activate(&self, party: RelyingPartyId, id: BindingId) -> Result<Binding, Error> {
        let mut tx = self.db.begin().await?;
        let found = store::load(&mut tx, party, id).await?.ok_or(Failure::NotFound("binding"))?;
        let (binding, changed) = self.activate_found(&mut tx, found, self.clock.now()).await?;
        if changed {
            tx.commit().await?;
        } else {
            tx.rollback().await?;
        }
        Ok(binding)
    }

    /// Activates a binding inside a transaction. Returns it with whether that changed anything.
    async fn activate_found(&self, tx: &mut Tx, mut found: Binding, now: Timestamp) -> Result<(Binding, bool), Error> {
        loop {
            let (party, id) = (found.relying_party, found.id);
            let binding = match found.activate(now)? {
                Change::Same(binding) => return Ok((binding, false)),
                Change::Changed(binding) => binding,
            };
            // Of two concurrent activations, the later one sees the earlier one.
            store::lock_user(tx, party, &binding.user).await?;
            if store::update(tx, &binding).await? {
                self.publish_activated(tx, &binding, now).await?;
                return Ok((binding, true));
            }
            // A lost race is followed by another attempt. No binding becomes inactive again, so this ends.
            found = store::load(tx, party, id).await?.ok_or(Failure::Internal("a binding is gone"))?;
        }
    }

    /// Publishes that a binding is active, with the other active devices of the user. The user is locked.
    async fn publish_activated(&self, tx: &mut Tx, binding: &Binding, now: Timestamp) -> Result<(), Error> {
        let party = binding.relying_party;
        let mut others = store::load_of_user(tx, party, &binding.user).await?;
        others.retain(|other| other.state.is_active() && other.id != binding.id);
        self.publish(tx, party, binding.version, &activated(binding, &others), now).await
    }

    /// Deactivates a binding permanently.
    pub async fn deactivate(&self, party: RelyingPartyId, id: BindingId) -> Result<Binding, Error> {
        let mut tx = self.db.begin().await?;
        let found = store::load(&mut tx, party, id).await?.ok_or(Failure::NotFound("binding"))?;
        store::lock_user(&mut tx, party, &found.user).await?;
        let binding = self.end(&mut tx, found, self.clock.now()).await?;
        tx.commit().await?;
        Ok(binding)
    }

    /// Deactivates every binding of a user and ends a freeze with them. Returns the bindings. The devices are marked as retired here, so
    /// they cannot be bound again before the registry has consumed the event.
    pub async fn deactivate_user(&self, party: RelyingPartyId, user: &UserIdentifier) -> Result<Vec<Binding>, Error> {
        for _ in 0..ATTEMPTS {
            let known = store::of_user(&self.db, party, user).await?;
            // An unknown user must not leave a row behind.
            if known.is_empty() && store::freeze::get(&self.db, party, user).await?.is_none() {
                return Err(Refusal::UserNotFound.into());
            }
            let mut devices: Vec<_> = known.into_iter().map(|binding| binding.device).collect();
            devices.sort_unstable();
            let now = self.clock.now();
            let mut tx = self.db.begin().await?;
            for device in &devices {
                store::lock_device(&mut tx, party, device).await?;
            }
            let version = store::lock_user(&mut tx, party, user).await?;
            let living = store::load_of_user(&mut tx, party, user).await?;
            let was_frozen = store::freeze::delete(&mut tx, party, user).await?;
            if (living.is_empty() && !was_frozen) || living.iter().any(|binding| !devices.contains(&binding.device)) {
                // A binding was deactivated in the meantime, or another device was bound.
                tx.rollback().await?;
                continue;
            }
            let mut ended = Vec::new();
            for binding in living {
                store::retire_device(&mut tx, party, &binding.device).await?;
                ended.push(self.end(&mut tx, binding, now).await?);
            }
            let event = UserDeactivated {
                user_identifier: user.as_str().to_owned(),
                device_identifiers: ended.iter().map(|b| b.device.to_string()).collect(),
                binding_ids: ended.iter().map(|b| b.id.to_string()).collect(),
            };
            self.publish(&mut tx, party, version, &event, now).await?;
            tx.commit().await?;
            return Ok(ended);
        }
        Err(Error::Raced)
    }

    /// Handles a retired device: its binding ends, and it can never be bound again.
    pub async fn device_retired(&self, tx: &mut Tx, party: RelyingPartyId, device: &DeviceId) -> Result<(), Error> {
        store::retire_device(tx, party, device).await?;
        if let Some(binding) = store::load_living(tx, party, device).await? {
            store::lock_user(tx, party, &binding.user).await?;
            self.end(tx, binding, self.clock.now()).await?;
        }
        Ok(())
    }

    /// Ends a binding in a transaction that has locked the user, even if concurrent requests change it.
    async fn end(&self, tx: &mut Tx, mut found: Binding, now: Timestamp) -> Result<Binding, Error> {
        loop {
            let (party, id) = (found.relying_party, found.id);
            match found.deactivate(now) {
                Change::Same(binding) => return Ok(binding),
                Change::Changed(binding) if !store::update(tx, &binding).await? => {
                    // Activated or ended in the meantime.
                    found = store::load(tx, party, id).await?.ok_or(Failure::Internal("a binding is gone"))?;
                }
                Change::Changed(binding) => {
                    let others = store::load_of_user(tx, party, &binding.user).await?;
                    let last = !others.iter().any(|other| other.state.is_active());
                    self.publish(tx, party, binding.version, &deactivated(&binding, last), now).await?;
                    return Ok(binding);
                }
            }
        }
    }

    /// Returns a binding.
    pub async fn get(&self, party: RelyingPartyId, id: BindingId) -> Result<Binding, Error> {
        Ok(store::get(&self.db, party, id).await?.ok_or(Failure::NotFound("binding"))?)
    }

    /// Returns the live binding of a device.
    pub async fn of_device(&self, party: RelyingPartyId, device: &DeviceId) -> Result<Binding, Error> {
        Ok(store::living(&self.db, party, device).await?.ok_or(Failure::NotFound("binding"))?)
    }

    /// Returns the active bindings of a binding's user, itself included, in the order of activation. Returns none if the given binding is
    /// not active: its device does not belong to the user yet.
    pub async fn active_beside(&self, binding: &Binding) -> Result<Vec<Binding>, Error> {
        if !binding.state.is_active() {
            return Ok(Vec::new());
        }
        let mut active = store::of_user(&self.db, binding.relying_party, &binding.user).await?;
        active.retain(|other| other.state.is_active());
        active.sort_by_key(|other| (other.state.activated_at(), other.id.as_uuid()));
        Ok(active)
    }

    /// Returns the live bindings of a user, oldest first.
    pub async fn of_user(&self, party: RelyingPartyId, user: &UserIdentifier) -> Result<Vec<Binding>, Error> {
        Ok(store::of_user(&self.db, party, user).await?)
    }

    /// Returns a page of bindings.
    pub async fn list(
        &self,
        party: RelyingPartyId,
        user: Option<&UserIdentifier>,
        state: Option<StateName>,
        page: &Page,
    ) -> Result<Listed<Binding>, Error> {
        let id = match &page.after {
            None => Uuid::max(),
            Some(cursor) => cursor.id.parse().map_err(|_| Failure::field("page_token", "must be a page token from an earlier response"))?,
        };
        let listing = store::Listing { user, state, at: page.before(), id, size: page.size };
        Ok(store::list(&self.db, party, &listing).await?)
    }

    /// Encrypts a page token for an operator: it contains an activation code, which auditors must not see among the operators' requests.
    pub fn seal_token(&self, party: RelyingPartyId, token: &str) -> String {
        if token.is_empty() {
            return String::new();
        }
        b64u(&self.vault.seal(&self.random, &page_context(party), token.as_bytes()))
    }

    /// Decrypts a page token sealed for this relying party.
    pub fn open_token(&self, party: RelyingPartyId, sealed: &str) -> Result<String, Error> {
        if sealed.is_empty() {
            return Ok(String::new());
        }
        let opened = b64u_decode(sealed).ok().and_then(|sealed| self.vault.open(&page_context(party), &sealed).ok());
        let token = opened.and_then(|token| String::from_utf8(token.to_vec()).ok());
        Ok(token.ok_or_else(|| Failure::field("page_token", "must be a page token from an earlier response"))?)
    }

    /// Registers the Trusona ID of a user.
    pub async fn register_identifier(
        &self,
        party: RelyingPartyId,
        scope: Scope,
        user: UserIdentifier,
        trusona_id: TrusonaId,
    ) -> Result<Identifier, Error> {
        let mut tx = self.db.begin().await?;
        let (registered, _) = self.add_identifier(&mut tx, party, scope, user, trusona_id).await?;
        tx.commit().await?;
        Ok(registered)
    }

    /// As [`Self::register_identifier`], inside a transaction; also returns whether it is new.
    pub async fn add_identifier(
        &self,
        tx: &mut Tx,
        party: RelyingPartyId,
        scope: Scope,
        user: UserIdentifier,
        trusona_id: TrusonaId,
    ) -> Result<(Identifier, bool), Error> {
        let new = Identifier { scope, user, trusona_id, created_at: self.clock.now() };
        if store::insert_identifier(tx, party, &new).await? {
            return Ok((new, true));
        }
        let found = store::load_identifier(tx, party, scope, &new.user).await?;
        let found = found.ok_or(Failure::Internal("an identifier is gone"))?.register_again(&new.trusona_id)?;
        Ok((found, false))
    }

    /// Begins the transaction of an import.
    pub async fn begin(&self) -> Result<Tx, Error> {
        Ok(self.db.begin_large().await?)
    }

    /// Binds a device that is known to exist, and activates the binding if requested. Returns whether that changed anything.
    pub async fn import_binding(
        &self,
        tx: &mut Tx,
        party: RelyingPartyId,
        user: &UserIdentifier,
        device: &DeviceId,
        active: bool,
    ) -> Result<bool, Error> {
        let now = self.clock.now();
        let (binding, is_new) = self.bind(tx, party, user, device, now).await?;
        if !active {
            return Ok(is_new);
        }
        let (_, changed) = self.activate_found(tx, binding, now).await?;
        Ok(is_new || changed)
    }

    /// Returns those of these users that are registered, in the order of the request.
    pub async fn identifiers(&self, party: RelyingPartyId, scope: Scope, users: &[UserIdentifier]) -> Result<Vec<Identifier>, Error> {
        let mut found = Vec::new();
        for user in users {
            found.extend(store::identifier(&self.db, party, scope, user).await?);
        }
        Ok(found)
    }

    /// Returns the users of a Trusona ID, oldest first.
    pub async fn identifiers_of(&self, party: RelyingPartyId, scope: Scope, trusona_id: &TrusonaId) -> Result<Vec<Identifier>, Error> {
        Ok(store::identifiers_of(&self.db, party, scope, trusona_id).await?)
    }

    async fn publish<E: Event>(&self, tx: &mut Tx, party: RelyingPartyId, version: i64, event: &E, now: Timestamp) -> Result<(), Error> {
        let context = EventContext { now, version, relying_party: party };
        Ok(outbox::add(tx, event, &context).await?)
    }
}

fn page_context(party: RelyingPartyId) -> String {
    format!("binding-page/{party}")
}
