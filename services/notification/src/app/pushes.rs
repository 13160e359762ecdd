//! Where phones are woken, and which are to be.

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
    queues::lane,
    store::{push, push_configuration, push_registration},
};

/// How long a push is reserved for whoever sends it: longer than a provider and its token may take.
const LEASE: Duration = Duration::from_secs(30);
/// How long to wait after a first failure; doubles.
const BACKOFF: Duration = Duration::from_secs(1);

/// Where a phone is woken.
#[derive(Clone, Debug)]
pub struct Registration {
    /// By whom.
    pub provider: Provider,
    /// What the provider gave the app.
    pub address: Address,
    /// When it came.
    pub updated_at: Timestamp,
}

impl App {
    /// Sets where a phone is woken. `details` may be worth something to others, so they are sealed.
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

    /// Tells who wakes a phone.
    pub async fn push_registration(&self, party: RelyingPartyId, device: &DeviceId) -> Result<pb::PushRegistration, Error> {
        let kept = push_registration::get(&self.db, party, device).await?.ok_or(Failure::NotFound("push registration"))?;
        Ok(pb::PushRegistration { provider: convert::push_provider(kept.provider).into(), updated_at: Some(timestamp(kept.updated_at)) })
    }

    /// Forgets where a phone is woken.
    pub async fn delete_push_registration(&self, party: RelyingPartyId, device: &DeviceId) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        push_registration::delete(&mut tx, party, device).await?;
        Ok(tx.commit().await?)
    }

    /// Forgets a device that is dead, in the transaction that takes that in.
    pub async fn forget_device(&self, tx: &mut Tx, party: RelyingPartyId, device: &DeviceId) -> Result<(), Error> {
        Ok(push_registration::delete(tx, party, device).await?)
    }

    /// Whether anybody wakes one of these devices.
    pub async fn wakes(db: &Db, party: RelyingPartyId, devices: &[DeviceId]) -> Result<bool, DbError> {
        for device in devices {
            if push_registration::is_there(db, party, device).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Has those of these devices woken that can be, until there is nothing left to look at.
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
                let lane = lane(party, receiver);
                push::put(tx, (party, device), &lane, cause, now, expires_at).await?;
                wake(&self.push_wakes, tx, lane);
            }
        }
        Ok(())
    }

    /// Whether the end of a trusonafication concerns anybody: an endpoint of the relying party, or a phone that is to be woken for it.
    pub async fn is_anybody_concerned(db: &Db, party: RelyingPartyId, id: TrusonaficationId) -> Result<bool, DbError> {
        push::is_anybody_concerned(db, party, Cause::Asked(id)).await
    }

    /// Wakes nobody any more for a trusonafication that is over, in the transaction that takes that in.
    pub async fn wake_no_more(&self, tx: &mut Tx, id: TrusonaficationId) -> Result<(), Error> {
        Ok(push::end(tx, Cause::Asked(id)).await?)
    }

    /// Returns at most `limit` lanes after `after` in which a push is due.
    pub async fn push_queues(&self, after: &str, limit: usize) -> Result<Vec<String>, Failure> {
        push::lanes(&self.db, after, self.now(), rows(limit)).await
    }

    /// Reserves at most `limit` pushes of a lane that are due, for whoever asks.
    pub async fn claim_pushes(&self, lane: &str, limit: usize) -> Result<Vec<Push>, Failure> {
        let now = self.now();
        push::claim(&self.db, lane, now, now + LEASE, rows(limit)).await
    }

    /// Returns where a phone is woken, and as whom; `None` when there is nothing to look at any more or nobody is there: then the push is over.
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
        let details = details.map_err(|_| Failure::Internal("a push registration cannot be opened"))?;
        // What an earlier version took and this one would not is nobody's address.
        let address = Address::parse(kept.provider, &String::from_utf8_lossy(&details), &self.push_egress).ok();
        Ok(address.map(|address| Registration { provider: kept.provider, address, updated_at: kept.updated_at }))
    }

    /// Records what a provider said.
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

    /// Returns how many phones are to be woken.
    pub async fn waiting_pushes(&self) -> Result<i64, Error> {
        Ok(push::waiting(&self.db).await?)
    }
}

/// What an address is sealed for.
fn context(device: &DeviceId) -> String {
    format!("push_registration/{device}")
}
