//! The gRPC service that publishes events again.

use nodkey_proto::registry::v1::{ReplayEventsRequest, ReplayEventsResponse, replay_service_server::ReplayService};
use nodkey_runtime::{replay::Span, status::status, uninterrupted};
use tonic::{Request, Response, Status};

use super::Grpc;

#[tonic::async_trait]
impl ReplayService for Grpc {
    async fn replay_events(&self, request: Request<ReplayEventsRequest>) -> Result<Response<ReplayEventsResponse>, Status> {
        let ReplayEventsRequest { since, until, cursor } = request.into_inner();
        let app = self.0.clone();
        let span = Span::read(since.as_ref(), until.as_ref(), &cursor, app.now()).map_err(status)?;
        let replayed = uninterrupted(async move { app.replay_events(span).await }).await.map_err(status)?;
        let next_cursor = replayed.next.map(|next| next.to_string()).unwrap_or_default();
        Ok(Response::new(ReplayEventsResponse { count: replayed.count, next_cursor }))
    }
}
