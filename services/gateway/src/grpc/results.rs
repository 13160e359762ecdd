//! Waits for results, served here. A wake is a hint, and the state is always read again from its owner. No call waits between gateway and
//! service.

use std::{sync::Arc, time::Duration};

use axum::{body::Bytes, response::Response};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use http_body_util::Full;
use nodkey_kernel::error::Kind;
use nodkey_proto::{
    codec::{self, Checked},
    trusonafication::v1::{
        GetTrusonaficationRequest, Trusonafication, WatchResultsRequest, WatchResultsResponse, WatchTrusonaficationRequest,
    },
};
use nodkey_runtime::{Actor, ResolvedCredential, frames::PREFIX, results, status};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Status, Streaming, server};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::{
    Refusal,
    answer::{Ends, guarded},
    request::Deadline,
    waiting,
};
use crate::{
    body::MAX_MESSAGE,
    class::MAX_WAIT,
    limits::permits::Permit,
    state::AppState,
    wait::results::{ResultWait, is_over},
};

/// The ways to wait.
#[derive(Clone, Debug, PartialEq)]
pub enum Wait {
    /// `GetTrusonafication`, where it has a wait.
    Get(GetTrusonaficationRequest),
    /// `WatchTrusonafication`.
    One,
    /// `WatchResults`.
    Many,
}

impl Wait {
    /// The kind of wait of a call, from its path and, for `GetTrusonafication`, its message. `None` for all other calls.
    pub fn of(path: &str, message: &Bytes) -> Option<Self> {
        match path.strip_prefix("/nodkey.trusonafication.v1.TrusonaficationService/")? {
            "GetTrusonafication" => {
                // The service refuses malformed messages and waits that are too long.
                let asked = message.len() >= PREFIX;
                let asked = asked.then(|| codec::read::<GetTrusonaficationRequest>(message.slice(PREFIX..)))?.ok();
                asked.filter(|asked| asked.wait_seconds > 0 && asked.wait_seconds.unsigned_abs() <= MAX_WAIT).map(Self::Get)
            }
            "WatchTrusonafication" => Some(Self::One),
            "WatchResults" => Some(Self::Many),
            _ => None,
        }
    }
}

type Request = http::Request<tonic::body::Body>;

/// Answers `GetTrusonafication` once the trusonafication is over, or with its current state when the time is up.
pub async fn long_poll(
    state: &AppState,
    backend: &Arc<ResolvedCredential>,
    asked: GetTrusonaficationRequest,
    deadline: Deadline,
) -> Result<Response, Refusal> {
    let waiter = Waiter::new(state, backend);
    let held = waiter.hold()?;
    let patience = Duration::from_secs(u64::try_from(asked.wait_seconds).unwrap_or_default());
    let answer = async {
        let (mut wait, found) = waiter.begin(&asked.id).await?;
        wait.end(found, patience).await
    };
    let message = tokio::select! {
        answer = answer => answer,
        () = deadline.over() => Err(nodkey_runtime::deadline::deadline_exceeded()),
    };
    // As generated code does it.
    let mut codec = server::Grpc::new(ProstCodec::<Trusonafication, ()>::default()).max_encoding_message_size(MAX_MESSAGE);
    let request = http::Request::new(Full::new(Bytes::from_static(&[0; 5])));
    let answered =
        codec.unary(service_fn(|_: tonic::Request<()>| std::future::ready(message.clone().map(tonic::Response::new))), request).await;
    Ok(guarded(answered, Ends::by_itself(), held))
}

/// Streams the current state, then the terminal one.
pub async fn watch_one(
    state: &AppState,
    backend: &Arc<ResolvedCredential>,
    deadline: Deadline,
    request: Request,
) -> Result<Response, Refusal> {
    let waiter = Waiter::new(state, backend);
    let held = waiter.hold()?;
    let watch = |request: tonic::Request<WatchTrusonaficationRequest>| {
        let waiter = waiter.clone();
        async move {
            // An unknown one is refused immediately, not in the stream.
            let (wait, first) = waiter.begin(&request.into_inner().id).await?;
            let rest = if is_over(&first) { None } else { Some((wait, first.clone())) };
            let last = stream::iter(rest).then(|(wait, found)| end(wait, found));
            let states: BoxStream<'static, Result<Trusonafication, Status>> = stream::once(async { Ok(first) }).chain(last).boxed();
            Ok::<_, Status>(tonic::Response::new(states))
        }
    };
    let mut codec = server::Grpc::new(Checked::<Trusonafication, WatchTrusonaficationRequest>::default());
    let answered = codec.server_streaming(service_fn(watch), request).await;
    Ok(guarded(answered, Ends::of(state, deadline), held))
}

/// Streams the end of each trusonafication that is named.
pub async fn watch_many(
    state: &AppState,
    backend: &Arc<ResolvedCredential>,
    deadline: Deadline,
    request: Request,
) -> Result<Response, Refusal> {
    let waiter = Waiter::new(state, backend);
    let held = waiter.hold()?;
    let watch = |request: tonic::Request<Streaming<WatchResultsRequest>>| {
        let waiter = waiter.clone();
        let ended = move |id: String| {
            let waiter = waiter.clone();
            async move {
                // Each trusonafication of a stream counts as a separate wait and as a separate call. A refusal or failure here concerns
                // this one alone.
                let _held = waiter.hold().map_err(|(_, status)| status)?;
                let (wait, found) = {
                    let _turn = waiter.turn().await;
                    waiter.begin(&id).await?
                };
                end(wait, found).await
            }
        };
        let results = results::watch(request.into_inner(), ended, &state.random, &state.stopping);
        std::future::ready(Ok::<_, Status>(tonic::Response::new(results.boxed())))
    };
    let mut codec = server::Grpc::new(Checked::<WatchResultsResponse, WatchResultsRequest>::default());
    let answered = codec.streaming(service_fn(watch), request).await;
    Ok(guarded(answered, Ends::of(state, deadline), held))
}

/// A backend that waits.
#[derive(Clone)]
struct Waiter {
    state: AppState,
    backend: Arc<ResolvedCredential>,
}

impl Waiter {
    fn new(state: &AppState, backend: &Arc<ResolvedCredential>) -> Self {
        Self { state: state.clone(), backend: Arc::clone(backend) }
    }

    fn hold(&self) -> Result<Permit, Refusal> {
        waiting(&self.state, self.backend.relying_party)
    }

    /// Waits until the next trusonafication may be read: limited in number at a time for all, and per credential by its call rate.
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.state.credential_rates.ready(&self.backend.id.to_string()).await;
        Arc::clone(&self.state.first_looks).acquire_owned().await.ok()
    }

    /// Begins to wait, so that no later change is missed. Returns the current state.
    async fn begin(&self, id: &str) -> Result<(ResultWait, Trusonafication), Status> {
        // A text that is not a UUID identifies nothing.
        let id = id.parse().map_err(|_| status::new(Kind::NotFound, "NOT_FOUND", "there is no such trusonafication", &[]))?;
        let mut wait = ResultWait::new(&self.state, Actor::Backend(Arc::clone(&self.backend)), id);
        let found = wait.first(Duration::MAX).await?;
        Ok((wait, found))
    }
}

/// Returns the trusonafication once it is over.
async fn end(mut wait: ResultWait, found: Trusonafication) -> Result<Trusonafication, Status> {
    let found = wait.end(found, Duration::MAX).await?;
    if is_over(&found) { Ok(found) } else { Err(Status::unavailable("this process stops; call again")) }
}
