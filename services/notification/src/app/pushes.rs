//! Use cases of push registrations and pushes.

use std::time::Duration;

use nodkey_db::{Db, DbError, Tx};
use nodkey_kernel::{
    id::{DeviceId, RelyingPartyId, TrusonaficationId},
    time::Timestamp,
};
use nodkey_proto::{convert::timestamp, notification::v1 as pb};
use nodkey_runtime::Failure;

use super::{App, rows, wake};
use crate::{
    convert,
    domain::push_cause::Cause,
    error::Error,
    push::{Address, Configuration, Provider, Push, Verdict},
    queues::queue,
    store::{push, push_configuration, push_registration},
};

/// How long a push is reserved for the process that sends it: longer than a provider and its token endpoint may take.
const LEASE: Duration = Duration::from_secs(30);
/// Wait after the first failure; doubles with each further one.
const BACKOFF: Duration = Duration::from_secs(1);

/// Where and how a phone is woken.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The push provider.
    pub provider: Provider,
    /// The address that the provider gave to the app.
    pub address: Address,
    /// When it was registered.
    pub updated_at: Timestamp,
}

impl App {
    /// Sets the push registration of a phone. `details` may be valuable to others, so they are sealed.
    pub async fn put_push_registration(
        &self,
        party: RelyingPartyId,
        device: &DeviceId,
        provider: Provider,
        details: &str,
    ) -> Result<(), Error> {
        let address = Address::parse(provider, details, &self.push_egress);
        let address = address.map_err(|fault| Failure::field("details", fault))?;
        let sealed = self.vault.seal(&self.random, &context(device), details.as_bytes());
        let receiver = address.receiver(provider);
        Ok(push_registration::put(&self.db, party, device, provider.as_str(), &receiver, &sealed, self.now()).await?)
    }

    /// Returns the provider that wakes a phone.
    pub async fn push_registration(&self, party: RelyingPartyId, device: &DeviceId) -> Result<pb::PushRegistration, Error> {
        let kept = push_registration::get(&self.db, party, device).await?.ok_or(Failure::NotFound("push registration"))?;
        Ok(pb::PushRegistration { provider: convert::push_provider(kept.provider).into(), updated_at: Some(timestamp(kept.updated_at)) })
    }

    /// Deletes the push registration of a phone.
    pub async fn delete_push_registration(&self, party: RelyingPartyId, device: &DeviceId) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        push_registration::delete(&mut tx, party, device).await?;
        Ok(tx.commit().await?)
    }

    /// Deletes the push registration of a retired device, in the transaction that consumes the event.
    pub async fn forget_device(&self, tx: &mut Tx, party: RelyingPartyId, device: &DeviceId) -> Result<(), Error> {
        Ok(push_registration::delete(tx, party, device).await?)
    }

    /// Whether any of these devices has a push registration.
    pub async fn wakes(db: &Db, party: RelyingPartyId, devices: &[DeviceId]) -> Result<bool, DbError> {
        for device in devices {
            if push_registration::is_there(db, party, device).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Creates pushes for those of these devices that have a registration. Pushes are attempted until `expires_at`.
    pub async fn wake(
        &self,
        tx: &mut Tx,
        party: RelyingPartyId,
        devices: &[DeviceId],
        cause: Cause,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        let now = self.now();
        if expires_at <= now {
            return Ok(());
        }
        for device in devices {
            if let Some(receiver) = push_registration::receiver(tx, party, device).await? {
                let queue = queue(party, receiver);
                push::put(tx, (party, device), &queue, cause, now, expires_at).await?;
                wake(&self.push_wakes, tx, queue);
            }
        }
        Ok(())
    }

    /// Whether the end of a trusonafication concerns an endpoint of the relying party, or a phone with a pending push for it.
    pub async fn is_anybody_concerned(db: &Db, party: RelyingPartyId, id: TrusonaficationId) -> Result<bool, DbError> {
        push::is_anybody_concerned(db, party, Cause::Prompt(id)).await
    }

    /// Ends the pushes for a trusonafication that has ended, in the transaction that consumes the event.
    pub async fn wake_no_more(&self, tx: &mut Tx, id: TrusonaficationId) -> Result<(), Error> {
        Ok(push::end(tx, Cause::Prompt(id)).await?)
    }

    /// Returns at most `limit` receiver queues after `after` that have pushes due.
    pub async fn push_queues(&self, after: &str, limit: usize) -> Result<Vec<String>, Failure> {
        push::queues(&self.db, after, self.now(), rows(limit)).await
    }

    /// Reserves at most `limit` due pushes of a receiver queue.
    pub async fn claim_pushes(&self, queue: &str, limit: usize) -> Result<Vec<Push>, Failure> {
        let now = self.now();
        push::claim(&self.db, queue, now, now + LEASE, rows(limit)).await
    }

    /// Returns the registration of a phone and the credentials to use. Returns `None` and ends the push if nothing is left to look at, or
    /// if the phone has no registration.
    pub async fn push_target(&self, push: &Push) -> Result<Option<(Registration, Option<Configuration>)>, Error> {
        let registration = if push.expires_at > self.now() && !push.over { self.registration(push).await? } else { None };
        let Some(registration) = registration else {
            push::delete(&self.db, push).await?;
            return Ok(None);
        };
        let provider = registration.provider.configured_as();
        let kept = push_configuration::get(&self.db, push.relying_party, provider.as_str()).await?;
        let configuration = match kept {
            None => None,
            Some(kept) => Some(Configuration {
                credentials: self.open_credentials(push.relying_party, provider, &kept.sealed_credentials)?,
                version: format!("{}/{}", push.relying_party, kept.updated_at.as_micros()),
            }),
        };
        Ok(Some((registration, configuration)))
    }

    async fn registration(&self, push: &Push) -> Result<Option<Registration>, Error> {
        let Some(kept) = push_registration::get(&self.db, push.relying_party, &push.device).await? else { return Ok(None) };
        let details = self.vault.open(&context(&push.device), &kept.sealed_details);
        let details = details.map_err(|_| Failure::Internal("a push registration cannot be decrypted"))?;
        // An address that an earlier version accepted and this one refuses is treated as absent.
        let address = Address::parse(kept.provider, &String::from_utf8_lossy(&details), &self.push_egress).ok();
        Ok(address.map(|address| Registration { provider: kept.provider, address, updated_at: kept.updated_at }))
    }

    /// Records the verdict of a provider.
    pub async fn settle_push(&self, push: &Push, registration: &Registration, verdict: Verdict) -> Result<(), Error> {
        let (party, now) = (push.relying_party, self.now());
        match verdict {
            Verdict::Sent => {}
            Verdict::Dead => push_registration::delete_of(&self.db, party, &push.device, registration.updated_at).await?,
            Verdict::Refused(why) => {
                let provider = registration.provider.configured_as().as_str();
                push_configuration::failed(&self.db, party, provider, &why, now).await?;
            }
            Verdict::Later(after, _) => {
                let doubled = BACKOFF * 2_u32.saturating_pow(u32::try_from(push.attempt_count - 1).unwrap_or(0).min(16));
                let at = now + doubled.max(after.unwrap_or_default());
                if at < push.expires_at {
                    return Ok(push::postpone(&self.db, push, at).await?);
                }
            }
        }
        Ok(push::delete(&self.db, push).await?)
    }

    /// Returns the number of pending pushes.
    pub async fn waiting_pushes(&self) -> Result<i64, Error> {
        Ok(push::waiting(&self.db).await?)
    }
}

/// The context an address is sealed with.
fn context(device: &DeviceId) -> String {
    format!("push_registration/{device}")
}
