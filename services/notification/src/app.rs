//! Use cases.

use std::{sync::Arc, time::Duration};

use nodkey_db::{
    Db, Tx,
    outbox::{self, EventContext},
};
use nodkey_kernel::{
    callback,
    id::{DeliveryId, DeviceId, EndpointId, EventId, RelyingPartyId, TrusonaficationId},
    random::Random,
    time::{Clock, Timestamp},
    vault::Vault,
};
use nodkey_proto::{
    Event,
    convert::timestamp,
    notification::v1::{self as pb, DeliveryExhausted, DeliveryFailed, DeliverySucceeded},
    rest,
    trusonafication::v1::Trusonafication,
};
use nodkey_runtime::{Deployment, Deps, Failure, Validation, idempotent::Request};
use tokio::sync::Notify;

pub use crate::store::delivery::Listing;
use crate::{
    config::Config,
    domain::{Attempt, Delivery, EVENT_TYPES, State, new_secret},
    error::Error,
    store::{
        delivery,
        endpoint::{self, Endpoint},
        push_registration,
    },
};

/// How often a change is tried again because another was first.
const ATTEMPTS: usize = 8;
/// How many endpoints a relying party may have.
const MAX_ENDPOINTS: usize = 20;
/// How long a delivery is reserved for whoever attempts it; if they die, this long nobody else does.
const LEASE: Duration = Duration::from_secs(10);
/// How often who attempts it renews that.
pub const RENEWAL: Duration = Duration::from_secs(3);

/// The use cases. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    db: Db,
    clock: Clock,
    random: Random,
    vault: Arc<Vault>,
    deployment: Arc<Deployment>,
    due: Arc<Notify>,
}

impl App {
    /// Puts the use cases together.
    pub fn new(config: &Config, deps: Deps) -> anyhow::Result<Self> {
        anyhow::ensure!((1..=300).contains(&config.attempt_timeout_seconds), "service.attempt_timeout_seconds must be 1 to 300");
        let db = deps.db()?;
        let Deps { clock, random, vault, deployment, .. } = deps;
        Ok(Self { db, clock, random, vault, deployment, due: Arc::default() })
    }

    /// Told whenever something may be due earlier than it seemed.
    #[must_use]
    pub fn due(&self) -> Arc<Notify> {
        Arc::clone(&self.due)
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Notes whom to tell of a fact, in the transaction that takes it in.
    pub async fn tell(&self, tx: &mut Tx, party: RelyingPartyId, event_type: &'static str, about: &Trusonafication) -> Result<(), Error> {
        let Ok(trusonafication) = about.id.parse::<TrusonaficationId>() else {
            return Err(Failure::Internal("an event names its subject").into());
        };
        let mut receivers: Vec<(Option<EndpointId>, String)> = Vec::new();
        if !about.callback_url.is_empty() {
            receivers.push((None, about.callback_url.clone()));
        }
        let endpoints = endpoint::all(tx, party).await?;
        let interested = endpoints.into_iter().filter(|e| e.event_types.is_empty() || e.event_types.iter().any(|t| t == event_type));
        receivers.extend(interested.map(|e| (Some(e.id), e.url)));
        if receivers.is_empty() {
            return Ok(());
        }
        let body = serde_json::to_string(&rest::Trusonafication::from(about)).map_err(|_| Failure::Internal("JSON serializes"))?;
        let now = self.now();
        for (endpoint, url) in receivers {
            let delivery = Delivery {
                id: DeliveryId::generate(now, &self.random),
                relying_party: party,
                trusonafication,
                event_type: event_type.to_owned(),
                endpoint,
                url,
                body: body.clone(),
                state: State::Pending,
                attempt_count: 0,
                next_attempt_at: now,
                created_at: now,
                version: 1,
            };
            delivery::insert(tx, &delivery).await?;
        }
        let due = self.due();
        tx.after_commit(move || due.notify_one());
        Ok(())
    }

    /// Reserves at most `limit` deliveries that are due, for whoever asks.
    pub async fn claim(&self, limit: usize) -> Result<Vec<Delivery>, Error> {
        let now = self.now();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut claimed = Vec::new();
        for due in delivery::due(&self.db, now, limit).await? {
            // Of replicas that reserve the same, one does.
            claimed.extend(self.reserve(due, now).await?);
        }
        Ok(claimed)
    }

    /// Renews a reservation; `None` when it ran out and another took it.
    pub async fn renew(&self, claimed: Delivery) -> Result<Option<Delivery>, Error> {
        self.reserve(claimed, self.now()).await
    }

    async fn reserve(&self, delivery: Delivery, now: Timestamp) -> Result<Option<Delivery>, Error> {
        let mine = delivery.claim(LEASE, now);
        let mut tx = self.db.begin().await?;
        if delivery::update(&mut tx, &mine).await? {
            tx.commit().await?;
            return Ok(Some(mine));
        }
        tx.rollback().await?;
        Ok(None)
    }

    /// Returns the secret that signs what goes to an endpoint; `None` when it is gone.
    pub async fn secret(&self, party: RelyingPartyId, id: EndpointId) -> Result<Option<String>, Error> {
        let Some(sealed) = endpoint::secret(&self.db, party, id).await? else { return Ok(None) };
        let secret = self.vault.open(&context(id), &sealed).map_err(|_| Failure::Internal("a webhook secret cannot be opened"))?;
        Ok(Some(String::from_utf8_lossy(&secret).into_owned()))
    }

    /// Records an attempt. One that was reserved too long, and by another since, is left to that other.
    pub async fn settle(&self, claimed: Delivery, attempt: &Attempt) -> Result<(), Error> {
        let now = self.now();
        let (party, settled) = (claimed.relying_party, claimed.settle(attempt, now, &self.random));
        let mut tx = self.db.begin().await?;
        if !delivery::update(&mut tx, &settled).await? {
            return Ok(tx.rollback().await?);
        }
        delivery::insert_attempt(&mut tx, settled.id, attempt).await?;
        let (delivery_id, trusonafication_id) = (settled.id.to_string(), settled.trusonafication.to_string());
        match settled.state {
            State::Succeeded => {
                self.publish(&mut tx, party, &settled, &DeliverySucceeded { delivery_id, trusonafication_id }).await?;
            }
            State::Pending => self.publish(&mut tx, party, &settled, &DeliveryFailed { delivery_id, trusonafication_id }).await?,
            State::Exhausted => self.publish(&mut tx, party, &settled, &DeliveryExhausted { delivery_id, trusonafication_id }).await?,
        }
        Ok(tx.commit().await?)
    }

    async fn publish<E: Event>(&self, tx: &mut Tx, relying_party: RelyingPartyId, delivery: &Delivery, event: &E) -> Result<(), Error> {
        let now = self.now();
        let id = EventId::generate(now, &self.random);
        Ok(outbox::add(tx, event, &EventContext { id, now, version: delivery.version, relying_party, traceparent: None }).await?)
    }

    /// Sends one again, whatever its state.
    pub async fn redeliver(&self, party: RelyingPartyId, id: DeliveryId) -> Result<Delivery, Error> {
        for _ in 0..ATTEMPTS {
            let again = self.delivery(party, id).await?.again(self.now());
            let mut tx = self.db.begin().await?;
            if delivery::update(&mut tx, &again).await? {
                let due = self.due();
                tx.after_commit(move || due.notify_one());
                tx.commit().await?;
                return Ok(again);
            }
            tx.rollback().await?;
        }
        Err(Error::Raced)
    }

    /// Returns one.
    pub async fn delivery(&self, party: RelyingPartyId, id: DeliveryId) -> Result<Delivery, Error> {
        Ok(delivery::get(&self.db, party, id).await?.ok_or(Failure::NotFound("delivery"))?)
    }

    /// Returns the attempts of one, oldest first.
    pub async fn attempts(&self, id: DeliveryId) -> Result<Vec<Attempt>, Error> {
        Ok(delivery::attempts(&self.db, id).await?)
    }

    /// Lists, newest first.
    pub async fn deliveries(&self, party: RelyingPartyId, listing: &Listing) -> Result<Vec<Delivery>, Error> {
        Ok(delivery::list(&self.db, party, listing).await?)
    }

    /// Adds an endpoint.
    pub async fn create_endpoint(
        &self,
        party: RelyingPartyId,
        request: Option<Request>,
        url: String,
        event_types: Vec<String>,
    ) -> Result<pb::CreateEndpointResponse, Error> {
        let mut validation = Validation::default();
        validation.read("url", callback::check(&url, self.deployment.development));
        let known = event_types.iter().all(|t| EVENT_TYPES.contains(&t.as_str()));
        validation.require(known, "event_types", "must be trusonafication.accepted, .rejected or .expired");
        validation.finish()?;
        for _ in 0..ATTEMPTS {
            if let Some(request) = &request
                && let Some(answer) = request.replay(&self.db, &self.vault).await?
            {
                return Ok(answer);
            }
            let (now, secret) = (self.now(), new_secret(&self.random));
            let id = EndpointId::generate(now, &self.random);
            let created = Endpoint { id, url: url.clone(), event_types: event_types.clone(), created_at: now };
            let answer = pb::CreateEndpointResponse { endpoint: Some(message(&created)), secret: secret.clone() };
            let mut tx = self.db.begin().await?;
            if endpoint::all(&mut tx, party).await?.len() >= MAX_ENDPOINTS {
                return Err(Error::TooManyEndpoints);
            }
            if let Some(request) = &request
                && !request.keep(&mut tx, &self.vault, &self.random, &answer, now).await?
            {
                tx.rollback().await?;
                continue;
            }
            endpoint::insert(&mut tx, party, &created, &self.vault.seal(&self.random, &context(id), secret.as_bytes())).await?;
            tx.commit().await?;
            return Ok(answer);
        }
        Err(Error::Raced)
    }

    /// Lists endpoints, newest first.
    pub async fn endpoints(&self, party: RelyingPartyId, at: Timestamp, id: uuid::Uuid, limit: i64) -> Result<Vec<Endpoint>, Error> {
        Ok(endpoint::list(&self.db, party, at, id, limit).await?)
    }

    /// Removes an endpoint, and gives up what is still to be sent to it.
    pub async fn delete_endpoint(&self, party: RelyingPartyId, id: EndpointId) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        if endpoint::delete(&mut tx, party, id).await? {
            delivery::give_up(&mut tx, party, id).await?;
        }
        Ok(tx.commit().await?)
    }

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

/// An endpoint as a message.
#[must_use]
pub fn message(endpoint: &Endpoint) -> pb::Endpoint {
    pb::Endpoint {
        id: endpoint.id.to_string(),
        url: endpoint.url.clone(),
        event_types: endpoint.event_types.clone(),
        created_at: Some(timestamp(endpoint.created_at)),
    }
}

/// What a secret is sealed for.
fn context(id: EndpointId) -> String {
    format!("endpoint/{id}")
}
