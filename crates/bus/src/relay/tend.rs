//! Tending the stream of a service: it is made again when somebody deleted it, and events that nobody handles do not expire unnoticed.

use std::time::Duration;

use nodkey_kernel::{
    error::{Classify as _, Kind, chain},
    time::Clock,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::bus::Bus;

/// How often, and how soon after the start.
const EVERY: Duration = Duration::from_mins(1);
const FIRST: Duration = Duration::from_secs(5);

/// Tends the stream of `service` until `shutdown`.
pub(super) async fn tend(service: &'static str, bus: Bus, clock: Clock, shutdown: CancellationToken) {
    let Bus::Nats(nats) = bus else { return };
    let mut pause = FIRST;
    while shutdown.run_until_cancelled(sleep(pause)).await.is_some() {
        pause = EVERY;
        if let Some(Err(e)) = shutdown.run_until_cancelled(nats.tend(service, clock.now())).await
            && e.kind() != Kind::Unavailable
        {
            warn!(service, error = chain(&e), "the stream could not be looked after");
        }
    }
}
