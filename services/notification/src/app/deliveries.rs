//! Use cases of deliveries: creating, reserving, settling and redelivering them.

use std::{collections::BTreeMap, time::Duration};

use nodkey_db::{Db, DbError, Tx};
use nodkey_kernel::{
    id::{DeliveryId, EndpointId, EventId, RelyingPartyId},
    jose::jws::Compact,
    time::Timestamp,
    webhook::SigningKeys,
};
use nodkey_proto::{
    notification::v1::{DeliveryExhausted, DeliveryFailed, EndpointDisabled},
    trusonafication::v1::{SignResultRequest, trusonafication_service_client::TrusonaficationServiceClient},
    webhook::Envelope,
};
use nodkey_runtime::{Failure, housekeeping::Pass, page::Listed, rows::inconsistent};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{json, value::RawValue};
use tracing::warn;
use uuid::Uuid;

use super::{ATTEMPTS, App, endpoint_keys::EndpointKeys, rows, wake};
pub use crate::store::delivery::{Listing, Range};
use crate::{
    convert::disabled_reason,
    domain::{Attempt, Delivery, Endpoint, EventType, Outcome, State, Subject, queue_of},
    error::Error,
    store::{delivery, endpoint, push, retention},
};

/// How long a delivery is reserved for the process that attempts it. If that process dies, others wait this long.
const LEASE: Duration = Duration::from_secs(10);
/// How many failing endpoints are counted at most.
const MOST_FAILING: i64 = 1_000;
/// Maximum number of deliveries redelivered in one transaction.
const CHUNK: i64 = 500;

/// A reserved delivery and the outcome of its attempt.
#[derive(Debug)]
pub struct Settled {
    /// The delivery as it was reserved.
    pub delivery: Delivery,
    /// The outcome of the attempt.
    pub outcome: Outcome,
}

/// A fact that endpoints and a callback are notified of.
#[derive(Debug)]
pub struct Fact<'a> {
    /// Event types; endpoints that want one of them are notified.
    pub event_types: &'a [EventType],
    /// The event, where there may be several of its type about the subject.
    pub event: Option<EventId>,
    /// The subject of the fact.
    pub subject: Subject,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it was published. Endpoints created later are not notified; `None`: all are.
    pub published_at: Option<Timestamp>,
    /// The payload for endpoints, as JSON.
    pub data: &'a RawValue,
    /// The receipt; empty if there is none.
    pub receipt: &'a str,
    /// The `callback_url` to notify as well.
    pub callback: Option<CallbackTo<'a>>,
}

/// A `callback_url` and its result.
#[derive(Clone, Copy, Debug)]
pub struct CallbackTo<'a> {
    /// The URL.
    pub url: &'a str,
    /// The signed result, if it is already signed. Its `jti` is the id of the delivery.
    pub result: &'a str,
}

/// The receiver of a delivery.
struct Receiver {
    id: DeliveryId,
    endpoint: Option<EndpointId>,
    url: String,
    state: State,
}

/// The part of a signed result that is read: the delivery it is for.
#[derive(Deserialize)]
struct Signed {
    jti: DeliveryId,
}

/// The part of a callback's body that is read: whether its result is signed.
#[derive(Deserialize)]
struct Callback {
    jwt: Option<IgnoredAny>,
}

impl App {
    /// Whether a relying party has endpoints at all.
    pub async fn has_endpoints(db: &Db, party: RelyingPartyId) -> Result<bool, DbError> {
        endpoint::any(db, party).await
    }

    /// Creates the deliveries of a fact, in the transaction that consumes its event.
    pub async fn notify(&self, tx: &mut Tx, party: RelyingPartyId, fact: &Fact<'_>) -> Result<(), Error> {
        let endpoints = endpoint::all(tx, party).await?;
        if let (Some(CallbackTo { url, result }), Some(event_type), Subject::Trusonafication(about)) =
            (fact.callback, fact.event_types.first(), &fact.subject)
        {
            // Signed on delivery, unless it is already signed.
            let (id, body) = match signed_for(result) {
                Some(id) => (id, with_jwt(fact.data.get(), result)),
                None => (DeliveryId::of_callback(fact.occurred_at, *about), fact.data.get().to_owned()),
            };
            let to = Receiver { id, endpoint: None, url: url.to_owned(), state: State::Pending };
            self.deliver(tx, party, fact, *event_type, to, body).await?;
        }
        for event_type in fact.event_types {
            let (name, timestamp) = (event_type.as_str(), fact.occurred_at.to_string());
            let envelope = Envelope { r#type: name, timestamp: &timestamp, test: false, data: fact.data, receipt: fact.receipt };
            let body = envelope.text().map_err(|_| Failure::Internal("JSON serializes"))?;
            let wants = |endpoint: &&Endpoint| {
                endpoint.wants(*event_type) && fact.published_at.is_none_or(|published_at| endpoint.created_at <= published_at)
            };
            for endpoint in endpoints.iter().filter(wants) {
                // Kept for a disabled endpoint: its owner may redeliver it later.
                let state = if endpoint.disabled.is_none() { State::Pending } else { State::Exhausted };
                let id = DeliveryId::derive(fact.occurred_at, endpoint.id, name, &fact.subject.to_string(), fact.event);
                let to = Receiver { id, endpoint: Some(endpoint.id), url: endpoint.url.clone(), state };
                self.deliver(tx, party, fact, *event_type, to, body.clone()).await?;
            }
        }
        Ok(())
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
        let queue = queue_of(party, endpoint, &url);
        let delivery = Delivery {
            id,
            relying_party: party,
            subject: fact.subject.clone(),
            event_type,
            endpoint,
            queue: queue.clone(),
            url,
            body,
            state,
            attempt_count: 0,
            attempts_before: 0,
            next_attempt_at: now,
            occurred_at: fact.occurred_at,
            created_at: now,
            version: 1,
            traceparent: nodkey_trace::traceparent(),
        };
        if !delivery::insert(tx, &delivery).await? {
            // It is there already: an event that was published again under another id.
            return Ok(());
        }
        self.wake_mirrors(tx, party);
        if state == State::Pending {
            wake(&self.wakes, tx, queue);
        }
        Ok(())
    }

    /// Returns at most `limit` receiver queues after `after` that have deliveries due.
    pub async fn queues(&self, after: &str, limit: usize) -> Result<Vec<String>, Failure> {
        delivery::queues(&self.db, after, self.now(), rows(limit)).await
    }

    /// Reserves at most `limit` due deliveries of a receiver queue.
    pub async fn claim(&self, queue: &str, limit: usize) -> Result<Vec<Delivery>, Failure> {
        let now = self.now();
        delivery::claim(&self.db, queue, now, now + LEASE, rows(limit)).await
    }

    /// Renews a reservation; false if it expired and another process took the delivery.
    pub async fn renew(&self, claimed: &Delivery) -> Result<bool, Failure> {
        delivery::renew(&self.db, claimed, self.now() + LEASE).await
    }

    /// Returns the URL of an endpoint and the keys that currently sign for it, newest first; `None` if it is disabled or deleted.
    pub async fn signing_keys(&self, party: RelyingPartyId, id: EndpointId) -> Result<Option<(String, Vec<SigningKeys>)>, Error> {
        let Some(endpoint) = endpoint::get(&self.db, party, id).await?.filter(|e| e.disabled.is_none()) else { return Ok(None) };
        let keys = EndpointKeys::open(&self.vault, &endpoint, self.now())?.into_all();
        Ok(Some((endpoint.url, keys)))
    }

    /// Returns the body for a `callback_url`, with its signed result. If the event had no signed result, the trusonafication service signs
    /// it now: the trusonafication ended before that service signed with its own keys.
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

    /// Gives up all pending deliveries and pushes of a relying party, and disables its endpoints.
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

    /// Records the outcomes of deliveries. If a reservation expired and another process took the delivery, that process records it.
    pub async fn settle(&self, batch: Vec<Settled>) -> Result<(), Error> {
        let now = self.now();
        let mut tx = self.db.begin().await?;
        // Ordered by id, so that two replicas never deadlock.
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
                // The normal case; no event is published.
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

    /// Updates the health of an endpoint.
    async fn learn(&self, tx: &mut Tx, party: RelyingPartyId, id: EndpointId, attempt: &Attempt, now: Timestamp) -> Result<(), Error> {
        let Some(before) = endpoint::get_in(tx, party, id).await? else { return Ok(()) };
        let Some(learned) = before.learn(attempt, self.patience, now) else { return Ok(()) };
        // Lost against a concurrent change; the next attempt reports the same.
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

    /// Redelivers a delivery, whatever its state.
    pub async fn redeliver(&self, party: RelyingPartyId, id: DeliveryId) -> Result<Delivery, Error> {
        for _ in 0..ATTEMPTS {
            let found = self.delivery(party, id).await?;
            if let Some(endpoint) = found.endpoint {
                self.require_enabled(party, endpoint).await?;
            }
            let again = found.again(self.now());
            let mut tx = self.db.begin().await?;
            if delivery::update(&mut tx, &again).await? {
                wake(&self.wakes, &mut tx, again.queue.clone());
                tx.commit().await?;
                return Ok(again);
            }
            tx.rollback().await?;
        }
        Err(Error::Raced)
    }

    /// Redelivers all finished deliveries of a range and returns how many. It works in batches, so a failure leaves earlier batches
    /// redelivered.
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
            // Wakes all receiver queues, since they may be in any.
            wake(&self.wakes, &mut tx, String::new());
            tx.commit().await?;
        }
    }

    /// Sends an endpoint an event that says nothing but that it is one, whatever types it names. While one is pending, sends that again.
    pub async fn test_endpoint(&self, party: RelyingPartyId, id: EndpointId) -> Result<Delivery, Error> {
        let (endpoint, now) = (self.require_enabled(party, id).await?, self.now());
        // One at a time, so that a receiver that is away is not buried in tests: the pending one is attempted again at once.
        let pending = Listing { state: Some(State::Pending), subject: Some(Subject::Endpoint(id)), ..Listing::newest(now + LEASE, 1) };
        if let Some(pending) = delivery::list(&self.db, party, &pending).await?.into_parts().0.into_iter().next() {
            return self.redeliver(party, pending.id).await;
        }
        let data = RawValue::from_string(json!({"endpoint_id": id}).to_string()).map_err(|_| Failure::Internal("JSON is JSON"))?;
        let (name, timestamp) = (EventType::EndpointTest.as_str(), now.to_string());
        let envelope = Envelope { r#type: name, timestamp: &timestamp, test: false, data: &data, receipt: "" };
        let body = envelope.text().map_err(|_| Failure::Internal("JSON serializes"))?;
        let fact = Fact {
            event_types: &[],
            event: None,
            subject: Subject::Endpoint(id),
            occurred_at: now,
            published_at: None,
            data: &data,
            receipt: "",
            callback: None,
        };
        let test = DeliveryId::generate(now, &self.random);
        let to = Receiver { id: test, endpoint: Some(id), url: endpoint.url, state: State::Pending };
        let delivery = to.id;
        let mut tx = self.db.begin().await?;
        self.deliver(&mut tx, party, &fact, EventType::EndpointTest, to, body).await?;
        tx.commit().await?;
        self.delivery(party, delivery).await
    }

    async fn require_enabled(&self, party: RelyingPartyId, id: EndpointId) -> Result<Endpoint, Error> {
        let endpoint = endpoint::get(&self.db, party, id).await?.ok_or(Failure::NotFound("endpoint"))?;
        if endpoint.disabled.is_some() { Err(Error::EndpointDisabled) } else { Ok(endpoint) }
    }

    /// Returns a delivery.
    pub async fn delivery(&self, party: RelyingPartyId, id: DeliveryId) -> Result<Delivery, Error> {
        Ok(delivery::get(&self.db, party, id).await?.ok_or(Failure::NotFound("delivery"))?)
    }

    /// Returns the attempts of a delivery, oldest first.
    pub async fn attempts(&self, id: DeliveryId) -> Result<Vec<Attempt>, Error> {
        Ok(delivery::attempts(&self.db, id).await?)
    }

    /// Returns the body of a delivery.
    pub async fn body(&self, id: DeliveryId) -> Result<String, Error> {
        Ok(delivery::body(&self.db, id).await?)
    }

    /// Lists them in the requested order.
    pub async fn deliveries(&self, party: RelyingPartyId, listing: &Listing) -> Result<Listed<Delivery>, Error> {
        Ok(delivery::list(&self.db, party, listing).await?)
    }

    /// Returns the number of pending deliveries of all relying parties, and the age of the oldest.
    pub async fn waiting(&self) -> Result<(i64, Duration), Error> {
        let (waiting, oldest) = delivery::waiting(&self.db).await?;
        Ok((waiting, oldest.map(|oldest| oldest.until(self.now())).unwrap_or_default()))
    }

    /// Returns how many endpoints, whosever they are, are on and fail every attempt.
    pub async fn failing(&self) -> Result<i64, Error> {
        Ok(endpoint::failing(&self.db, MOST_FAILING).await?)
    }

    /// Deletes old finished deliveries with their attempts.
    pub async fn delete_deliveries(&self, pass: &Pass) -> Result<(), Error> {
        Ok(pass.repeat(|| retention::delete_deliveries(&self.db, pass.now() - self.retention)).await.map(drop)?)
    }
}

/// The delivery that a signed result is for. `None` if the result is not signed yet.
fn signed_for(result: &str) -> Option<DeliveryId> {
    let claims: Signed = Compact::parse(result).ok()?.unverified_claims().ok()?;
    Some(claims.jti)
}

/// Appends the member `jwt` to the object. The rest stays byte for byte, so that numbers in custom fields keep their spelling.
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
