//! Waiting for results: all waits share streams, whichever trusonafication each of them waits for.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{
    StreamExt as _, TryStreamExt as _, stream,
    stream::{BoxStream, Fuse},
};
use nodkey_kernel::random::Random;
use nodkey_proto::trusonafication::v1::{
    Refusal, Trusonafication, WatchResultsRequest, WatchResultsResponse, trusonafication_service_client::TrusonaficationServiceClient,
};
use tokio::{
    sync::{mpsc, mpsc::error::TrySendError, oneshot},
    time::{Instant, interval_at, sleep, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    AuthenticatedChannel, Error,
    retry::{LASTED, ended_early, is_passing, reconnect_pause},
};

/// Maximum number that a server watches on one stream.
const MOST: usize = 1_000;
/// How long an unused stream is kept for the next wait.
const IDLE: Duration = Duration::from_secs(10);
/// Interval at which abandoned waits are removed.
const TIDY: Duration = Duration::from_secs(5);
/// Maximum random delay of a reconnect, in milliseconds, so that not all clients return together when a server stops or a stream is old.
const SPREAD: u32 = 3_000;
/// Number of ids that are sent again at once, and the interval between further ones: each costs the server a lookup.
const AGAIN: (usize, Duration) = (20, Duration::from_millis(20));
/// How long a server may take to end a stream in order.
const FAREWELL: Duration = Duration::from_secs(5);

type Answer = Result<Trusonafication, Status>;
type Results = BoxStream<'static, Result<WatchResultsResponse, Status>>;

/// A client that can watch many trusonafications on one stream.
pub(crate) trait Watch: Clone + Send + 'static {
    /// Begins a stream.
    fn watch(&mut self, ids: mpsc::Receiver<WatchResultsRequest>) -> impl Future<Output = Result<Results, Status>> + Send;
}

impl Watch for TrusonaficationServiceClient<AuthenticatedChannel> {
    async fn watch(&mut self, ids: mpsc::Receiver<WatchResultsRequest>) -> Result<Results, Status> {
        Ok(self.watch_results(ReceiverStream::new(ids)).await?.into_inner().boxed())
    }
}

/// The streams of a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waits {
    streams: Arc<Mutex<Vec<Shared>>>,
    trouble: Trouble,
}

/// Why there are no results at the moment.
#[derive(Clone, Debug, Default)]
struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    fn set(&self, trouble: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug)]
struct Shared {
    wanted: mpsc::Sender<Wanted>,
    /// Number of ids watched on it, or being sent to it. Abandoned waits count until the server has answered: it still watches them.
    places: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Wanted {
    id: String,
    answer: oneshot::Sender<Answer>,
}

impl Waits {
    /// Returns a trusonafication once it is over, whatever the number of failures until then. [`Code::Unimplemented`]: this server can only watch one per stream.
    pub(crate) async fn wait<W: Watch>(&self, client: impl Fn() -> W, random: &Random, id: &str) -> Answer {
        loop {
            let (answer, answered) = oneshot::channel();
            self.want(&client, random, Wanted { id: id.to_owned(), answer });
            // If the stream ended in between, another one is tried.
            if let Ok(answer) = answered.await {
                return answer;
            }
        }
    }

    /// Ends a wait, on these streams or on one of its own, once `limit` is over.
    pub(crate) async fn within(&self, limit: Duration, wait: impl Future<Output = Answer>) -> Result<Trusonafication, Error> {
        match timeout(limit, wait).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Error::late(limit, self.trouble.get())),
        }
    }

    /// Notes why a wait goes on, for [`Waits::within`]; `None`: it is because there is no result yet.
    pub(crate) fn note(&self, trouble: Option<&Status>) {
        self.trouble.set(trouble.map(|status| status.message().to_owned()).filter(|message| !message.is_empty()));
    }

    /// Takes a slot on a stream with a free one, or on a new stream.
    fn want<W: Watch>(&self, client: &impl Fn() -> W, random: &Random, mut wanted: Wanted) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|stream| !stream.wanted.is_closed());
        for stream in streams.iter().filter(|stream| stream.places.load(Ordering::Relaxed) < MOST) {
            stream.places.fetch_add(1, Ordering::Relaxed);
            match stream.wanted.try_send(wanted) {
                Ok(()) => return,
                Err(TrySendError::Full(back) | TrySendError::Closed(back)) => wanted = back,
            }
            stream.places.fetch_sub(1, Ordering::Relaxed);
        }
        let (sender, receiver) = mpsc::channel(MOST);
        let places = Arc::new(AtomicUsize::new(1));
        // The channel has capacity for one.
        let _ = sender.try_send(wanted);
        tokio::spawn(Task::new(client(), random.clone(), Arc::clone(&places), receiver, self.trouble.clone()).run());
        streams.push(Shared { wanted: sender, places });
    }
}

struct Task<W> {
    client: W,
    random: Random,
    wanted: mpsc::Receiver<Wanted>,
    waiting: HashMap<String, Vec<oneshot::Sender<Answer>>>,
    /// What the server watches, or will watch once there is a stream: sent and not answered. Includes everything that is waited for.
    watched: HashSet<String>,
    places: Arc<AtomicUsize>,
    /// Failures in a row, without a result or a lasting stream in between.
    failures: u32,
    trouble: Trouble,
}

impl<W: Watch> Task<W> {
    fn new(client: W, random: Random, places: Arc<AtomicUsize>, wanted: mpsc::Receiver<Wanted>, trouble: Trouble) -> Self {
        Self { client, random, wanted, waiting: HashMap::new(), watched: HashSet::new(), places, failures: 0, trouble }
    }

    async fn run(mut self) {
        loop {
            self.tidy();
            self.unwatch();
            if self.waiting.is_empty() {
                match timeout(IDLE, self.wanted.recv()).await {
                    Ok(Some(wanted)) => drop(self.add(wanted)),
                    // Requests that arrived in between are dropped, and made again on another stream.
                    Ok(None) | Err(_) => return,
                }
                continue;
            }
            let start = Instant::now();
            let begun = AtomicBool::new(false);
            if let Err(status) = self.watch(&begun).await {
                if start.elapsed() >= LASTED {
                    self.failures = 0;
                }
                self.failed(&status, begun.into_inner()).await;
            }
        }
    }

    /// Pauses before the next stream, or fails all waits. However often it failed: each wait ends by its own time-out.
    async fn failed(&mut self, status: &Status, begun: bool) {
        self.failures = self.failures.saturating_add(1);
        if !is_passing(status) {
            self.fail(status);
            self.failures = 0;
            return;
        }
        self.trouble.set(Some(status.message().to_owned()).filter(|message| !message.is_empty()));
        if begun && self.failures == 1 {
            // There was no failure before: a server stops, or the stream is old, and other clients return at the same time.
            sleep(Duration::from_millis(self.random.below(SPREAD).into())).await;
        } else {
            sleep(reconnect_pause(&self.random, status, self.failures)).await;
        }
    }

    /// Watches on one stream until it ends, or until nobody has waited for a while.
    async fn watch(&mut self, begun: &AtomicBool) -> Result<(), Status> {
        let (ids, receiver) = mpsc::channel(MOST);
        let mut again: Vec<String> = self.watched.iter().cloned().collect();
        self.send(&ids, &mut again);
        let (mut client, trouble) = (self.client.clone(), self.trouble.clone());
        // A proxy may hold back the response headers until there is a result: send more ids meanwhile.
        let stream = async move {
            let results = client.watch(receiver).await?;
            begun.store(true, Ordering::Relaxed);
            trouble.set(None);
            Ok::<_, Status>(results)
        };
        let mut results = stream::once(stream).try_flatten().boxed().fuse();
        let mut tidy = interval_at(Instant::now() + TIDY, TIDY);
        let mut spread = interval_at(Instant::now() + AGAIN.1, AGAIN.1);
        let mut idle_at = Instant::now() + IDLE;
        loop {
            tokio::select! {
                result = results.next() => {
                    self.answer(result.unwrap_or_else(|| Err(ended_early()))?);
                    idle_at = Instant::now() + IDLE;
                }
                Some(wanted) = self.wanted.recv() => {
                    if let Some(id) = self.add(wanted) {
                        let _ = ids.try_send(WatchResultsRequest { id });
                    }
                }
                _ = spread.tick(), if !again.is_empty() => self.send(&ids, &mut again),
                _ = tidy.tick() => {
                    self.tidy();
                    // Mostly for abandoned waits: without them there is capacity again, here and in the caller's quota.
                    if self.watched.len() - self.waiting.len() >= MOST / 2 {
                        return Ok(());
                    }
                }
                () = sleep_until(idle_at), if self.waiting.is_empty() => break,
            }
        }
        drop(ids);
        if self.watched.is_empty() {
            farewell(results).await;
        }
        Ok(())
    }

    /// Sends the next of the ids that were watched before.
    fn send(&mut self, ids: &mpsc::Sender<WatchResultsRequest>, again: &mut Vec<String>) {
        for id in again.split_off(again.len().saturating_sub(AGAIN.0)) {
            if self.waiting.contains_key(&id) {
                let _ = ids.try_send(WatchResultsRequest { id });
            } else {
                self.give_back(&id);
            }
        }
    }

    /// Adds a wait; returns the id if it is not watched yet.
    fn add(&mut self, Wanted { id, answer }: Wanted) -> Option<String> {
        let added = self.watched.insert(id.clone());
        if !added {
            self.places.fetch_sub(1, Ordering::Relaxed);
        }
        self.waiting.entry(id.clone()).or_default().push(answer);
        added.then_some(id)
    }

    fn answer(&mut self, WatchResultsResponse { id, trusonafication, error }: WatchResultsResponse) {
        self.failures = 0;
        self.trouble.set(None);
        self.give_back(&id);
        let answer = match (trusonafication, error) {
            (Some(found), _) => Ok(found),
            (None, Some(error)) => Err(refused(error)),
            (None, None) => Err(Status::not_found("there is no such trusonafication")),
        };
        for waiter in self.waiting.remove(&id).unwrap_or_default() {
            let _ = waiter.send(answer.clone());
        }
    }

    fn fail(&mut self, status: &Status) {
        for waiter in self.waiting.drain().flat_map(|(_, waiters)| waiters) {
            let _ = waiter.send(Err(status.clone()));
        }
    }

    /// Removes abandoned waits.
    fn tidy(&mut self) {
        self.waiting.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.is_closed());
            !waiters.is_empty()
        });
    }

    /// Releases the slots of abandoned waits: without a stream, no server watches them.
    fn unwatch(&mut self) {
        let before = self.watched.len();
        self.watched.retain(|id| self.waiting.contains_key(id));
        self.places.fetch_sub(before - self.watched.len(), Ordering::Relaxed);
    }

    fn give_back(&mut self, id: &str) {
        if self.watched.remove(id) {
            self.places.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Reads to the end: abandoning a call counts as misbehavior of the server, and 1,024 of them end the connection.
async fn farewell(mut results: Fuse<BoxStream<'_, Result<WatchResultsResponse, Status>>>) {
    let _ = timeout(FAREWELL, async { while let Some(Ok(_)) = results.next().await {} }).await;
}

/// The status of a call with the same refusal.
fn refused(Refusal { code, reason, message }: Refusal) -> Status {
    let mut details = ErrorDetails::new();
    if !reason.is_empty() {
        details.set_error_info(reason, "nodkey", HashMap::new());
    }
    Status::with_error_details(Code::from(code), message, details)
}

#[cfg(test)]
mod tests;
