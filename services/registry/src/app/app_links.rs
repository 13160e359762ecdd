//! Use cases of app links.

use nodkey_kernel::id::RelyingPartyId;

use super::App;
use crate::{
    domain::{Refusal, app_links::AppLinks},
    error::Error,
    store::app_links as store,
};

impl App {
    /// Replaces the app links of a relying party; `None` removes them. No event is published: they are read when they are needed.
    pub async fn set_app_links(&self, party: RelyingPartyId, links: Option<AppLinks>) -> Result<Option<AppLinks>, Error> {
        self.relying_party(party).await?;
        let mut tx = self.0.db.begin().await?;
        store::delete(&mut tx, party).await?;
        if let Some(links) = &links
            && !store::insert(&mut tx, party, links).await?
        {
            return Err(Refusal::HostTaken.into());
        }
        tx.commit().await?;
        Ok(links)
    }

    /// Returns the app links of a relying party, if it has any.
    pub async fn app_links(&self, party: RelyingPartyId) -> Result<Option<AppLinks>, Error> {
        self.relying_party(party).await?;
        store::get(&self.0.db, party).await
    }

    /// Returns the relying party that owns a host, its name and its links.
    pub async fn resolve_app_links(&self, host: &str) -> Result<(RelyingPartyId, String, AppLinks), Error> {
        Ok(store::resolve(&self.0.db, host).await?.ok_or(Refusal::NotFound("host"))?)
    }
}
