//! The gRPC service that publishes events again.

use nodkey_proto::{
    convert::from_timestamp,
    trusonafication::v1::{ReplayEndsRequest, ReplayEndsResponse, replay_service_server::ReplayService},
};
use nodkey_runtime::{Failure, Validation, page::Page, status::status, uninterrupted};
use tonic::{Request, Response, Status};

use super::Api;

#[tonic::async_trait]
impl ReplayService for Api {
    async fn replay_ends(&self, request: Request<ReplayEndsRequest>) -> Result<Response<ReplayEndsResponse>, Status> {
        let ReplayEndsRequest { since, until, cursor } = request.into_inner();
        let page = Page::parse(0, &cursor).map_err(|_| status(Failure::field("cursor", "must be one that a response held")))?;
        let mut validation = Validation::default();
        let mut read = |field, at: Option<&_>| {
            let at = at.map(|at| from_timestamp(at).ok_or("must be a time in the years 1 to 9999"));
            validation.read(field, at.transpose()).flatten()
        };
        let (since, until) = (read("since", since.as_ref()), read("until", until.as_ref()));
        validation.require(since.is_some(), "since", "is required");
        validation.finish().map_err(status)?;
        let since = since.ok_or_else(|| status(Failure::field("since", "is required")))?;
        let app = self.0.clone();
        let replayed = uninterrupted(async move { app.replay_ends(since, until, page.after).await }).await.map_err(status)?;
        let next_cursor = replayed.next.map(|next| next.to_string()).unwrap_or_default();
        Ok(Response::new(ReplayEndsResponse { count: replayed.count, next_cursor }))
    }
}
