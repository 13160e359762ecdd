//! One request, from its head to its response.

use std::{cell::Cell, sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request},
    response::Response,
};
use nodkey_kernel::{
    id::{CredentialId, RelyingPartyId},
    time::{Clock, Timestamp},
};
use nodkey_runtime::{CredentialResolver, ResolvedCredential, fault::Fault, trace};

use super::{Tail, entry};
use crate::named;

tokio::task_local! {
    /// What authentication finds out about the request that this task answers, if somebody listens.
    static FOUND: Cell<Found>;
}

/// What is known about the sender of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    /// The relying party of the credential that the request proves.
    pub proven: Option<RelyingPartyId>,
    /// Why its sender is not authenticated.
    pub fault: Option<Fault>,
}

/// Notes that the request proves this credential.
pub fn proven(credential: &ResolvedCredential) {
    let _ = FOUND.try_with(|found| found.set(Found { proven: Some(credential.relying_party), fault: None }));
}

/// Notes why the sender of the request is not authenticated.
pub fn refused(fault: Fault) {
    let _ = FOUND.try_with(|found| found.set(Found { proven: None, fault: Some(fault) }));
}

/// Runs what answers a request, and returns what is found out about its sender on the way.
pub async fn finding<T>(answer: impl Future<Output = T>) -> (T, Found) {
    let answer = async {
        let answered = answer.await;
        (answered, FOUND.with(Cell::get))
    };
    FOUND.scope(Cell::default(), answer).await
}

/// A request that names a credential, while somebody listens.
#[derive(Debug)]
pub struct Watched {
    tail: Tail,
    pub(super) credential: CredentialId,
    pub(super) method: &'static str,
    /// The template of its path. The path itself may name people.
    pub(super) route: Option<MatchedPath>,
    pub(super) is_grpc: bool,
    pub(super) at: Timestamp,
    pub(super) since: Instant,
}

impl Watched {
    /// Begins, if somebody listens and the request names a credential.
    pub fn begin(tail: &Tail, clock: &Clock, request: &Request) -> Option<Self> {
        if !tail.has_listeners() {
            return None;
        }
        let credential = named::of(request.headers())?;
        let route = request.extensions().get::<MatchedPath>().cloned();
        let is_grpc = request.uri().path().starts_with("/nodkey.");
        let (method, at) = (trace::method(request.method()), clock.now());
        Some(Self { tail: tail.clone(), credential, method, route, is_grpc, at, since: Instant::now() })
    }

    /// Sends to the listeners how the request was answered.
    pub async fn publish(self, resolver: &CredentialResolver, found: Found, response: Response) -> Response {
        let known = match found.proven {
            // Its sender only names it, but it may be known from another request.
            None => resolver.remembered(self.credential).await.map(|credential| credential.relying_party),
            proven => proven,
        };
        if !self.tail.has_listener_for(self.credential, known, self.since) {
            return response;
        }
        let (entry, response) = entry::of(&self, found, response).await;
        if let Ok(json) = serde_json::to_string(&entry) {
            self.tail.publish(self.credential, known, self.since, &Arc::from(json));
        }
        response
    }
}
