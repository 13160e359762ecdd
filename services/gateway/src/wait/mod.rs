//! Waiting: the request is held, a wake is a hint, the answer is always read again from its owner. Whoever waits holds nothing between this
//! gateway and the services, and looks for nothing by itself but for what is overdue: one look for all of them makes up for wakes that were
//! lost ([`looks`]).

pub mod looks;
pub mod phones;
pub mod results;

use std::time::Duration;

use nodkey_bus::Listener;

use crate::state::AppState;

/// Resolves at a hint, at the latest after `limit`; false when this gateway is to stop.
pub async fn woken(state: &AppState, listener: &mut Listener, limit: Duration) -> bool {
    tokio::select! {
        () = listener.notified() => true,
        () = tokio::time::sleep(limit) => true,
        () = state.stopping.cancelled() => false,
    }
}
