//! Use cases of transfers.

use nodkey_kernel::id::{DeviceId, RelyingPartyId};

use super::App;
use crate::{
    domain::{
        Refusal,
        transfer::{SentTransfer, Transfer, TransferRefusal},
    },
    error::Error,
};

impl App {
    /// Verifies what two phones signed. The new device counts as in use from then on, since it is about to be bound.
    pub async fn verify_transfer(&self, party: RelyingPartyId, old: &DeviceId, sent: &SentTransfer) -> Result<Transfer, Error> {
        // An operator's session is tied to the phone that took the invitation, so no other phone may take its place.
        if party == RelyingPartyId::CONSOLE {
            return Err(Refusal::from(TransferRefusal::NotAllowed).into());
        }
        let relying_party = self.relying_party(party).await?;
        relying_party.ensure_enabled()?;
        let (old, new) = (self.device(party, old).await?, self.device(party, sent.new_device()).await?);
        let transfer = sent.verify(&old, &new, self.verifier())?;
        relying_party.phones.ensure_allow(transfer.act).map_err(Refusal::from)?;
        self.device_in_use(party, &transfer.new).await?;
        Ok(transfer)
    }
}
