//! An empty gRPC call: the health check, which passes through every layer of a call and does nothing.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use nodkey_client::{AuthenticatedChannel, ServiceName};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{Bound, Measured};
use crate::bench::{
    process::{Process, Usage},
    target::Target,
};

/// Measures it over one connection.
pub(super) async fn measure(target: &Target, processes: &[Process], clients: &[u16], length: Duration) -> anyhow::Result<Vec<Bound>> {
    let channel = target.operator()?.channel(ServiceName::Trusonafication);
    let server = processes.iter().find(|process| ["trusonafication", "nodkey"].contains(&process.name.as_str()));
    let usage = || server.map(Process::usage).unwrap_or_default();
    let mut bounds = Vec::new();
    for clients in clients {
        let (used, own, begun) = (usage(), Process::own().usage(), Instant::now());
        let times = try_join_all((0..*clients).map(|_| repeat(channel.clone(), begun + length))).await?;
        let took = begun.elapsed();
        let mut all = Histogram::new(3)?;
        times.iter().try_for_each(|times| all.add(times))?;
        let (server, client): (Usage, Usage) = (usage().since(used), Process::own().usage().since(own));
        bounds.push(Measured { times: all, took, server, client }.bound("an empty gRPC call", *clients));
    }
    Ok(bounds)
}

async fn repeat(channel: AuthenticatedChannel, until: Instant) -> anyhow::Result<Histogram<u64>> {
    let mut health = HealthClient::new(channel);
    let mut times = Histogram::new(3)?;
    while Instant::now() < until {
        let start = Instant::now();
        health.check(HealthCheckRequest::default()).await?;
        times.record(u64::try_from(start.elapsed().as_micros())?)?;
    }
    Ok(times)
}
