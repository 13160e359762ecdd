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
    call::{refusals::refused, status},
    serving::places::{ConnectionLimits, Place, Places},
};

/// How many watches are held at once, of all and of one address: they are open to whoever reaches the port.
const WATCHES: usize = 4_096;
const WATCHES_OF_ONE_ADDRESS: usize = 32;
/// After how long who was refused may come again: nobody knows when a watch ends.
const FULL_FOR: Duration = Duration::from_secs(5);

/// Answers health checks.
#[derive(Clone, Debug)]
pub(crate) struct HealthApi {
    health: Health,
    names: Vec<String>,
    watches: Places,
}

impl HealthApi {
    /// For services of these names: `nodkey.registry.v1.DeviceService`.
    /// Behind a proxy that names its clients all have its address, and many watch from one where services do: there `is_shared`.
    pub(crate) fn new(health: Health, names: Vec<String>, is_shared: bool) -> Self {
        let of_one_address = if is_shared { 0 } else { WATCHES_OF_ONE_ADDRESS };
        let watches = Places::new(ConnectionLimits { all: WATCHES, of_one_address: Some(of_one_address) });
        Self { health, names, watches }
    }

    /// The same as a gRPC server.
    pub(crate) fn server(self) -> HealthServer<Self> {
        HealthServer::new(self)
    }

    /// Whether a service of this name is served here; the process as a whole is by no name.
    fn serves(&self, name: &str) -> bool {
        name.is_empty() || self.names.iter().any(|known| known == name)
    }
}

#[tonic::async_trait]
impl Api for HealthApi {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.serves(&request.get_ref().service) {
            return Err(Status::not_found("no service of this name is served here"));
        }
        Ok(Response::new(answer(serving(&self.health.recent_problems(GOOD_FOR).await))))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip());
        let place = self.watches.take(address).map_err(|_| {
            refused("health watch beyond the limit");
            status::later(Kind::Exhausted, "TOO_MANY_WAITS", "too many health checks are watched at once; end some", FULL_FOR)
        })?;
        let known = self.serves(&request.get_ref().service);
        let watch = Watch { health: self.health.clone(), known, told: None, over: false, _place: place };
        let told = stream::unfold(watch, |mut watch| async move { watch.next().await.map(|status| (Ok(answer(status)), watch)) });
        Ok(Response::new(told.boxed()))
    }
}

struct Watch {
    health: Health,
    /// Whether what is watched is served here.
    known: bool,
    told: Option<ServingStatus>,
    /// The process stops, and that was told.
    over: bool,
    _place: Place,
}

impl Watch {
    /// The next change; the first is what is now. `None` once the process stops: it waits for no watch.
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
