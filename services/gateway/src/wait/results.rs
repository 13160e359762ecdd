//! Backends that wait for the end of a trusonafication, over whichever protocol.

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

/// How long after its expiry one is looked at without a wake: it is ended by then, and whoever ends it wakes.
const OVERDUE: Duration = Duration::from_secs(2);
/// How long a service may be away before whoever begins to wait is told so.
const RESTART: Duration = Duration::from_secs(5);
/// The longest patience: as good as any.
const FOR_EVER: Duration = Duration::from_hours(24 * 365);

/// Somebody who waits for the end of one.
#[derive(Debug)]
pub struct ResultWait {
    state: AppState,
    by: Actor,
    id: TrusonaficationId,
    listener: Listener,
}

impl ResultWait {
    /// Begins to wait. What changes from here on is not missed.
    #[must_use]
    pub fn new(state: &AppState, by: impl Into<Actor>, id: TrusonaficationId) -> Self {
        Self { state: state.clone(), by: by.into(), id, listener: state.bus.listen(&format!("trusonafication.{id}")) }
    }

    /// Returns it as it stands.
    pub async fn now(&self) -> Result<Trusonafication, Status> {
        let request = GetTrusonaficationRequest { id: self.id.to_string(), wait_seconds: 0 };
        // Boxed, so that who waits holds no memory for a call that is over: there are many of them.
        Ok(Box::pin(self.state.trusonafications(self.by.clone()).get_trusonafication(request)).await?.into_inner())
    }

    /// Returns it as it stands to whoever is going to wait. A service that is away, for its restart, is asked again for a moment.
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

    /// Returns it once it is over, from how it stood since the wait began; as it stands after `patience`, or when this gateway is to stop. A
    /// service that is away meanwhile is asked again, as long as there is patience.
    pub async fn end(&mut self, found: Trusonafication, patience: Duration) -> Result<Trusonafication, Status> {
        let Some(mut pause) = self.due(&found) else { return Ok(found) };
        // It may be a megabyte, and there are many who wait.
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

    /// How long to wait for a wake; `None` when it is over.
    fn due(&self, found: &Trusonafication) -> Option<Duration> {
        if is_over(found) {
            return None;
        }
        let expires_at = found.expires_at.as_ref().and_then(from_timestamp);
        Some(expires_at.map_or(Duration::ZERO, |at| self.state.clock.now().until(at)) + OVERDUE)
    }
}

/// Whether it is as it will be.
pub fn is_over(found: &Trusonafication) -> bool {
    found.status() != State::InProgress
}
