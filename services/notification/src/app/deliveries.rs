//! What is to be told: taken in, reserved, settled, sent again.

use std::{collections::BTreeMap, time::Duration};

use nodkey_db::{Db, DbError, Tx};
use nodkey_kernel::{
    id::{DeliveryId, EndpointId, RelyingPartyId, TrusonaficationId},
    jose::jws::Compact,
    time::Timestamp,
    webhook::SigningKeys,
};
use nodkey_proto::{
    notification::v1::{DeliveryExhausted, DeliveryFailed, EndpointDisabled},
    trusonafication::v1::{RejectReason, SignResultRequest, Trusonafication, trusonafication_service_client::TrusonaficationServiceClient},
};
use nodkey_runtime::{Failure, housekeeping::Pass, page::Listed, rows::inconsistent};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;
use tracing::warn;
use uuid::Uuid;

use super::{ATTEMPTS, App, kick, rows};
pub use crate::store::delivery::{Listing, Range};
use crate::{
    convert::disabled_reason,
    domain::{Attempt, Delivery, EVENT_TYPES, Outcome, REPORTED, State, lane_of},
    error::Error,
    store::{delivery, endpoint, retention},
};

/// How long a delivery is reserved for whoever attempts it; if they die, this long nobody else does.
const LEASE: Duration = Duration::from_secs(10);
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

/// The end of a trusonafication.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// One of [`EVENT_TYPES`].
    pub event_type: &'static str,
    /// When it ended.
    pub occurred_at: Timestamp,
    /// As it stands.
    pub about: &'a Trusonafication,
    /// The same as JSON, as everybody is told.
    pub data: &'a RawValue,
    /// The receipt; empty of what ended before receipts were given.
    pub receipt: &'a str,
    /// What its `callback_url` is told, signed, if it is signed yet. Its `jti` is the id of the delivery.
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

/// Where a backend wants to be called back by itself. One that withdraws what it asked is not.
fn callback<'a>(event_type: &str, about: &'a Trusonafication) -> Option<&'a str> {
    Some(about.callback_url.as_str()).filter(|url| !url.is_empty() && event_type != EVENT_TYPES[3])
}

/// What is told besides when the person said that it was not them who asked.
fn reported(about: &Trusonafication) -> Option<&'static str> {
    about.result.as_ref().is_some_and(|result| result.reject_reason() == RejectReason::NotMe).then_some(REPORTED)
}

impl App {
    /// Whether anybody may have to be told of a fact.
    pub async fn tells(db: &Db, party: RelyingPartyId, event_type: &'static str, about: &Trusonafication) -> Result<bool, DbError> {
        Ok(callback(event_type, about).is_some() || endpoint::any(db, party).await?)
    }

    /// Notes whom to tell of a fact, in the transaction that takes it in.
    pub async fn tell(&self, tx: &mut Tx, party: RelyingPartyId, end: End<'_>) -> Result<(), Error> {
        let End { event_type, occurred_at, about, data, receipt, result } = end;
        let Ok(trusonafication) = about.id.parse::<TrusonaficationId>() else {
            return Err(Failure::field("trusonafication.id", "must be the id of a trusonafication").into());
        };
        let now = self.now();
        let endpoints = endpoint::all(tx, party).await?;
        let told = [Some(event_type), reported(about)].into_iter().flatten();
        let interested: Vec<_> =
            told.flat_map(|told| endpoints.iter().filter(move |e| e.wants(told)).map(move |e| (told, e.clone()))).collect();
        let callback = callback(event_type, about).map(ToOwned::to_owned);
        if interested.is_empty() && callback.is_none() {
            return Ok(());
        }
        let mut deliver = async |id: DeliveryId,
                                 event_type: &str,
                                 endpoint: Option<EndpointId>,
                                 url: String,
                                 body: String,
                                 state: State|
               -> Result<(), Error> {
            let lane = lane_of(party, endpoint, &url);
            let delivery = Delivery {
                id,
                relying_party: party,
                trusonafication,
                event_type: event_type.to_owned(),
                endpoint,
                lane: lane.clone(),
                url,
                body,
                state,
                attempt_count: 0,
                attempts_before: 0,
                next_attempt_at: now,
                occurred_at,
                created_at: now,
                version: 1,
            };
            delivery::insert(tx, &delivery).await?;
            if state == State::Pending {
                kick(&self.kicks, tx, lane);
            }
            Ok(())
        };
        if let Some(url) = callback {
            // Signed when it is sent, unless it is already.
            let (id, body) = match signed_for(result) {
                Some(id) => (id, with_jwt(data.get(), result)),
                None => (DeliveryId::generate(now, &self.random), data.get().to_owned()),
            };
            deliver(id, event_type, None, url, body, State::Pending).await?;
        }
        for (told, endpoint) in interested {
            let envelope = Envelope { r#type: told, timestamp: occurred_at.to_string(), data, receipt };
            let body = serde_json::to_string(&envelope).map_err(|_| Failure::Internal("JSON serializes"))?;
            // Kept for an endpoint that is off: its owner may want it later.
            let state = if endpoint.disabled.is_none() { State::Pending } else { State::Exhausted };
            let id = DeliveryId::generate(now, &self.random);
            deliver(id, told, Some(endpoint.id), endpoint.url, body, state).await?;
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
        let keys = self.keys(&endpoint)?;
        Ok(Some((endpoint.url, keys)))
    }

    /// Returns what a `callback_url` is told, with its signed result. One of an event without is signed now, by the service whose it is:
    /// its trusonafication ended before that service signed by keys of its own.
    pub async fn callback(&self, delivery: &Delivery) -> Result<String, Error> {
        let body: Callback = serde_json::from_str(&delivery.body).map_err(|e| inconsistent("delivery", "body", delivery.id, e))?;
        if body.jwt.is_some() {
            return Ok(delivery.body.clone());
        }
        let mut trusonafications = TrusonaficationServiceClient::new(self.peers.trusonafication().acting_for(delivery.relying_party));
        let request = SignResultRequest { id: delivery.trusonafication.to_string(), delivery_id: delivery.id.to_string() };
        Ok(with_jwt(&delivery.body, &trusonafications.sign_result(request).await?.into_inner().jwt))
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
            let (delivery_id, trusonafication_id) = (settled.id.to_string(), settled.trusonafication.to_string());
            match settled.state {
                // The rule, and nobody's news.
                State::Succeeded => {}
                State::Pending => self.publish(&mut tx, party, version, &DeliveryFailed { delivery_id, trusonafication_id }).await?,
                State::Exhausted => self.publish(&mut tx, party, version, &DeliveryExhausted { delivery_id, trusonafication_id }).await?,
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
                kick(&self.kicks, &mut tx, again.lane.clone());
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
            kick(&self.kicks, &mut tx, String::new());
            tx.commit().await?;
        }
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

    /// Lists, newest first.
    pub async fn deliveries(&self, party: RelyingPartyId, listing: &Listing) -> Result<Listed<Delivery>, Error> {
        Ok(delivery::list(&self.db, party, listing).await?)
    }

    /// Returns how many wait, whosever they are, and how long the oldest has.
    pub async fn waiting(&self) -> Result<(i64, Duration), Error> {
        let (waiting, oldest) = delivery::waiting(&self.db).await?;
        Ok((waiting, oldest.map(|oldest| oldest.until(self.now())).unwrap_or_default()))
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
