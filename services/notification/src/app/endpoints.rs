//! Webhook endpoints and their keys.

use std::time::Duration;

use nodkey_kernel::{
    id::{EndpointId, RelyingPartyId},
    time::Timestamp,
    webhook::SigningKeys,
};
use nodkey_proto::{
    notification::v1 as pb,
    registry::v1::{GetRelyingPartyRequest, relying_party_service_client::RelyingPartyServiceClient},
};
use nodkey_runtime::{
    Failure, Validation,
    idempotent::{Answers, Request, once},
    page::Listed,
    rows,
};
use uuid::Uuid;

use super::{
    ATTEMPTS, App,
    endpoint_keys::{self, EndpointKeys},
};
use crate::{
    convert,
    domain::{Endpoint, EventType},
    error::Error,
    store::endpoint,
};

/// Maximum number of endpoints of a relying party without a limit of its own.
const MAX_ENDPOINTS: usize = 50;

/// Changes to an endpoint; `None` keeps the value.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The new URL.
    pub url: Option<String>,
    /// The new event types.
    pub event_types: Option<Vec<String>>,
    /// Whether it is to be enabled.
    pub enabled: Option<bool>,
}

impl App {
    /// Creates an endpoint.
    pub async fn create_endpoint(
        &self,
        party: RelyingPartyId,
        request: Option<Request>,
        url: String,
        event_types: Vec<String>,
    ) -> Result<pb::CreateEndpointResponse, Error> {
        let (url, event_types) = self.check(Some(&url), Some(&event_types))?;
        let (url, event_types) = (url.unwrap_or_default(), event_types.unwrap_or_default());
        let max = self.max_endpoints(party).await?;
        let attempt = async || {
            let (now, keys) = (self.now(), SigningKeys::generate(&self.random));
            let id = EndpointId::generate(now, &self.random);
            let created = Endpoint {
                id,
                relying_party: party,
                url: url.clone(),
                event_types: event_types.clone(),
                sealed_keys: endpoint_keys::seal(&self.vault, &self.random, id, &keys),
                previous_keys: None,
                older_keys: None,
                disabled: None,
                failing_since: None,
                created_at: now,
                version: 1,
            };
            let mut tx = self.db.begin().await?;
            if endpoint::all(&mut tx, party).await?.len() >= max {
                return Err(Error::TooManyEndpoints(max));
            }
            endpoint::insert(&mut tx, &created).await?;
            Ok(Some((tx, self.with_secret(&created, &keys)?)))
        };
        once(request.as_ref(), &self.answers(), attempt).await
    }

    async fn max_endpoints(&self, party: RelyingPartyId) -> Result<usize, Error> {
        let mut parties = RelyingPartyServiceClient::new(self.peers.registry().acting_for(party));
        let party = parties.get_relying_party(GetRelyingPartyRequest::default()).await?.into_inner();
        let own = party.limits.and_then(|limits| usize::try_from(limits.webhook_endpoints).ok()).filter(|own| *own > 0);
        Ok(own.unwrap_or(MAX_ENDPOINTS))
    }

    /// Changes an endpoint.
    pub async fn update_endpoint(&self, party: RelyingPartyId, id: EndpointId, change: Change) -> Result<pb::Endpoint, Error> {
        let (url, event_types) = self.check(change.url.as_deref(), change.event_types.as_deref())?;
        for _ in 0..ATTEMPTS {
            let before = self.endpoint(party, id).await?;
            let now = self.now();
            let mut changed = Endpoint {
                url: url.clone().unwrap_or_else(|| before.url.clone()),
                event_types: event_types.clone().unwrap_or_else(|| before.event_types.clone()),
                version: before.version + 1,
                ..before
            };
            if let Some(on) = change.enabled {
                changed = changed.switch(on, now);
            }
            let mut tx = self.db.begin().await?;
            if endpoint::update(&mut tx, &changed).await? {
                tx.commit().await?;
                return self.message(&changed);
            }
            tx.rollback().await?;
        }
        Err(Error::Raced)
    }

    /// Gives an endpoint new keys. The current keys also sign for the `overlap`, and earlier ones until their own end. Without an overlap,
    /// only the new keys sign.
    pub async fn rotate_endpoint_keys(
        &self,
        party: RelyingPartyId,
        request: Option<Request>,
        id: EndpointId,
        overlap: Duration,
    ) -> Result<pb::CreateEndpointResponse, Error> {
        let attempt = async || {
            let before = self.endpoint(party, id).await?;
            let (now, keys) = (self.now(), SigningKeys::generate(&self.random));
            let held = EndpointKeys::open(&self.vault, &before, now)?;
            let rotated = held.rotate((&self.vault, &self.random), before, &keys, overlap, now)?;
            let mut tx = self.db.begin().await?;
            let updated = endpoint::update(&mut tx, &rotated).await?;
            let answer = self.with_secret(&rotated, &keys)?;
            Ok::<_, Error>(updated.then_some((tx, answer)))
        };
        once(request.as_ref(), &self.answers(), attempt).await
    }

    fn answers(&self) -> Answers<'_> {
        Answers { db: &self.db, vault: &self.vault, random: &self.random, clock: &self.clock }
    }

    /// Returns an endpoint.
    pub async fn endpoint(&self, party: RelyingPartyId, id: EndpointId) -> Result<Endpoint, Error> {
        Ok(endpoint::get(&self.db, party, id).await?.ok_or(Failure::NotFound("endpoint"))?)
    }

    /// Lists endpoints, newest first. An endpoint whose keys cannot be decrypted is left out.
    pub async fn endpoints(&self, party: RelyingPartyId, at: Timestamp, id: Uuid, size: i64) -> Result<Listed<pb::Endpoint>, Error> {
        let found = endpoint::list(&self.db, party, at, id, size).await?;
        Ok(found.filter_map(|endpoint| {
            let unreadable = |e: Error| rows::inconsistent("endpoint", "sealed_keys", endpoint.id, e);
            rows::readable(self.message(&endpoint).map_err(unreadable))
        }))
    }

    /// Deletes an endpoint; its pending deliveries are given up when they become due.
    pub async fn delete_endpoint(&self, party: RelyingPartyId, id: EndpointId) -> Result<(), Error> {
        Ok(endpoint::delete(&self.db, party, id).await?)
    }

    /// Converts an endpoint.
    pub fn message(&self, endpoint: &Endpoint) -> Result<pb::Endpoint, Error> {
        let keys = EndpointKeys::open(&self.vault, endpoint, self.now())?;
        Ok(convert::endpoint(endpoint, keys.current(), keys.previous_until()))
    }

    fn with_secret(&self, endpoint: &Endpoint, keys: &SigningKeys) -> Result<pb::CreateEndpointResponse, Error> {
        Ok(pb::CreateEndpointResponse { endpoint: Some(self.message(endpoint)?), secret: keys.secret() })
    }

    /// Checks the fields of an endpoint.
    fn check(&self, url: Option<&str>, event_types: Option<&[String]>) -> Result<(Option<String>, Option<Vec<EventType>>), Failure> {
        let mut validation = Validation::default();
        let url = url.and_then(|url| validation.read("url", self.deployment.egress.check(url))).map(String::from);
        let known: Option<Vec<_>> = event_types
            .unwrap_or_default()
            .iter()
            .map(|name| EventType::choosable().find(|known| known.as_str() == name.as_str()))
            .collect();
        let all = || EventType::choosable().map(EventType::as_str).collect::<Vec<_>>().join(", ");
        let known = validation.read("event_types", known.ok_or_else(|| format!("must be among {}", all())));
        validation.finish()?;
        Ok((url, known.filter(|_| event_types.is_some())))
    }
}
