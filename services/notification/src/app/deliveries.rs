//! What is to be told: taken in, reserved, settled, sent again.

use std::{collections::BTreeMap, time::Duration};

use nodkey_db::{Db, DbError, Tx};
use nodkey_kernel::{
    id::{DeliveryId, EndpointId, RelyingPartyId},
    jose::jws::Compact,
    time::Timestamp,
    webhook::SigningKeys,
};
use nodkey_proto::{
    notification::v1::{DeliveryExhausted, DeliveryFailed, EndpointDisabled},
    trusonafication::v1::{SignResultRequest, trusonafication_service_client::TrusonaficationServiceClient},
};
use nodkey_runtime::{Failure, housekeeping::Pass, page::Listed, rows::inconsistent};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{json, value::RawValue};
use tracing::warn;
use uuid::Uuid;

use super::{ATTEMPTS, App, endpoint_keys::EndpointKeys, rows, wake};
pub use crate::store::delivery::{Listing, Range};
use crate::{
    convert::disabled_reason,
    domain::{Attempt, Delivery, Endpoint, EventType, Outcome, State, Subject, lane_of},
    error::Error,
    store::{delivery, endpoint, push, retention},
};

/// How long a delivery is reserved for whoever attempts it; if they die, this long nobody else does.
const LEASE: Duration = Duration::from_secs(10);
/// How many failing endpoints are counted at most.
const MOST_FAILING: i64 = 1_000;
/// How many are sent again in one transaction.
const CHUNK: i64 = 500;

/// A delivery that was reserved, and what became of it.
#[derive(Debug)]
pub struct Settled {
    /// As it was reserved.
    pub delivery: Delivery,
    /// What became of it.
    pub outcome: Outcome,
}

/// Something that happened, for those who want to be notified of it.
#[derive(Debug)]
pub struct Fact<'a> {
    /// What happened, to those who name one of these types.
    pub event_types: &'a [EventType],
    /// What it is about.
    pub subject: Subject,
    /// When.
    pub occurred_at: Timestamp,
    /// Endpoints that were created later are not notified of it; `None`: every one is.
    pub published_at: Option<Timestamp>,
    /// What endpoints get of it, as JSON.
    pub data: &'a RawValue,
    /// The receipt; empty of what has none.
    pub receipt: &'a str,
    /// Who gets it besides, at an address of their own.
    pub callback: Option<CallbackTo<'a>>,
}

/// A `callback_url` and what it gets.
#[derive(Clone, Copy, Debug)]
pub struct CallbackTo<'a> {
    /// Where.
    pub url: &'a str,
    /// The signed result, if it is signed yet. Its `jti` is the id of the delivery.
    pub result: &'a str,
}

/// The body of an event to an endpoint, as Standard Webhooks has it.
#[derive(Serialize)]
struct Envelope<'a> {
    r#type: &'a str,
    timestamp: String,
    data: &'a RawValue,
    #[serde(skip_serializing_if = "str::is_empty")]
    receipt: &'a str,
}

/// Where one delivery goes.
struct Receiver {
    id: DeliveryId,
    endpoint: Option<EndpointId>,
    url: String,
    state: State,
}

/// What is read of a signed result: the delivery it is for.
#[derive(Deserialize)]
struct Signed {
    jti: DeliveryId,
}

/// What is read of the body of a callback: whether its result is signed.
#[derive(Deserialize)]
struct Callback {
    jwt: Option<IgnoredAny>,
}

impl App {
    /// Whether a relying party has an endpoint that may want to be notified of anything.
    pub async fn has_endpoints(db: &Db, party: RelyingPartyId) -> Result<bool, DbError> {
        endpoint::any(db, party).await
    }

    /// Notes who is to be notified of a fact, in the transaction that takes it in.
    pub async fn notify(&self, tx: &mut Tx, party: RelyingPartyId, fact: &Fact<'_>) -> Result<(), Error> {
        let endpoints = endpoint::all(tx, party).await?;
        if let (Some(CallbackTo { url, result }), Some(event_type)) = (fact.callback, fact.event_types.first()) {
            // Signed when it is sent, unless it is already.
            let (id, body) = match signed_for(result) {
                Some(id) => (id, with_jwt(fact.data.get(), result)),
                None => (self.delivery_id(), fact.data.get().to_owned()),
            };
            let to = Receiver { id, endpoint: None, url: url.to_owned(), state: State::Pending };
            self.deliver(tx, party, fact, *event_type, to, body).await?;
        }
        for event_type in fact.event_types {
            let (name, timestamp) = (event_type.as_str(), fact.occurred_at.to_string());
            let envelope = Envelope { r#type: name, timestamp, data: fact.data, receipt: fact.receipt };
            let body = serde_json::to_string(&envelope).map_err(|_| Failure::Internal("JSON serializes"))?;
            let wants = |endpoint: &&Endpoint| {
                endpoint.wants(*event_type) && fact.published_at.is_none_or(|published_at| endpoint.created_at <= published_at)
            };
            for endpoint in endpoints.iter().filter(wants) {
                // Kept for an endpoint that is off: its owner may want it later.
                let state = if endpoint.disabled.is_none() { State::Pending } else { State::Exhausted };
                let to = Receiver { id: self.delivery_id(), endpoint: Some(endpoint.id), url: endpoint.url.clone(), state };
                self.deliver(tx, party, fact, *event_type, to, body.clone()).await?;
            }
        }
        Ok(())
    }

    fn delivery_id(&self) -> DeliveryId {
        DeliveryId::generate(self.now(), &self.random)
    }

    async fn deliver(
        &self,
        tx: &mut Tx,
        party: RelyingPartyId,
        fact: &Fact<'_>,
        event_type: EventType,
        to: Receiver,
        body: String,
    ) -> Result<(), Error> {
        let (now, Receiver { id, endpoint, url, state }) = (self.now(), to);
        let lane = lane_of(party, endpoint, &url);
        let delivery = Delivery {
            id,
            relying_party: party,
            subject: fact.subject.clone(),
            event_type,
            endpoint,
            lane: lane.clone(),
            url,
            body,
            state,
            attempt_count: 0,
            attempts_before: 0,
            next_attempt_at: now,
            occurred_at: fact.occurred_at,
            created_at: now,
            version: 1,
        };
        delivery::insert(tx, &delivery).await?;
        if state == State::Pending {
            wake(&self.wakes, tx, lane);
        }
        Ok(())
    }

    /// Returns at most `limit` lanes after `after` in which something is due.
    pub async fn lanes(&self, after: &str, limit: usize) -> Result<Vec<String>, Failure> {
        delivery::lanes(&self.db, after, self.now(), rows(limit)).await
    }

    /// Reserves at most `limit` deliveries of a lane that are due, for whoever asks.
    pub async fn claim(&self, lane: &str, limit: usize) -> Result<Vec<Delivery>, Failure> {
        let now = self.now();
        delivery::claim(&self.db, lane, now, now + LEASE, rows(limit)).await
    }

    /// Renews a reservation; false when it ran out and another took it.
    pub async fn renew(&self, claimed: &Delivery) -> Result<bool, Failure> {
        delivery::renew(&self.db, claimed, self.now() + LEASE).await
    }

    /// Returns the keys that sign what goes to an endpoint now, newest first; `None` when it is off or gone.
    pub async fn signing_keys(&self, party: RelyingPartyId, id: EndpointId) -> Result<Option<(String, Vec<SigningKeys>)>, Error> {
        let Some(endpoint) = endpoint::get(&self.db, party, id).await?.filter(|e| e.disabled.is_none()) else { return Ok(None) };
        let keys = EndpointKeys::open(&self.vault, &endpoint, self.now())?.into_all();
        Ok(Some((endpoint.url, keys)))
    }

    /// Returns what a `callback_url` is told, with its signed result. One of an event without is signed now, by the service whose it is:
    /// its trusonafication ended before that service signed by keys of its own.
    pub async fn callback(&self, delivery: &Delivery) -> Result<String, Error> {
        let body: Callback = serde_json::from_str(&delivery.body).map_err(|e| inconsistent("delivery", "body", delivery.id, e))?;
        if body.jwt.is_some() {
            return Ok(delivery.body.clone());
        }
        let Subject::Trusonafication(id) = delivery.subject else { return Err(Failure::Internal("a callback gets a result").into()) };
        let mut trusonafications = TrusonaficationServiceClient::new(self.peers.trusonafication().acting_for(delivery.relying_party));
        let request = SignResultRequest { id: id.to_string(), delivery_id: delivery.id.to_string() };
        Ok(with_jwt(&delivery.body, &trusonafications.sign_result(request).await?.into_inner().jwt))
    }

    /// Gives up all that is still to be sent for a relying party, to its backends and its phones, and switches its endpoints off.
    pub async fn withdraw(&self, tx: &mut Tx, party: RelyingPartyId) -> Result<(), Error> {
        let now = self.now();
        for endpoint in endpoint::all(tx, party).await?.into_iter().filter(|endpoint| endpoint.disabled.is_none()) {
            let off = Endpoint { version: endpoint.version + 1, ..endpoint.switch(false, now) };
            if !endpoint::update(tx, &off).await? {
                return Err(Error::Raced);
            }
        }
        delivery::withdraw(tx, party, now).await?;
        Ok(push::delete_all(tx, party).await?)
    }

    /// Records what became of deliveries. One that was reserved too long, and by another since, is left to that other.
    pub async fn settle(&self, batch: Vec<Settled>) -> Result<(), Error> {
        let now = self.now();
        let mut tx = self.db.begin().await?;
        // In the order of their ids, so that two replicas never wait for each other.
        let mut heard: BTreeMap<Uuid, (RelyingPartyId, EndpointId, Attempt)> = BTreeMap::new();
        for Settled { delivery, outcome } in batch {
            let settled = delivery.settle(&outcome, now, &self.random);
            if !delivery::update(&mut tx, &settled).await? {
                continue;
            }
            if let Outcome::Attempted { attempt, .. } = outcome {
                delivery::insert_attempt(&mut tx, settled.id, &attempt).await?;
                if let Some(endpoint) = settled.endpoint {
                    heard.insert(endpoint.as_uuid(), (settled.relying_party, endpoint, attempt));
                }
            }
            let (party, version) = (settled.relying_party, settled.version);
            let (delivery_id, subject) = (settled.id.to_string(), settled.subject.to_string());
            let trusonafication_id = settled.trusonafication().map(|id| id.to_string()).unwrap_or_default();
            match settled.state {
                // The rule, and nobody's news.
                State::Succeeded => {}
                State::Pending => {
                    self.publish(&mut tx, party, version, &DeliveryFailed { delivery_id, trusonafication_id, subject }).await?;
                }
                State::Exhausted => {
                    self.publish(&mut tx, party, version, &DeliveryExhausted { delivery_id, trusonafication_id, subject }).await?;
                }
            }
        }
        for (party, id, attempt) in heard.into_values() {
            self.learn(&mut tx, party, id, &attempt, now).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Keeps in mind how an endpoint does.
    async fn learn(&self, tx: &mut Tx, party: RelyingPartyId, id: EndpointId, attempt: &Attempt, now: Timestamp) -> Result<(), Error> {
        let Some(before) = endpoint::get_in(tx, party, id).await? else { return Ok(()) };
        let Some(learned) = before.learn(attempt, self.patience, now) else { return Ok(()) };
        // Another was first: the next attempt tells again.
        if endpoint::update(tx, &learned).await?
            && before.disabled.is_none()
            && let Some((reason, _)) = learned.disabled
        {
            warn!(endpoint = %id, reason = reason.as_str(), "an endpoint was disabled");
            let event = EndpointDisabled { endpoint_id: id.to_string(), reason: disabled_reason(reason).into() };
            self.publish(tx, party, learned.version, &event).await?;
        }
        Ok(())
    }

    /// Sends one again, whatever its state.
    pub async fn redeliver(&self, party: RelyingPartyId, id: DeliveryId) -> Result<Delivery, Error> {
        for _ in 0..ATTEMPTS {
            let found = self.delivery(party, id).await?;
            if let Some(endpoint) = found.endpoint {
                self.require_enabled(party, endpoint).await?;
            }
            let again = found.again(self.now());
            let mut tx = self.db.begin().await?;
            if delivery::update(&mut tx, &again).await? {
                wake(&self.wakes, &mut tx, again.lane.clone());
                tx.commit().await?;
                return Ok(again);
            }
            tx.rollback().await?;
        }
        Err(Error::Raced)
    }

    /// Sends every finished one of a range again; returns how many. In parts: a failure leaves the earlier ones sent.
    pub async fn redeliver_many(&self, party: RelyingPartyId, range: Range) -> Result<i64, Error> {
        if let Some(endpoint) = range.endpoint {
            self.require_enabled(party, endpoint).await?;
        }
        let (now, mut count, mut after) = (self.now(), 0, (range.since, Uuid::nil()));
        loop {
            let found = delivery::finished(&self.db, party, &range, after, CHUNK).await?;
            let Some((at, id)) = found.last() else { return Ok(count) };
            after = (*at, id.as_uuid());
            let mut tx = self.db.begin().await?;
            for (_, id) in &found {
                count += i64::from(delivery::again(&mut tx, *id, now).await?);
            }
            // Whichever lanes they are in.
            wake(&self.wakes, &mut tx, String::new());
            tx.commit().await?;
        }
    }

    /// Sends an endpoint an event that says nothing but that it is one, whatever types it names.
    pub async fn test_endpoint(&self, party: RelyingPartyId, id: EndpointId) -> Result<Delivery, Error> {
        let (endpoint, now) = (self.endpoint(party, id).await?, self.now());
        if endpoint.disabled.is_some() {
            return Err(Error::EndpointDisabled);
        }
        let data = RawValue::from_string(json!({"endpoint_id": id}).to_string()).map_err(|_| Failure::Internal("JSON is JSON"))?;
        let (name, timestamp) = (EventType::EndpointTest.as_str(), now.to_string());
        let envelope = Envelope { r#type: name, timestamp, data: &data, receipt: "" };
        let body = serde_json::to_string(&envelope).map_err(|_| Failure::Internal("JSON serializes"))?;
        let fact = Fact {
            event_types: &[],
            subject: Subject::Endpoint(id),
            occurred_at: now,
            published_at: None,
            data: &data,
            receipt: "",
            callback: None,
        };
        let to = Receiver { id: self.delivery_id(), endpoint: Some(id), url: endpoint.url, state: State::Pending };
        let delivery = to.id;
        let mut tx = self.db.begin().await?;
        self.deliver(&mut tx, party, &fact, EventType::EndpointTest, to, body).await?;
        tx.commit().await?;
        self.delivery(party, delivery).await
    }

    async fn require_enabled(&self, party: RelyingPartyId, id: EndpointId) -> Result<(), Error> {
        let endpoint = endpoint::get(&self.db, party, id).await?.ok_or(Failure::NotFound("endpoint"))?;
        if endpoint.disabled.is_some() { Err(Error::EndpointDisabled) } else { Ok(()) }
    }

    /// Returns one.
    pub async fn delivery(&self, party: RelyingPartyId, id: DeliveryId) -> Result<Delivery, Error> {
        Ok(delivery::get(&self.db, party, id).await?.ok_or(Failure::NotFound("delivery"))?)
    }

    /// Returns the attempts of one, oldest first.
    pub async fn attempts(&self, id: DeliveryId) -> Result<Vec<Attempt>, Error> {
        Ok(delivery::attempts(&self.db, id).await?)
    }

    /// Returns what is sent by one.
    pub async fn body(&self, id: DeliveryId) -> Result<String, Error> {
        Ok(delivery::body(&self.db, id).await?)
    }

    /// Lists, in the order that is wanted.
    pub async fn deliveries(&self, party: RelyingPartyId, listing: &Listing) -> Result<Listed<Delivery>, Error> {
        Ok(delivery::list(&self.db, party, listing).await?)
    }

    /// Returns how many wait, whosever they are, and how long the oldest has.
    pub async fn waiting(&self) -> Result<(i64, Duration), Error> {
        let (waiting, oldest) = delivery::waiting(&self.db).await?;
        Ok((waiting, oldest.map(|oldest| oldest.until(self.now())).unwrap_or_default()))
    }

    /// Returns how many endpoints, whosever they are, are on and fail every attempt.
    pub async fn failing(&self) -> Result<i64, Error> {
        Ok(endpoint::failing(&self.db, MOST_FAILING).await?)
    }

    /// Deletes finished deliveries that are old, with their attempts.
    pub async fn delete_deliveries(&self, pass: &Pass) -> Result<(), Error> {
        Ok(pass.repeat(|| retention::delete_deliveries(&self.db, pass.now() - self.retention)).await.map(drop)?)
    }
}

/// The delivery that a signed result is for. What is none is signed when it is sent.
fn signed_for(result: &str) -> Option<DeliveryId> {
    let claims: Signed = Compact::parse(result).ok()?.unverified_claims().ok()?;
    Some(claims.jti)
}

/// The object with a last member `jwt`. The rest stays to the letter: custom fields keep the spelling of their numbers.
fn with_jwt(object: &str, jwt: &str) -> String {
    format!("{},\"jwt\":\"{jwt}\"}}", object.strip_suffix('}').unwrap_or(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jwt_is_a_member_of_the_object_and_nothing_else_changes() {
        let body = with_jwt(r#"{"id":"x","custom_fields":{"n":1.50}}"#, "a.b.c");
        assert_eq!(body, r#"{"id":"x","custom_fields":{"n":1.50},"jwt":"a.b.c"}"#);
        let is_signed = |body: &str| serde_json::from_str::<Callback>(body).unwrap().jwt.is_some();
        assert!(is_signed(&body) && !is_signed(r#"{"id":"x","custom_fields":{"jwt":1}}"#));
    }
}
