//! What handlers take out of a request.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    extract::{ConnectInfo, FromRequest, FromRequestParts, Request},
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;

use crate::{body::read_body, edge::Edge, problem::Problem};

/// The longest anybody may wait in one call, in seconds.
const MAX_WAIT: u64 = 60;
/// The most an idempotency key has, in characters.
const MAX_KEY: usize = 128;

/// A JSON body. Malformed is 400; well-formed and not what is asked for is 422 and names the field.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        Self::parse(&read_body(request.into_body()).await?)
    }
}

impl<T: DeserializeOwned> Json<T> {
    /// Reads a body that has been read already.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|e| {
            if e.inner().is_data() {
                Problem::field(&e.path().to_string(), e.inner().to_string())
            } else {
                Problem::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", format!("the body is not JSON: {}", e.inner()))
            }
        })?;
        json.end().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", format!("the body is not JSON: {e}")))?;
        Ok(Self(value))
    }
}

/// How long the caller is ready to wait: `wait` in the query, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Wait(pub Duration);

impl<S: Send + Sync> FromRequestParts<S> for Wait {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let Some((_, text)) = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "wait") else {
            return Ok(Self(Duration::ZERO));
        };
        let seconds = text.parse::<u64>().ok().filter(|seconds| *seconds <= MAX_WAIT);
        seconds.map(|seconds| Self(Duration::from_secs(seconds))).ok_or_else(|| Problem::field("wait", "must be 0 to 60 seconds"))
    }
}

/// A place among those who may wait at once, given back when dropped. Taken here and not by a layer: a layer costs every one of them over
/// a kilobyte.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "what counts is when it is dropped")] OwnedSemaphorePermit);

impl FromRequestParts<Edge> for Place {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, edge: &Edge) -> Result<Self, Problem> {
        Arc::clone(&edge.waiting).try_acquire_owned().map(Self).map_err(|_| Problem::overloaded())
    }
}

/// Where a request comes from: as the proxy before us says, if it is trusted to.
#[derive(Debug)]
pub struct ClientAddress(pub String);

impl FromRequestParts<Edge> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Problem> {
        let told = edge.address_header.as_deref().and_then(|name| parts.headers.get(name)?.to_str().ok());
        // The last one was added by the nearest proxy; those before it are the client's own words.
        if let Some(last) = told.and_then(|told| told.rsplit(',').next()).map(str::trim).filter(|last| !last.is_empty()) {
            return Ok(Self(last.to_owned()));
        }
        let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>().ok_or_else(Problem::internal)?;
        Ok(Self(peer.ip().to_string()))
    }
}

/// The `Idempotency-Key`; empty without one.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(pub String);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(String::new())) };
        match value.to_str() {
            Ok(key) if (1..=MAX_KEY).contains(&key.len()) => Ok(Self(key.to_owned())),
            _ => Err(Problem::field("Idempotency-Key", "must be 1 to 128 visible ASCII characters")),
        }
    }
}
