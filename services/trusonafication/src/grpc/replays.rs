//! The gRPC service that publishes events again.

use nodkey_proto::trusonafication::v1::{ReplayEndsRequest, ReplayEndsResponse, replay_service_server::ReplayService};
use nodkey_runtime::{replay::Span, status::status, uninterrupted};
use tonic::{Request, Response, Status};

use super::Api;

#[tonic::async_trait]
impl ReplayService for Api {
    async fn replay_ends(&self, request: Request<ReplayEndsRequest>) -> Result<Response<ReplayEndsResponse>, Status> {
        let ReplayEndsRequest { since, until, cursor } = request.into_inner();
        let app = self.0.clone();
        let span = Span::read(since.as_ref(), until.as_ref(), &cursor, app.now()).map_err(status)?;
        let replayed = uninterrupted(async move { app.replay_ends(span).await }).await.map_err(status)?;
        let next_cursor = replayed.next.map(|next| next.to_string()).unwrap_or_default();
        Ok(Response::new(ReplayEndsResponse { count: replayed.count, next_cursor }))
    }
}
