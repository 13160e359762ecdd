//! Use cases of relying parties.

use nodkey_kernel::id::RelyingPartyId;
use nodkey_proto::registry::v1::{RelyingPartyCreated, RelyingPartyDisabled};
use nodkey_runtime::{
    idempotent::{Request, once},
    page::Page,
    topics::RELYING_PARTIES,
};
use prost::Message;

use super::{ATTEMPTS, App, start};
use crate::{
    domain::{
        Change, Refusal,
        relying_party::{NewRelyingParty, RelyingParty, RelyingPartyPatch},
    },
    error::Error,
    store::relying_party as store,
};

impl App {
    /// Creates a relying party.
    pub async fn create_relying_party<A: Message + Default>(
        &self,
        request: Option<Request>,
        new: NewRelyingParty,
        answer: impl Fn(&RelyingParty) -> A + Send + Sync,
    ) -> Result<A, Error> {
        let attempt = async || {
            let now = self.now();
            let id = new.id.unwrap_or_else(|| RelyingPartyId::generate(now, &self.0.random));
            let party = RelyingParty::create(id, new.clone(), now);
            let mut tx = self.0.db.begin().await?;
            if !store::insert(&mut tx, &party).await? {
                return Err(Refusal::RelyingPartyExists.into());
            }
            let event = RelyingPartyCreated { relying_party_id: id.to_string(), name: party.name.clone() };
            self.emit(&mut tx, &event, id, party.version).await?;
            Ok(Some((tx, answer(&party))))
        };
        once(request.as_ref(), &self.answers(), attempt).await
    }

    /// Returns a relying party.
    pub async fn relying_party(&self, id: RelyingPartyId) -> Result<RelyingParty, Error> {
        Ok(store::get(&self.0.db, id).await?.ok_or(Refusal::NotFound("relying party"))?)
    }

    /// Returns what was found, or an error if nothing was found because the relying party does not exist.
    pub(super) async fn unless_empty<T: Send>(&self, party: RelyingPartyId, found: (Vec<T>, String)) -> Result<(Vec<T>, String), Error> {
        if found.0.is_empty() {
            self.relying_party(party).await?;
        }
        Ok(found)
    }

    /// Lists all relying parties, newest first, with the token of the next page.
    pub async fn relying_parties(&self, page: &Page) -> Result<(Vec<RelyingParty>, String), Error> {
        let start = start(page, |id| id.parse().ok())?;
        Ok(store::list(&self.0.db, &start, page.size).await?.into_parts())
    }

    /// Changes the settings of a relying party. No event is published: settings are read when they are needed.
    pub async fn update_relying_party(&self, id: RelyingPartyId, patch: RelyingPartyPatch) -> Result<RelyingParty, Error> {
        for _ in 0..ATTEMPTS {
            let party = match self.relying_party(id).await?.update(patch.clone()) {
                Change::Same(party) => return Ok(party),
                Change::Changed(party) => party,
            };
            let mut tx = self.0.db.begin().await?;
            if store::update(&mut tx, &party).await? {
                tx.commit().await?;
                // What other services remember of it ends here.
                self.0.bus.wake(RELYING_PARTIES).await;
                return Ok(party);
            }
            tx.rollback().await?;
        }
        Err(Error::Raced)
    }

    /// Disables a relying party.
    pub async fn disable_relying_party(&self, id: RelyingPartyId) -> Result<RelyingParty, Error> {
        for _ in 0..ATTEMPTS {
            let party = match self.relying_party(id).await?.disable(self.now()) {
                Change::Same(party) => return Ok(party),
                Change::Changed(party) => party,
            };
            let mut tx = self.0.db.begin().await?;
            if store::update(&mut tx, &party).await? {
                self.emit(&mut tx, &RelyingPartyDisabled { relying_party_id: id.to_string() }, id, party.version).await?;
                tx.commit().await?;
                // What other services remember of it ends here.
                self.0.bus.wake(RELYING_PARTIES).await;
                return Ok(party);
            }
            tx.rollback().await?;
        }
        Err(Error::Raced)
    }
}
