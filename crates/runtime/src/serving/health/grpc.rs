//! `grpc.health.v1`: readiness by the full names of the services that are served.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::extract::ConnectInfo;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use nodkey_kernel::error::Kind;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health as Api, HealthServer},
};

use super::{AGAIN, GOOD_FOR, Health};
use crate::{
    call::{refusal::Refusal, refusals::refused, status},
    serving::places::{ConnectionLimits, Place, Places},
};

/// Maximum number of concurrent watches, in total and from one address: anyone who reaches the port can open them.
const WATCHES: usize = 4_096;
const WATCHES_OF_ONE_ADDRESS: usize = 32;
/// Retry delay after a refusal; it is unknown when a watch ends.
const FULL_FOR: Duration = Duration::from_secs(5);

/// Answers health checks.
#[derive(Clone, Debug)]
pub(crate) struct HealthApi {
    health: Health,
    names: Vec<String>,
    watches: Places,
}

impl HealthApi {
    /// Creates the API for services with these names: `nodkey.registry.v1.DeviceService`. Behind a proxy that reports its clients, all have
    /// its address, and services open many watches from one address: set `is_shared` there.
    pub(crate) fn new(health: Health, names: Vec<String>, is_shared: bool) -> Self {
        let of_one_address = if is_shared { 0 } else { WATCHES_OF_ONE_ADDRESS };
        let watches = Places::new(ConnectionLimits { all: WATCHES, of_one_address: Some(of_one_address) });
        Self { health, names, watches }
    }

    /// The API as a gRPC server.
    pub(crate) fn server(self) -> HealthServer<Self> {
        HealthServer::new(self)
    }

    /// Whether a service with this name is served here. The empty name stands for the whole process.
    fn serves(&self, name: &str) -> bool {
        name.is_empty() || self.names.iter().any(|known| known == name)
    }
}

#[tonic::async_trait]
impl Api for HealthApi {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.serves(&request.get_ref().service) {
            return Err(Status::not_found("no service with this name is served here"));
        }
        Ok(Response::new(answer(serving(&self.health.recent_problems(GOOD_FOR).await))))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip());
        let place = self.watches.take(address).map_err(|_| {
            refused(Refusal::HealthWatch);
            status::later(Kind::Exhausted, "TOO_MANY_WAITS", "too many concurrent health watches; end some", FULL_FOR)
        })?;
        let known = self.serves(&request.get_ref().service);
        let watch = Watch { health: self.health.clone(), known, told: None, over: false, _place: place };
        let told = stream::unfold(watch, |mut watch| async move { watch.next().await.map(|status| (Ok(answer(status)), watch)) });
        Ok(Response::new(told.boxed()))
    }
}

struct Watch {
    health: Health,
    /// Whether the watched service is served here.
    known: bool,
    told: Option<ServingStatus>,
    /// Whether the process is stopping, and that was reported.
    over: bool,
    _place: Place,
}

impl Watch {
    /// The next change; the first is the current state. `None` once the process is stopping: it waits for no watch.
    async fn next(&mut self) -> Option<ServingStatus> {
        while !self.over {
            self.over = self.health.0.stopping.is_cancelled();
            let now = if self.known { serving(&self.health.recent_problems(AGAIN).await) } else { ServingStatus::ServiceUnknown };
            if self.told.replace(now) != Some(now) {
                return Some(now);
            }
            if !self.over {
                let started = &self.health.0.started;
                tokio::select! {
                    () = self.health.0.stopping.cancelled() => {}
                    () = started.cancelled(), if !started.is_cancelled() => {}
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
        }
        None
    }
}

fn serving(problems: &[String]) -> ServingStatus {
    if problems.is_empty() { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
