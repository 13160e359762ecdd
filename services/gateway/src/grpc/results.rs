//! Waits for results, served here: a wake is a hint, the state is read again from its owner. Between gateway and service nobody waits.

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

/// Ways to wait.
#[derive(Clone, Debug, PartialEq)]
pub enum Wait {
    /// `GetTrusonafication`, where it says so.
    Get(GetTrusonaficationRequest),
    /// `WatchTrusonafication`.
    One,
    /// `WatchResults`.
    Many,
}

impl Wait {
    /// Which way a call is, by its path and, where that says it, its message; `None` for all others.
    pub fn of(path: &str, message: &Bytes) -> Option<Self> {
        match path.strip_prefix("/nodkey.trusonafication.v1.TrusonaficationService/")? {
            "GetTrusonafication" => {
                // What is none, and what asks for too long, is for the service to refuse.
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

/// Answers `GetTrusonafication` once it is over, or as it stands when the time is up.
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
    // As generated code writes it.
    let mut codec = server::Grpc::new(ProstCodec::<Trusonafication, ()>::default()).max_encoding_message_size(MAX_MESSAGE);
    let request = http::Request::new(Full::new(Bytes::from_static(&[0; 5])));
    let answered =
        codec.unary(service_fn(|_: tonic::Request<()>| std::future::ready(message.clone().map(tonic::Response::new))), request).await;
    Ok(guarded(answered, Ends::by_itself(), held))
}

/// Streams the state at once, then the terminal one.
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
            // An unknown one is told at once, not in the stream.
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

/// Streams the end of each that is named.
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
                // Many on one stream are as many who wait, and as many calls. What is refused or fails here is told of this one alone.
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

    /// Waits until one more may be looked at: so many at once for all, and by each credential as many a second as of calls.
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.state.credential_rates.ready(&self.backend.id.to_string()).await;
        Arc::clone(&self.state.first_looks).acquire_owned().await.ok()
    }

    /// Begins to wait: what changes from here on is not missed. Returns how it stands.
    async fn begin(&self, id: &str) -> Result<(ResultWait, Trusonafication), Status> {
        // A text that is no UUID names nothing.
        let id = id.parse().map_err(|_| status::new(Kind::NotFound, "NOT_FOUND", "there is no such trusonafication", &[]))?;
        let mut wait = ResultWait::new(&self.state, Actor::Backend(Arc::clone(&self.backend)), id);
        let found = wait.first(Duration::MAX).await?;
        Ok((wait, found))
    }
}

/// Returns it once it is over.
async fn end(mut wait: ResultWait, found: Trusonafication) -> Result<Trusonafication, Status> {
    let found = wait.end(found, Duration::MAX).await?;
    if is_over(&found) { Ok(found) } else { Err(Status::unavailable("this process stops; call again")) }
}
