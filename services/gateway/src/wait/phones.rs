//! Phones that wait for trusonafications.

use std::time::Duration;

use futures_util::future::{pending as never, select_all};
use nodkey_bus::Listener;
use nodkey_kernel::{backoff::jittered, id::DeviceId};
use nodkey_proto::trusonafication::v1::{ListPendingRequest, PendingTrusonafication};
use nodkey_runtime::{backoff::backoff, status::is_passing};
use tokio::time::Instant;
use tonic::Status;

use crate::{
    auth::phone::Phone,
    limits::permits::{self, Permit},
    metrics::WAITING_PHONES,
    problem::Problem,
    state::AppState,
};

/// How long an event stream is held, approximately. Then the phone reconnects, proves itself again, and may reach another gateway.
const MAX_AGE: Duration = Duration::from_hours(1);

/// A phone that waits.
pub struct Waiting {
    state: AppState,
    phone: Phone,
    permit: Permit,
    listener: Listener,
    /// The trusonafications that the phone shows, by id. A look wakes their listeners when they have ended.
    shown: Vec<(String, Listener)>,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    /// There may be something new to read.
    Look,
    /// The time is up.
    Late,
    /// A newer wait of the same device replaced this one.
    Replaced,
    /// This gateway is to stop.
    Stopping,
}

/// An update for the phone.
#[derive(Debug)]
pub struct Update {
    /// Trusonafications that it has not been shown.
    pub new: Vec<PendingTrusonafication>,
    /// Ids of trusonafications that it has been shown and that are over.
    pub closed: Vec<String>,
}

/// Returns the phone's pending trusonafications, without waiting. Whether the device is bound may be the answer of a moment ago.
pub async fn pending(state: &AppState, phone: &Phone) -> Result<Vec<PendingTrusonafication>, Status> {
    read(state, phone, true).await
}

async fn read(state: &AppState, phone: &Phone, recent: bool) -> Result<Vec<PendingTrusonafication>, Status> {
    let mut client = state.trusonafications(phone.relying_party);
    let request = ListPendingRequest { device_id: phone.device.to_string(), recent_binding: recent };
    // Boxed, so that a waiting caller holds no memory for a completed call: there are many of them.
    let pending = Box::pin(client.list_pending(request)).await?.into_inner().trusonafications;
    state.given.note(&phone.device, &pending);
    Ok(pending)
}

impl Waiting {
    /// Begins to wait, so that no later change is missed.
    pub fn new(state: &AppState, phone: Phone) -> Result<Self, Problem> {
        let permit = state.waits.device(phone.relying_party, &phone.device)?;
        WAITING_PHONES.increment(1);
        let listener = state.bus.listen(&device_topic(&phone.device));
        Ok(Self { state: state.clone(), phone, permit, listener, shown: Vec::new() })
    }

    /// Returns the pending trusonafications once there are any. Empty after `patience`, or when this gateway is to stop.
    pub async fn first(&mut self, patience: Duration) -> Result<Vec<PendingTrusonafication>, Problem> {
        let end = Instant::now() + patience;
        let mut found = pending(&self.state, &self.phone).await?;
        while found.is_empty() {
            match self.woken(end.saturating_duration_since(Instant::now())).await {
                Woken::Look => found = self.look(end).await?,
                Woken::Late | Woken::Stopping => break,
                Woken::Replaced => return Err(permits::replaced()),
            }
        }
        Ok(found)
    }

    /// When a stream that begins now should end.
    pub fn max_age(&self) -> Instant {
        Instant::now() + jittered(&self.state.random, MAX_AGE)
    }

    /// Returns the first update of a stream.
    pub async fn begin(&mut self) -> Result<Update, Problem> {
        let pending = pending(&self.state, &self.phone).await?;
        Ok(self.show(pending))
    }

    /// Returns the next update. `None` when the stream is over: at `end`, when a newer wait of the device replaced this one, when this
    /// gateway is to stop, or when the phone may see nothing any more.
    pub async fn next(&mut self, end: Instant) -> Option<Update> {
        if self.woken(end.saturating_duration_since(Instant::now())).await != Woken::Look {
            return None;
        }
        let pending = self.look(end).await.ok()?;
        Some(self.show(pending))
    }

    /// Reads the pending trusonafications. While the service is away, tries again until `end`: its restart does not end the wait.
    async fn look(&mut self, end: Instant) -> Result<Vec<PendingTrusonafication>, Problem> {
        let mut failures = 0;
        loop {
            // The wake may be about the binding.
            let status = match read(&self.state, &self.phone, false).await {
                Err(status) if is_passing(&status) => status,
                answer => return Ok(answer?),
            };
            failures += 1;
            let pause = backoff(&self.state.random, failures);
            if pause >= end.saturating_duration_since(Instant::now()) {
                return Err(status.into());
            }
            match self.woken(pause).await {
                Woken::Look | Woken::Late => {}
                Woken::Replaced => return Err(permits::replaced()),
                Woken::Stopping => return Err(status.into()),
            }
        }
    }

    /// Remembers that the phone shows exactly these.
    fn show(&mut self, pending: Vec<PendingTrusonafication>) -> Update {
        let is_there = |id: &str| pending.iter().any(|pending| pending.id == id);
        let closed: Vec<_> = self.shown.extract_if(.., |(id, _)| !is_there(id)).map(|(id, _)| id).collect();
        let new: Vec<_> = pending.into_iter().filter(|pending| self.shown.iter().all(|(id, _)| *id != pending.id)).collect();
        self.shown.extend(new.iter().map(|pending| (pending.id.clone(), self.state.bus.listen(&shown_topic(&pending.id)))));
        Update { new, closed }
    }

    async fn woken(&mut self, limit: Duration) -> Woken {
        let shown = self.shown.iter_mut().map(|(_, listener)| Box::pin(listener.notified()));
        let gone = async {
            if shown.len() == 0 {
                never::<()>().await;
            }
            select_all(shown).await;
        };
        tokio::select! {
            _ = self.listener.notified() => Woken::Look,
            () = gone => Woken::Look,
            () = tokio::time::sleep(limit) => Woken::Late,
            () = self.permit.replaced() => Woken::Replaced,
            () = self.state.stopping.cancelled() => Woken::Stopping,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING_PHONES.decrement(1);
    }
}

/// The topic to wake a device when a trusonafication is created for it, or one of its own is over.
pub fn device_topic(device: &DeviceId) -> String {
    format!("device.{device}")
}

/// The topic, within this gateway, to wake a phone when a look found that a trusonafication is over.
pub fn shown_topic(id: &str) -> String {
    format!("shown.{id}")
}
