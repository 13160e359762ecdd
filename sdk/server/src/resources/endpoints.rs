//! Webhook endpoints.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use nodkey_proto::notification::v1::{self as message, endpoint_service_client::EndpointServiceClient};

use super::{
    Delivery,
    wire::{list, required, send, time, wire_enum},
};
use crate::{EndpointId, Error, List, Secret, client::Inner};

/// A URL that is notified of events.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Where it is.
    pub url: String,
    /// Which events; empty: all.
    pub event_types: Vec<String>,
    /// When it was added. It is not notified of earlier events.
    pub created_at: SystemTime,
    /// While it is disabled, deliveries are kept and can be sent later.
    pub is_enabled: bool,
    /// Why it is disabled.
    pub disabled_reason: Option<DisabledReason>,
    /// When it was disabled.
    pub disabled_at: Option<SystemTime>,
    /// Since when every attempt has failed.
    pub failing_since: Option<SystemTime>,
    /// `whpk_…`: verifies `v1a` signatures.
    pub public_key: String,
    /// Until when the last of the previous keys also signs.
    pub previous_keys_until: Option<SystemTime>,
}

/// An endpoint with its secret, which no other answer has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointWithSecret {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// `whsec_…`: verifies `v1` signatures.
    pub secret: Secret,
}

wire_enum! {
    /// Why an endpoint is disabled.
    DisabledReason of message::DisabledReason {
        /// You did it.
        Owner = "OWNER",
        /// It returned 410.
        Gone = "GONE",
        /// Every attempt failed for days.
        Failing = "FAILING",
    }
}

/// An endpoint to add.
#[derive(Clone, Debug)]
#[must_use]
pub struct NewEndpoint(message::CreateEndpointRequest, Option<String>);

impl NewEndpoint {
    /// An https URL of a public host, at most 2000 bytes. It is notified of all events, also those of later releases, unless it says otherwise.
    pub fn new(url: impl Into<String>) -> Self {
        Self(message::CreateEndpointRequest { url: url.into(), ..Default::default() }, None)
    }

    /// Only of these: `trusonafication.accepted` and so on (`docs/guides/webhooks.md`).
    pub fn event_types(mut self, event_types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.event_types = event_types.into_iter().map(Into::into).collect();
        self
    }

    /// Your own id of the call, at most 128 characters: the same id and content within 24 hours has no second effect. Otherwise each call has a
    /// new one.
    pub fn request_id(self, id: impl Into<String>) -> Self {
        Self(self.0, Some(id.into()))
    }
}

/// What to change of an endpoint.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct EndpointChanges(message::UpdateEndpointRequest);

impl EndpointChanges {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its URL.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.0.url = Some(url.into());
        self
    }

    /// Its event types; empty: all.
    pub fn event_types(mut self, event_types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let event_types = event_types.into_iter().map(Into::into).collect();
        self.0.event_types = Some(message::EventTypes { event_types });
        self
    }

    /// Whether anything is sent to it.
    pub const fn enabled(mut self, enabled: bool) -> Self {
        self.0.enabled = Some(enabled);
        self
    }
}

/// How the keys of an endpoint are replaced.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct KeyRotation {
    overlap: Option<Duration>,
    request_id: Option<String>,
}

impl KeyRotation {
    /// The old keys also sign for a day.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the old keys also sign, in whole seconds: up to seven days.
    pub const fn overlap(mut self, overlap: Duration) -> Self {
        self.overlap = Some(overlap);
        self
    }

    /// Your own id of the call, at most 128 characters: the same id and content within 24 hours has no second effect. Otherwise each call has a
    /// new one.
    pub fn request_id(self, id: impl Into<String>) -> Self {
        Self { request_id: Some(id.into()), ..self }
    }
}

/// Webhook endpoints.
#[derive(Clone, Debug)]
pub struct Endpoints(Arc<Inner>);

impl Endpoints {
    pub(crate) const fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Adds an endpoint. Only this answer has its secret.
    ///
    /// Errors: `VALIDATION_FAILED`, `TOO_MANY_ENDPOINTS`.
    pub async fn create(&self, NewEndpoint(message, request_id): NewEndpoint) -> Result<EndpointWithSecret, Error> {
        let message = message::CreateEndpointRequest { request_id: self.0.request_id(request_id), ..message };
        EndpointWithSecret::read(send!(self.0, Notification, EndpointServiceClient::create_endpoint, message)?)
    }

    /// Returns an endpoint.
    ///
    /// Errors: `NOT_FOUND`.
    pub async fn get(&self, id: impl Into<EndpointId>) -> Result<Endpoint, Error> {
        let message = message::GetEndpointRequest { id: id.into().into() };
        Endpoint::read(send!(self.0, Notification, EndpointServiceClient::get_endpoint, message)?)
    }

    /// Lists endpoints, newest first.
    pub fn list(&self) -> List<Endpoint> {
        list!(self.0, Notification, EndpointServiceClient::list_endpoints, message::ListEndpointsRequest::default(), endpoints => Endpoint::read)
    }

    /// Changes what is given.
    ///
    /// Errors: `VALIDATION_FAILED`, `NOT_FOUND`.
    pub async fn update(&self, id: impl Into<EndpointId>, changes: EndpointChanges) -> Result<Endpoint, Error> {
        let message = message::UpdateEndpointRequest { id: id.into().into(), ..changes.0 };
        Endpoint::read(send!(self.0, Notification, EndpointServiceClient::update_endpoint, message)?)
    }

    /// Gives an endpoint new keys. The old ones also sign for a while, so that receivers can switch over.
    ///
    /// Errors: `TOO_MANY_KEYS`, `NOT_FOUND`.
    pub async fn rotate_keys(&self, id: impl Into<EndpointId>, rotation: KeyRotation) -> Result<EndpointWithSecret, Error> {
        let message = message::RotateEndpointKeysRequest {
            request_id: self.0.request_id(rotation.request_id),
            id: id.into().into(),
            overlap_seconds: rotation.overlap.map(|overlap| overlap.as_secs().try_into().unwrap_or(i32::MAX)),
        };
        EndpointWithSecret::read(send!(self.0, Notification, EndpointServiceClient::rotate_endpoint_keys, message)?)
    }

    /// Sends an endpoint an `endpoint.test`.
    ///
    /// Errors: `ENDPOINT_DISABLED`, `NOT_FOUND`.
    pub async fn test(&self, id: impl Into<EndpointId>) -> Result<Delivery, Error> {
        let message = message::TestEndpointRequest { id: id.into().into() };
        Delivery::read(send!(self.0, Notification, EndpointServiceClient::test_endpoint, message)?)
    }

    /// Removes an endpoint; what is under way to it is given up. An unknown one is no error.
    pub async fn delete(&self, id: impl Into<EndpointId>) -> Result<(), Error> {
        let message = message::DeleteEndpointRequest { id: id.into().into() };
        send!(self.0, Notification, EndpointServiceClient::delete_endpoint, message).map(|_| ())
    }
}

impl Endpoint {
    fn read(endpoint: message::Endpoint) -> Result<Self, Error> {
        Ok(Self {
            id: endpoint.id.into(),
            url: endpoint.url,
            event_types: endpoint.event_types,
            created_at: required(time(endpoint.created_at))?,
            is_enabled: endpoint.enabled,
            disabled_reason: DisabledReason::from_wire(endpoint.disabled_reason),
            disabled_at: time(endpoint.disabled_at),
            failing_since: time(endpoint.failing_since),
            public_key: endpoint.public_key,
            previous_keys_until: time(endpoint.previous_keys_until),
        })
    }
}

impl EndpointWithSecret {
    fn read(answer: message::CreateEndpointResponse) -> Result<Self, Error> {
        Ok(Self { endpoint: Endpoint::read(required(answer.endpoint)?)?, secret: Secret::new(answer.secret) })
    }
}
