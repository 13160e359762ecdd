//! Waiting for results: all who wait share a stream, whatever each of them waits for.

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
    AuthenticatedChannel,
    retry::{LASTED, RECONNECTS, backoff, ended_early, is_broken},
};

/// How many a server watches on one stream.
const MOST: usize = 1_000;
/// How long a stream that nobody waits on is kept for the next.
const IDLE: Duration = Duration::from_secs(10);
/// How often those who gave up are forgotten.
const TIDY: Duration = Duration::from_secs(5);
/// A server that stops, or whose stream is old, has as many return within this time as it had.
const SPREAD: u32 = 3_000;
/// How many are named again at once, and how soon the next: each is a look for the server.
const AGAIN: (usize, Duration) = (20, Duration::from_millis(20));
/// How long a server may take to end a stream in order.
const FAREWELL: Duration = Duration::from_secs(5);

type Answer = Result<Trusonafication, Status>;
type Results = BoxStream<'static, Result<WatchResultsResponse, Status>>;

/// Whoever watches many on one stream.
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
pub(crate) struct Waits(Arc<Mutex<Vec<Shared>>>);

#[derive(Debug)]
struct Shared {
    wanted: mpsc::Sender<Wanted>,
    /// How many are watched on it, or on their way to it. Those who gave up are among them until the server has answered: it watches them.
    places: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Wanted {
    id: String,
    answer: oneshot::Sender<Answer>,
}

impl Waits {
    /// Returns one once it is over. [`Code::Unimplemented`]: this server watches one at a time.
    pub(crate) async fn wait<W: Watch>(&self, client: impl Fn() -> W, random: &Random, id: &str) -> Answer {
        loop {
            let (answer, answered) = oneshot::channel();
            self.want(&client, random, Wanted { id: id.to_owned(), answer });
            // A stream that ended in between is followed by another.
            if let Ok(answer) = answered.await {
                return answer;
            }
        }
    }

    /// Takes a place on a stream that has one, or on a new one.
    fn want<W: Watch>(&self, client: &impl Fn() -> W, random: &Random, mut wanted: Wanted) {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        // There is room for one.
        let _ = sender.try_send(wanted);
        tokio::spawn(Task::new(client(), random.clone(), Arc::clone(&places), receiver).run());
        streams.push(Shared { wanted: sender, places });
    }
}

struct Task<W> {
    client: W,
    random: Random,
    wanted: mpsc::Receiver<Wanted>,
    waiting: HashMap<String, Vec<oneshot::Sender<Answer>>>,
    /// What the server watches, or will once there is a stream: sent and not answered. All that is waited for is among them.
    watched: HashSet<String>,
    places: Arc<AtomicUsize>,
    /// In a row: without a result, or a stream that lasted, in between.
    failures: u32,
}

impl<W: Watch> Task<W> {
    fn new(client: W, random: Random, places: Arc<AtomicUsize>, wanted: mpsc::Receiver<Wanted>) -> Self {
        Self { client, random, wanted, waiting: HashMap::new(), watched: HashSet::new(), places, failures: 0 }
    }

    async fn run(mut self) {
        loop {
            self.tidy();
            self.unwatch();
            if self.waiting.is_empty() {
                match timeout(IDLE, self.wanted.recv()).await {
                    Ok(Some(wanted)) => drop(self.add(wanted)),
                    // What came in between is dropped, and asked for again on another stream.
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

    /// Pauses before the next stream, or fails all who wait.
    async fn failed(&mut self, status: &Status, begun: bool) {
        self.failures += 1;
        // A share that is used up has room later, and nobody who waits is in the way of others.
        let passing = is_broken(status) || status.code() == Code::ResourceExhausted;
        if !passing || self.failures > RECONNECTS {
            self.fail(status);
            self.failures = 0;
        } else if begun && self.failures == 1 {
            // Nothing was wrong before: a server stops, or the stream is old, and others return with this one.
            sleep(Duration::from_millis(self.random.below(SPREAD).into())).await;
        } else {
            sleep(backoff(&self.random, self.failures)).await;
        }
    }

    /// Watches on one stream until it ends, or nobody has waited for a while.
    async fn watch(&mut self, begun: &AtomicBool) -> Result<(), Status> {
        let (ids, receiver) = mpsc::channel(MOST);
        let mut again: Vec<String> = self.watched.iter().cloned().collect();
        self.send(&ids, &mut again);
        let mut client = self.client.clone();
        // A proxy may hold back the head of the answer until there is a result: more are named meanwhile.
        let stream = async move {
            let results = client.watch(receiver).await?;
            begun.store(true, Ordering::Relaxed);
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
                    // Mostly by those who gave up: without them there is room again, here and in the caller's share.
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

    /// Names the next of those that were watched before.
    fn send(&mut self, ids: &mpsc::Sender<WatchResultsRequest>, again: &mut Vec<String>) {
        for id in again.split_off(again.len().saturating_sub(AGAIN.0)) {
            if self.waiting.contains_key(&id) {
                let _ = ids.try_send(WatchResultsRequest { id });
            } else {
                self.give_back(&id);
            }
        }
    }

    /// Has one more wait; returns the id when it is not watched.
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

    /// Forgets those who gave up.
    fn tidy(&mut self) {
        self.waiting.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.is_closed());
            !waiters.is_empty()
        });
    }

    /// Gives back the places of those who gave up: where no stream is, no server watches them.
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

/// Reads to the end: a call that is given up before counts as misbehavior of the server, and 1,024 of them end the connection.
async fn farewell(mut results: Fuse<BoxStream<'_, Result<WatchResultsResponse, Status>>>) {
    let _ = timeout(FAREWELL, async { while let Some(Ok(_)) = results.next().await {} }).await;
}

/// As the status of a call would say it.
fn refused(Refusal { code, reason, message }: Refusal) -> Status {
    let mut details = ErrorDetails::new();
    if !reason.is_empty() {
        details.set_error_info(reason, "nodkey", HashMap::new());
    }
    Status::with_error_details(Code::from(code), message, details)
}

#[cfg(test)]
mod tests;
