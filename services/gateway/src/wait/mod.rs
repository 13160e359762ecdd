//! Waiting for changes. The gateway holds the request. A wake is a hint, and the state is always read again from its owner. A waiting
//! caller holds nothing between the gateway and the services. It polls only for what is overdue: one look for all callers makes up for lost
//! wakes ([`looks`]).

pub mod looks;
pub mod phones;
pub mod results;

use std::time::Duration;

use nodkey_bus::Listener;

use crate::state::AppState;

/// Resolves at a wake, or after `limit`. Returns false when this gateway is to stop.
pub async fn woken(state: &AppState, listener: &mut Listener, limit: Duration) -> bool {
    tokio::select! {
        _ = listener.notified() => true,
        () = tokio::time::sleep(limit) => true,
        () = state.stopping.cancelled() => false,
    }
}
