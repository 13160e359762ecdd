//! Phones that wait for trusonafications.

use std::time::Duration;

use futures_util::future::{pending as never, select_all};
use nodkey_bus::Listener;
use nodkey_kernel::{backoff::jittered, id::DeviceId};
use nodkey_proto::trusonafication::v1::{DeviceUpdate, ListPendingRequest, PendingTrusonafication, device_update};
use nodkey_runtime::{backoff::backoff, status::is_passing};
use prost::Message as _;
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

/// How many trusonafications a phone shows at most, as its owner lists them.
const MOST_SHOWN: usize = 20;

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
#[derive(Debug, PartialEq)]
enum Woken {
    /// There may be something new to read.
    Look,
    /// This is new.
    Updated(Vec<device_update::Update>),
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
                Woken::Updated(updates) => found = self.take(updates).new,
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
        match self.woken(end.saturating_duration_since(Instant::now())).await {
            Woken::Updated(updates) if self.shown.len() + updates.len() < MOST_SHOWN => Some(self.take(updates)),
            // Of more than are shown, those that were shown first stand aside for others.
            Woken::Look | Woken::Updated(_) => {
                let pending = self.look(end).await.ok()?;
                Some(self.show(pending))
            }
            Woken::Late | Woken::Replaced | Woken::Stopping => None,
        }
    }

    /// Takes what is new into what the phone shows.
    fn take(&mut self, updates: Vec<device_update::Update>) -> Update {
        let update = net(updates, |id| self.shown.iter().any(|(shown, _)| shown == id));
        self.shown.retain(|(id, _)| !update.closed.contains(id));
        let shown: Vec<_> = update.new.iter().map(|pending| self.shown_one(&pending.id)).collect();
        self.shown.extend(shown);
        self.state.given.note(&self.phone.device, &update.new);
        update
    }

    fn shown_one(&self, id: &str) -> (String, Listener) {
        (id.to_owned(), self.state.bus.listen(&shown_topic(id)))
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
                Woken::Look | Woken::Updated(_) | Woken::Late => {}
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
        let shown: Vec<_> = new.iter().map(|pending| self.shown_one(&pending.id)).collect();
        self.shown.extend(shown);
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
            woken = self.listener.notified() => of(woken),
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

/// What a device was woken for. What this release cannot read is read from its owner.
fn of(woken: nodkey_bus::Woken) -> Woken {
    let nodkey_bus::Woken::With(payloads) = woken else { return Woken::Look };
    let updates = payloads.into_iter().map(|payload| DeviceUpdate::decode(payload).ok()?.update).collect();
    Option::map_or(updates, Woken::Look, Woken::Updated)
}

/// What is left of updates that came one after the other: what has ended before it was shown is neither new nor closed.
fn net(updates: Vec<device_update::Update>, is_shown: impl Fn(&str) -> bool) -> Update {
    let mut net = Update { new: Vec::new(), closed: Vec::new() };
    for update in updates {
        match update {
            device_update::Update::Created(pending) => {
                if !is_shown(&pending.id) && net.new.iter().all(|new| new.id != pending.id) {
                    net.new.push(pending);
                }
            }
            device_update::Update::EndedId(id) => {
                net.new.retain(|new| new.id != id);
                if is_shown(&id) && !net.closed.contains(&id) {
                    net.closed.push(id);
                }
            }
        }
    }
    net
}

/// The topic to wake a device when a trusonafication is created for it, or one of its own is over.
pub fn device_topic(device: &DeviceId) -> String {
    format!("device.{device}")
}

/// The topic, within this gateway, to wake a phone when a look found that a trusonafication is over.
pub fn shown_topic(id: &str) -> String {
    format!("shown.{id}")
}

#[cfg(test)]
mod tests {
    use device_update::Update::{Created, EndedId};

    use super::*;

    fn created(id: &str) -> device_update::Update {
        Created(PendingTrusonafication { id: id.into(), ..PendingTrusonafication::default() })
    }

    /// The ids that are new and closed to a phone that shows `a`.
    fn after(updates: Vec<device_update::Update>) -> (Vec<String>, Vec<String>) {
        let Update { new, closed } = net(updates, |id| id == "a");
        (new.into_iter().map(|pending| pending.id).collect(), closed)
    }

    #[test]
    fn what_has_ended_before_a_phone_could_show_it_is_neither_new_nor_closed() {
        let ended = |id: &str| EndedId(id.into());
        for (updates, new, closed) in [
            (vec![created("b"), ended("b")], vec![], vec![]),
            (vec![created("b"), created("c"), ended("b"), created("b")], vec!["c", "b"], vec![]),
            (vec![created("a"), created("b"), created("b")], vec!["b"], vec![]),
            (vec![ended("a"), ended("a"), ended("z")], vec![], vec!["a"]),
        ] {
            assert_eq!(after(updates), (new.into_iter().map(Into::into).collect(), closed.into_iter().map(Into::into).collect()));
        }
    }
}
