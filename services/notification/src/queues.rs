//! Works off a database queue so that a slow receiver does not delay others.
//!
//! There is one queue per receiver, named `<relying party>/<receiver>` (column `lane`). Each is worked off by a task of its
//! own: with growing concurrency while the receiver accepts what it is sent, and one item at a time once it does not. A relying party holds
//! at most a quarter of the permits, and permits are granted in order of request. Items that are not being sent stay in the database, so
//! memory does not grow with the queue.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use nodkey_kernel::error::chain;
use nodkey_runtime::{Failure, Job};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

/// How often to poll for due items without a wake: retries, and what other replicas left.
const INTERVAL: Duration = Duration::from_secs(1);
/// The same once nothing was due for [`QUIET`]: what is repeated then has waited for longer.
const IDLE: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_secs(30);
/// Maximum number of concurrent sends to one receiver.
const MAX_WIDTH: usize = 16;
/// Number of receiver queues read at once.
const PAGE: usize = 100;

/// A queue in the database.
pub trait Outgoing: Clone + Send + Sync + 'static {
    /// An item to be sent.
    type Item: Send + 'static;

    /// Returns at most `limit` receiver queues with due items, in order, starting after `after`.
    fn queues(&self, after: &str, limit: usize) -> impl Future<Output = Result<Vec<String>, Failure>> + Send;

    /// Reserves at most `limit` due items of a receiver queue, longest due first.
    fn claim(&self, queue: &str, limit: usize) -> impl Future<Output = Result<Vec<Self::Item>, Failure>> + Send;

    /// Sends an item and records the outcome; false if the receiver is failing.
    fn send(&self, item: Self::Item) -> impl Future<Output = bool> + Send;
}

/// The name of a receiver's queue.
pub fn queue(party: impl std::fmt::Display, receiver: impl std::fmt::Display) -> String {
    format!("{party}/{receiver}")
}

/// The relying party of a receiver queue.
fn tenant(queue: &str) -> &str {
    queue.split_once('/').map_or("", |(tenant, _)| tenant)
}

/// The receiver queues that are being worked off. Cheap to clone.
pub struct DeliveryQueues<Q>(Arc<Inner<Q>>);

struct Inner<Q> {
    outgoing: Q,
    slots: Arc<Semaphore>,
    share: usize,
    max_queues: usize,
    active: Mutex<Active>,
    /// Notified when capacity becomes free.
    look: Notify,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

#[derive(Default)]
struct Active {
    queues: HashMap<String, Arc<Notify>>,
    tenants: HashMap<String, Tenant>,
}

struct Tenant {
    slots: Arc<Semaphore>,
    queues: usize,
}

/// Whether a receiver queue is being worked off.
enum Started {
    Runs,
    TenantIsFull,
    Full,
}

/// The permits of one send: one of its relying party and one of the process.
type Slot = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl<Q> Clone for DeliveryQueues<Q> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<Q: Outgoing> DeliveryQueues<Q> {
    /// Creates one with at most `concurrency` concurrent sends.
    pub fn new(outgoing: Q, concurrency: usize) -> Self {
        let share = concurrency.div_ceil(4);
        Self(Arc::new(Inner {
            outgoing,
            slots: Arc::new(Semaphore::new(concurrency)),
            share,
            max_queues: 4 * concurrency,
            active: Mutex::default(),
            look: Notify::new(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }))
    }

    /// The job that works off receiver queues: those named by `woken` immediately, and all others with due items when it polls. An empty
    /// name makes it poll immediately.
    pub fn job(self, name: &'static str, woken: mpsc::Receiver<String>) -> Job {
        Job::new(name, move |shutdown| self.run(woken, shutdown))
    }

    async fn run(self, mut woken: mpsc::Receiver<String>, shutdown: CancellationToken) {
        let mut after = String::new();
        let (mut busy, mut poll) = (Instant::now(), Instant::now());
        loop {
            let look = tokio::select! {
                () = shutdown.cancelled() => break,
                wake = woken.recv() => {
                    let queue = wake.unwrap_or_default();
                    if !queue.is_empty() {
                        self.start(&queue);
                        busy = Instant::now();
                    }
                    queue.is_empty()
                }
                () = self.0.look.notified() => true,
                () = sleep_until(poll) => true,
            };
            if look {
                if let Err(e) = self.scan(&mut after).await {
                    warn!(error = chain(&e), "polling for due deliveries failed; trying again");
                }
                let now = Instant::now();
                if self.is_busy() {
                    busy = now;
                }
                poll = now + if now.duration_since(busy) < QUIET { INTERVAL } else { IDLE };
            } else {
                poll = poll.min(busy + INTERVAL);
            }
        }
        // Sends in progress are completed: the receiver may already have them.
        self.0.stopping.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    fn is_busy(&self) -> bool {
        !self.0.active.lock().unwrap_or_else(PoisonError::into_inner).queues.is_empty()
    }

    /// Starts every receiver queue after `after` with due items. If the capacity is used up, the next scan continues from there.
    async fn scan(&self, after: &mut String) -> Result<(), Failure> {
        loop {
            let found = self.0.outgoing.queues(after, PAGE).await?;
            let last_page = found.len() < PAGE;
            for queue in found {
                if *after > queue {
                    continue;
                }
                match self.start(&queue) {
                    Started::Runs => *after = queue,
                    // Skips the rest of this relying party's queues: `0` comes right after `/`.
                    Started::TenantIsFull => *after = format!("{}0", tenant(&queue)),
                    Started::Full => return Ok(()),
                }
            }
            if last_page {
                after.clear();
                return Ok(());
            }
        }
    }

    /// Starts working off a receiver queue if there is capacity.
    fn start(&self, queue: &str) -> Started {
        let mut active = self.0.active.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = active.queues.get(queue) {
            running.notify_one();
            return Started::Runs;
        }
        if active.queues.len() >= self.0.max_queues || self.0.stopping.is_cancelled() {
            return Started::Full;
        }
        let tenant = active
            .tenants
            .entry(tenant(queue).to_owned())
            .or_insert_with(|| Tenant { slots: Arc::new(Semaphore::new(self.0.share)), queues: 0 });
        if tenant.queues >= self.0.share {
            return Started::TenantIsFull;
        }
        tenant.queues += 1;
        let (slots, more) = (Arc::clone(&tenant.slots), Arc::new(Notify::new()));
        active.queues.insert(queue.to_owned(), Arc::clone(&more));
        let (queues, queue) = (self.clone(), queue.to_owned());
        self.0.tasks.spawn(async move { queues.work_off(queue, slots, more).await });
        Started::Runs
    }

    /// Ends the task of a receiver queue, unless it was woken in the meantime.
    fn end(&self, queue: &str, more: &Notify) -> bool {
        let mut active = self.0.active.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.0.stopping.is_cancelled() && more.notified().now_or_never().is_some() {
            return false;
        }
        let full = active.queues.len() >= self.0.max_queues;
        active.queues.remove(queue);
        if let Entry::Occupied(mut tenant) = active.tenants.entry(tenant(queue).to_owned()) {
            let was_full = tenant.get().queues >= self.0.share;
            tenant.get_mut().queues -= 1;
            if tenant.get().queues == 0 {
                tenant.remove();
            }
            if full || was_full {
                self.0.look.notify_one();
            }
        }
        true
    }

    async fn work_off(&self, queue: String, tenant: Arc<Semaphore>, more: Arc<Notify>) {
        let (mut sending, mut width, mut dry) = (JoinSet::new(), 1, false);
        loop {
            while let Some(done) = sending.try_join_next() {
                width = widen(width, done.unwrap_or(false));
            }
            if !dry && !self.0.stopping.is_cancelled() && sending.len() < width {
                let slots = self.slots(&tenant, width - sending.len()).await;
                let wanted = slots.len();
                let claimed = self.0.outgoing.claim(&queue, wanted).await.unwrap_or_else(|e| {
                    warn!(queue, error = chain(&e), "what is due could not be reserved; trying again");
                    Vec::new()
                });
                dry = claimed.len() < wanted;
                for (item, slot) in claimed.into_iter().zip(slots) {
                    let outgoing = self.0.outgoing.clone();
                    sending.spawn(async move {
                        let well = outgoing.send(item).await;
                        drop(slot);
                        well
                    });
                }
                continue;
            }
            if sending.is_empty() && self.end(&queue, &more) {
                return;
            }
            tokio::select! {
                () = more.notified() => dry = false,
                done = sending.join_next() => match done {
                    Some(done) => width = widen(width, done.unwrap_or(false)),
                    None => dry = false,
                },
            }
        }
    }

    /// Waits for one permit, and takes up to `wanted` if more are free.
    async fn slots(&self, tenant: &Arc<Semaphore>, wanted: usize) -> Vec<Slot> {
        let mut slots = Vec::with_capacity(wanted);
        // The semaphores are never closed.
        if let Ok(of_tenant) = Arc::clone(tenant).acquire_owned().await
            && let Ok(of_process) = Arc::clone(&self.0.slots).acquire_owned().await
        {
            slots.push((of_tenant, of_process));
        }
        while slots.len() < wanted
            && let Ok(of_tenant) = Arc::clone(tenant).try_acquire_owned()
            && let Ok(of_process) = Arc::clone(&self.0.slots).try_acquire_owned()
        {
            slots.push((of_tenant, of_process));
        }
        slots
    }
}

/// Increases the concurrency by one after a success, and resets it to one after a failure.
const fn widen(width: usize, well: bool) -> usize {
    if !well {
        1
    } else if width < MAX_WIDTH {
        width + 1
    } else {
        MAX_WIDTH
    }
}

#[cfg(test)]
mod tests;
