//! Use cases of freezing and releasing users.

use nodkey_db::used_proof;
use nodkey_kernel::{
    dpop::{self, Unproven},
    id::{DeviceId, RelyingPartyId},
};
use nodkey_proto::{
    binding::v1::{UserFrozen, UserReleased},
    registry::v1::PhoneCall,
};
use nodkey_runtime::housekeeping::Pass;

use super::App;
use crate::{
    convert::frozen_by,
    domain::{
        Binding, Refusal, State, User, UserIdentifier,
        freeze::{Freeze, Freezer, Note},
    },
    error::Error,
    store,
};

/// Path that a phone calls to freeze its user.
const FREEZES: &str = "/api/v2/user_freezes";

impl App {
    /// Freezes a user: once committed, none of their bindings is reported as able to answer. An existing freeze is kept.
    pub async fn freeze(&self, party: RelyingPartyId, user: &UserIdentifier, by: Freezer, note: Note) -> Result<User, Error> {
        self.freeze_by(party, user, by, note, None).await
    }

    /// Freezes a user at the request of one of their phones, which must be signed by its device key.
    pub async fn freeze_by_device(&self, party: RelyingPartyId, device: &DeviceId, call: Option<PhoneCall>) -> Result<User, Error> {
        let call = call.ok_or(Refusal::Unproven(Unproven::Missing))?;
        let url = format!("{}{FREEZES}", self.deployment.public_url);
        let proof = dpop::verify_forwarded(&call.proof, "POST", &url, &call.body, self.clock.now());
        let proof = proof.map_err(|e| Refusal::Unproven(e.into()))?;
        if proof.device_id != *device {
            return Err(Refusal::Unproven(Unproven::Device).into());
        }
        let binding = store::living(&self.db, party, device).await?.ok_or(Refusal::DeviceNotBound)?;
        match binding.state {
            State::Active { .. } => {}
            State::Inactive => return Err(Refusal::DeviceNotActive.into()),
            State::Deactivated { .. } => return Err(Refusal::DeviceNotBound.into()),
        }
        let by = Freezer::Device(device.clone());
        self.freeze_by(party, &binding.user, by, Note::default(), Some((device, &proof.jti))).await
    }

    /// `proof` takes effect once: a lost answer may be requested again, and a repetition does not undo a release.
    pub(super) async fn freeze_by(
        &self,
        party: RelyingPartyId,
        user: &UserIdentifier,
        by: Freezer,
        note: Note,
        proof: Option<(&DeviceId, &str)>,
    ) -> Result<User, Error> {
        // An unknown user must not leave a row behind.
        self.user(party, user).await?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let version = store::lock_user(&mut tx, party, user).await?;
        let living = store::load_of_user(&mut tx, party, user).await?;
        if let Some(freeze) = store::freeze::load(&mut tx, party, user).await? {
            tx.rollback().await?;
            return Ok(User { identifier: user.clone(), freeze: Some(freeze), devices: living.len() });
        }
        if living.is_empty() {
            tx.rollback().await?;
            return Err(Refusal::UserNotFound.into());
        }
        // The device may have been replaced since it was read.
        if let Some((device, _)) = proof
            && !living.iter().any(|binding| binding.device == *device && binding.state.is_active())
        {
            tx.rollback().await?;
            return Err(Refusal::DeviceNotBound.into());
        }
        if let Some((device, jti)) = proof
            && !used_proof::insert(&mut tx, device, jti, now).await?
        {
            return Err(Refusal::Unproven(Unproven::Used).into());
        }
        let freeze = Freeze { at: now, by, note };
        store::freeze::insert(&mut tx, party, user, &freeze).await?;
        let (device_identifiers, binding_ids) = names(&living);
        let event = UserFrozen {
            user_identifier: user.as_str().to_owned(),
            frozen_by: frozen_by(&freeze.by).into(),
            frozen_by_device: freeze.by.device().map(ToString::to_string).unwrap_or_default(),
            note: freeze.note.as_str().to_owned(),
            device_identifiers,
            binding_ids,
        };
        self.publish(&mut tx, party, version, &event, now).await?;
        tx.commit().await?;
        Ok(User { identifier: user.clone(), freeze: Some(freeze), devices: living.len() })
    }

    /// Releases a user: everything is as before the freeze.
    pub async fn release(&self, party: RelyingPartyId, user: &UserIdentifier) -> Result<User, Error> {
        // An unknown user must not leave a row behind.
        self.user(party, user).await?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let version = store::lock_user(&mut tx, party, user).await?;
        let living = store::load_of_user(&mut tx, party, user).await?;
        let released = User { identifier: user.clone(), freeze: None, devices: living.len() };
        if !store::freeze::delete(&mut tx, party, user).await? {
            tx.rollback().await?;
            return Ok(released);
        }
        let (device_identifiers, binding_ids) = names(&living);
        let event = UserReleased { user_identifier: user.as_str().to_owned(), device_identifiers, binding_ids };
        self.publish(&mut tx, party, version, &event, now).await?;
        tx.commit().await?;
        Ok(released)
    }

    /// Returns a user who has a live binding or is frozen.
    pub async fn user(&self, party: RelyingPartyId, user: &UserIdentifier) -> Result<User, Error> {
        let devices = store::of_user(&self.db, party, user).await?.len();
        let freeze = store::freeze::get(&self.db, party, user).await?;
        if devices == 0 && freeze.is_none() {
            return Err(Refusal::UserNotFound.into());
        }
        Ok(User { identifier: user.clone(), freeze, devices })
    }

    /// Lists users whose identifiers begin with a prefix, after a given one.
    pub async fn users(&self, party: RelyingPartyId, prefix: &str, after: &str, size: i64) -> Result<store::users::Found, Error> {
        Ok(store::users::list(&self.db, party, prefix, after, size).await?)
    }

    /// Deletes used proofs that have expired and would be refused anyway.
    pub async fn delete_used_proofs(&self, pass: &Pass) -> Result<(), Error> {
        Ok(pass.repeat(|| used_proof::prune(&self.db, pass.now() - used_proof::KEPT)).await.map(drop)?)
    }
}

/// Device identifiers and binding ids, in the same order.
fn names(bindings: &[Binding]) -> (Vec<String>, Vec<String>) {
    bindings.iter().map(|binding| (binding.device.to_string(), binding.id.to_string())).unzip()
}
