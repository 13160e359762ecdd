//! Backends that wait for the end of a trusonafication, over either protocol.

use std::time::Duration;

use nodkey_bus::Listener;
use nodkey_kernel::id::TrusonaficationId;
use nodkey_proto::{
    convert::from_timestamp,
    trusonafication::v1::{GetTrusonaficationRequest, Status as State, Trusonafication},
};
use nodkey_runtime::{Actor, backoff::backoff, status::is_passing};
use tokio::time::Instant;
use tonic::Status;

use super::woken;
use crate::state::AppState;

/// How long after its expiry a trusonafication is read without a wake. By then the job that ends it has done so, and has published the
/// wake.
const OVERDUE: Duration = Duration::from_secs(2);
/// How long a service may be away before a caller that begins to wait gets an error.
const RESTART: Duration = Duration::from_secs(5);
/// The longest wait, as good as unlimited.
const FOR_EVER: Duration = Duration::from_hours(24 * 365);

/// A wait for the end of one trusonafication.
#[derive(Debug)]
pub struct ResultWait {
    state: AppState,
    by: Actor,
    id: TrusonaficationId,
    listener: Listener,
}

impl ResultWait {
    /// Begins to wait, so that no later change is missed.
    #[must_use]
    pub fn new(state: &AppState, by: impl Into<Actor>, id: TrusonaficationId) -> Self {
        Self { state: state.clone(), by: by.into(), id, listener: state.bus.listen(&format!("trusonafication.{id}")) }
    }

    /// Returns the current state.
    pub async fn now(&self) -> Result<Trusonafication, Status> {
        let request = GetTrusonaficationRequest { id: self.id.to_string(), wait_seconds: 0 };
        // Boxed, so that a waiting caller holds no memory for a completed call: there are many of them.
        Ok(Box::pin(self.state.trusonafications(self.by.clone()).get_trusonafication(request)).await?.into_inner())
    }

    /// Returns the current state to a caller that is going to wait. While the service is away, as for its restart, tries again for a
    /// moment.
    pub async fn first(&mut self, patience: Duration) -> Result<Trusonafication, Status> {
        let end = Instant::now() + patience.min(RESTART);
        let mut failures = 0;
        loop {
            let status = match self.now().await {
                Err(status) if is_passing(&status) => status,
                found => return found,
            };
            failures += 1;
            let pause = backoff(&self.state.random, failures);
            if pause >= end.saturating_duration_since(Instant::now()) || !woken(&self.state, &mut self.listener, pause).await {
                return Err(status);
            }
        }
    }

    /// Returns the trusonafication once it is over, given the state found when the wait began. Returns the current state after `patience`,
    /// or when this gateway is to stop. While the service is away, tries again as long as `patience` lasts.
    pub async fn end(&mut self, found: Trusonafication, patience: Duration) -> Result<Trusonafication, Status> {
        let Some(mut pause) = self.due(&found) else { return Ok(found) };
        // It may be a megabyte, and many callers wait.
        drop(found);
        let end = Instant::now() + patience.min(FOR_EVER);
        let mut failures = 0;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let stopping = !woken(&self.state, &mut self.listener, pause.min(left)).await;
            let over = stopping || Instant::now() >= end;
            match self.now().await {
                Ok(found) => match self.due(&found) {
                    Some(due) if !over => (pause, failures) = (due, 0),
                    _ => return Ok(found),
                },
                Err(e) if over || !is_passing(&e) => return Err(e),
                Err(_) => {
                    failures += 1;
                    pause = backoff(&self.state.random, failures);
                }
            }
        }
    }

    /// How long to wait for a wake. `None` when it is over.
    fn due(&self, found: &Trusonafication) -> Option<Duration> {
        if is_over(found) {
            return None;
        }
        let expires_at = found.expires_at.as_ref().and_then(from_timestamp);
        Some(expires_at.map_or(Duration::ZERO, |at| self.state.clock.now().until(at)) + OVERDUE)
    }
}

/// Whether the status is terminal.
pub fn is_over(found: &Trusonafication) -> bool {
    found.status() != State::InProgress
}
