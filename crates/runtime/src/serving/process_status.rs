//! The state of a process for the console: what `/readyz` and `/metrics` report, over gRPC.

use nodkey_kernel::{
    random::Random,
    time::{Clock, Timestamp},
};
use nodkey_proto::{
    convert::timestamp,
    status::v1::{GetStatusRequest, ProcessStatus, status_service_server::StatusService},
};
use tonic::{Request, Response, Status};

use super::{health::Health, telemetry};

/// Reports the state of this process.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    id: String,
    services: Vec<&'static str>,
    started_at: Timestamp,
    health: Health,
}

impl Reporter {
    /// For a process that has just started.
    pub(crate) fn new(services: Vec<&'static str>, health: Health, clock: &Clock) -> Self {
        Self { id: Random::system().token(), services, started_at: clock.now(), health }
    }
}

#[tonic::async_trait]
impl StatusService for Reporter {
    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<ProcessStatus>, Status> {
        Ok(Response::new(ProcessStatus {
            id: self.id.clone(),
            services: self.services.iter().map(ToString::to_string).collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: Some(timestamp(self.started_at)),
            problems: self.health.problems().await,
            metrics: telemetry::metrics(),
        }))
    }
}
