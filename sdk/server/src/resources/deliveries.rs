//! What was sent to endpoints, and what became of it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use nodkey_proto::notification::v1::{self as message, delivery_service_client::DeliveryServiceClient};

use super::wire::{list, required, send, text, time, to_time, to_wire, wire_enum};
use crate::{DeliveryId, EndpointId, Error, List, TrusonaficationId, client::Inner};

/// An event on its way to an endpoint or a `callback_url`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The `webhook-id`.
    pub id: DeliveryId,
    /// What it is about; `None`: see `subject`.
    pub trusonafication: Option<TrusonaficationId>,
    /// `trusonafication.accepted` and so on.
    pub event_type: String,
    /// Where it is sent.
    pub url: String,
    /// Its state.
    pub state: DeliveryState,
    /// How many attempts there were.
    pub attempt_count: u32,
    /// When the next one is due.
    pub next_attempt_at: Option<SystemTime>,
    /// When it was received for sending.
    pub created_at: SystemTime,
    /// Oldest first; only from [`Deliveries::get`].
    pub attempts: Vec<Attempt>,
    /// `None` for a `callback_url`.
    pub endpoint: Option<EndpointId>,
    /// When it happened.
    pub occurred_at: Option<SystemTime>,
    /// `trusonafication/ID`, `device/ID`, `user/IDENTIFIER` and so on.
    pub subject: String,
    /// What is sent, its first 16 KiB; only from [`Deliveries::get`].
    pub body: Option<String>,
    /// How many bytes that is in whole.
    pub body_bytes: u64,
}

/// An attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// When it began.
    pub started_at: SystemTime,
    /// How long it took, to the millisecond.
    pub duration: Duration,
    /// The HTTP status; `None`: there was no response.
    pub status_code: Option<u16>,
    /// Why there was none, or what was wrong with it.
    pub error: Option<String>,
    /// The first 1 KiB of the response.
    pub response: Option<String>,
}

wire_enum! {
    /// The state of a delivery.
    DeliveryState of message::DeliveryState {
        /// It is being tried.
        Pending = "PENDING",
        /// It was taken.
        Succeeded = "SUCCEEDED",
        /// Nothing more is tried.
        Exhausted = "EXHAUSTED",
    }
}

to_wire!(DeliveryState of message::DeliveryState { Pending, Succeeded, Exhausted, });

/// Which deliveries to list: all, newest first, unless it says otherwise. Filters are combined.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct DeliveryFilter(message::ListDeliveriesRequest);

impl DeliveryFilter {
    /// All of them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those in this state.
    pub const fn state(mut self, state: DeliveryState) -> Self {
        self.0.state = state.to_wire();
        self
    }

    /// Only those about this trusonafication.
    pub fn trusonafication(mut self, id: impl Into<TrusonaficationId>) -> Self {
        self.0.trusonafication_id = id.into().into();
        self
    }

    /// Only those to this endpoint.
    pub fn endpoint(mut self, id: impl Into<EndpointId>) -> Self {
        self.0.endpoint_id = id.into().into();
        self
    }

    /// Only those about this object: `device/ID`. Not together with [`trusonafication`](Self::trusonafication).
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.0.subject = subject.into();
        self
    }

    /// Only those created then or later.
    pub fn created_after(mut self, time: SystemTime) -> Self {
        self.0.created_after = Some(to_time(time));
        self
    }

    /// Only those created before.
    pub fn created_before(mut self, time: SystemTime) -> Self {
        self.0.created_before = Some(to_time(time));
        self
    }

    /// The oldest first instead of the newest.
    pub const fn oldest_first(mut self) -> Self {
        self.0.oldest_first = true;
        self
    }
}

/// Which deliveries to send again: those that are exhausted, unless it says otherwise.
#[derive(Clone, Debug)]
#[must_use]
pub struct Redelivery(message::RedeliverManyRequest);

impl Redelivery {
    /// Those created then or later.
    pub fn since(time: SystemTime) -> Self {
        Self(message::RedeliverManyRequest { since: Some(to_time(time)), ..Default::default() })
    }

    /// Those created before. Otherwise until now.
    pub fn until(mut self, time: SystemTime) -> Self {
        self.0.until = Some(to_time(time));
        self
    }

    /// Only those to this endpoint.
    pub fn endpoint(mut self, id: impl Into<EndpointId>) -> Self {
        self.0.endpoint_id = id.into().into();
        self
    }

    /// Also those that succeeded: receivers get them twice.
    pub const fn include_succeeded(mut self) -> Self {
        self.0.include_succeeded = true;
        self
    }
}

/// What was sent to endpoints, and what became of it.
#[derive(Clone, Debug)]
pub struct Deliveries(Arc<Inner>);

impl Deliveries {
    pub(crate) const fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Lists deliveries.
    pub fn list(&self, filter: DeliveryFilter) -> List<Delivery> {
        list!(self.0, Notification, DeliveryServiceClient::list_deliveries, filter.0, deliveries => Delivery::read)
    }

    /// Returns a delivery with its attempts.
    ///
    /// Errors: `NOT_FOUND`.
    pub async fn get(&self, id: impl Into<DeliveryId>) -> Result<Delivery, Error> {
        let message = message::GetDeliveryRequest { id: id.into().into() };
        Delivery::read(send!(self.0, Notification, DeliveryServiceClient::get_delivery, message)?)
    }

    /// Sends a delivery again, with the same `webhook-id`.
    ///
    /// Errors: `NOT_FOUND`.
    pub async fn redeliver(&self, id: impl Into<DeliveryId>) -> Result<Delivery, Error> {
        let message = message::RedeliverRequest { id: id.into().into() };
        Delivery::read(send!(self.0, Notification, DeliveryServiceClient::redeliver, message)?)
    }

    /// Sends the deliveries of a time again. Returns how many.
    pub async fn redeliver_many(&self, redelivery: Redelivery) -> Result<u64, Error> {
        let answer = send!(self.0, Notification, DeliveryServiceClient::redeliver_many, redelivery.0)?;
        Ok(answer.count.try_into().unwrap_or_default())
    }
}

impl Delivery {
    pub(super) fn read(delivery: message::Delivery) -> Result<Self, Error> {
        Ok(Self {
            id: delivery.id.into(),
            trusonafication: text(delivery.trusonafication_id),
            event_type: delivery.event_type,
            url: delivery.url,
            state: required(DeliveryState::from_wire(delivery.state))?,
            attempt_count: delivery.attempt_count.try_into().unwrap_or_default(),
            next_attempt_at: time(delivery.next_attempt_at),
            created_at: required(time(delivery.created_at))?,
            attempts: delivery.attempts.into_iter().map(Attempt::read).collect::<Result<_, _>>()?,
            endpoint: text(delivery.endpoint_id),
            occurred_at: time(delivery.occurred_at),
            subject: delivery.subject,
            body: text(delivery.body),
            body_bytes: delivery.body_bytes.try_into().unwrap_or_default(),
        })
    }
}

impl Attempt {
    fn read(attempt: message::Attempt) -> Result<Self, Error> {
        Ok(Self {
            started_at: required(time(attempt.started_at))?,
            duration: Duration::from_millis(attempt.duration_ms.try_into().unwrap_or_default()),
            status_code: attempt.status_code.try_into().ok().filter(|code| *code != 0),
            error: text(attempt.error),
            response: text(attempt.response),
        })
    }
}
