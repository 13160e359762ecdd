//! Signatures by the platform's keys.

use std::sync::Arc;

use nodkey_kernel::jose::{PublicJwk, jws::Unsigned};
use serde::Serialize;

use crate::{Error, KeyStore, KeyStoreError, PresenceError, PresenceKey, UserPresence};

/// What is signed: the `typ` of the header, and the claims.
pub(crate) struct Statement<'a, C> {
    pub(crate) typ: &'a str,
    pub(crate) claims: &'a C,
    /// The text of the prompt.
    pub(crate) reason: &'a str,
}

/// Has the platform's keys sign.
pub(crate) struct Signer {
    keys: Arc<dyn KeyStore>,
    presence: Arc<dyn UserPresence>,
    device: PublicJwk,
}

impl Signer {
    pub(crate) async fn new(keys: Arc<dyn KeyStore>, presence: Arc<dyn UserPresence>) -> Result<Self, KeyStoreError> {
        let device = keys.device_key().await?.0;
        Ok(Self { keys, presence, device })
    }

    /// The device key.
    pub(crate) const fn device(&self) -> &PublicJwk {
        &self.device
    }

    pub(crate) async fn presence_keys(&self) -> Result<Vec<PresenceKey>, Error> {
        Ok(self.keys.presence_keys().await?)
    }

    pub(crate) async fn former_presence_keys(&self) -> Result<Vec<PresenceKey>, Error> {
        Ok(self.keys.former_presence_keys().await?)
    }

    /// Signs claims with the device key, named by its thumbprint.
    pub(crate) async fn by_device(&self, typ: &str, claims: &(impl Serialize + Sync)) -> Result<String, Error> {
        let kid = self.device.thumbprint();
        self.finish(Unsigned::new(typ, self.device.algorithm(), Some(&kid), None, claims)).await
    }

    /// Has the device key sign this.
    pub(crate) async fn finish(&self, unsigned: Unsigned) -> Result<String, Error> {
        let signature = whole(self.keys.sign(unsigned.message().to_vec()).await?)?;
        Ok(unsigned.with_signature(&signature))
    }

    /// Prompts the person and signs with this presence key.
    pub(crate) async fn by_presence<C: Serialize + Sync>(
        &self,
        key: &PresenceKey,
        statement: &Statement<'_, C>,
    ) -> Result<String, PresenceError> {
        let Statement { typ, claims, reason } = statement;
        self.presence.confirm(key.kind, (*reason).to_owned()).await?;
        let public = &key.public_key.0;
        let unsigned = Unsigned::new(typ, public.algorithm(), Some(&public.thumbprint()), None, claims);
        let signature = self.keys.sign_with_presence(key.clone(), unsigned.message().to_vec(), (*reason).to_owned()).await?;
        Ok(unsigned.with_signature(&whole(signature)?))
    }

    /// Does so with the first of these keys by which the person can be verified now.
    pub(crate) async fn by_any_presence<C: Serialize + Sync>(
        &self,
        candidates: Vec<PresenceKey>,
        statement: Statement<'_, C>,
    ) -> Result<String, Error> {
        let mut last = PresenceError::Unavailable;
        for key in candidates {
            match self.by_presence(&key, &statement).await {
                Err(error) if error.leaves_other_ways() => last = error,
                result => return Ok(result?),
            }
        }
        Err(last.into())
    }
}

/// Refuses what is no raw signature before it is sent: the gateway could not say why it does not verify.
fn whole(signature: Vec<u8>) -> Result<Vec<u8>, KeyStoreError> {
    if signature.len() == 64 {
        return Ok(signature);
    }
    let message = format!("a signature has 64 bytes, not {}: is it DER, which es256_signature_from_der reads?", signature.len());
    Err(KeyStoreError::Failed { message })
}
