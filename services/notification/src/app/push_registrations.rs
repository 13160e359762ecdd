//! Where phones are woken.

use nodkey_kernel::id::{DeviceId, RelyingPartyId};

use super::App;
use crate::{error::Error, store::push_registration};

impl App {
    /// Sets where a phone is woken. `details` may be worth something to others, so they are sealed.
    pub async fn put_push_registration(
        &self,
        party: RelyingPartyId,
        device: &DeviceId,
        provider: &'static str,
        details: &str,
    ) -> Result<(), Error> {
        let sealed = self.vault.seal(&self.random, &format!("push_registration/{device}"), details.as_bytes());
        Ok(push_registration::put(&self.db, party, device, provider, &sealed, self.now()).await?)
    }

    /// Forgets where a phone is woken.
    pub async fn delete_push_registration(&self, party: RelyingPartyId, device: &DeviceId) -> Result<(), Error> {
        Ok(push_registration::delete(&self.db, party, device).await?)
    }
}
