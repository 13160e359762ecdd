//! Which receivers wait for which.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::mpsc;

use super::*;

/// A queue in memory. Each send waits for the test to decide whether it succeeds.
#[derive(Clone)]
struct Fake {
    due: Arc<Mutex<BTreeMap<String, usize>>>,
    /// How often somebody looked.
    looks: Arc<AtomicUsize>,
    sends: mpsc::Sender<Send>,
}

/// A send in progress.
struct Send {
    queue: String,
    answer: tokio::sync::oneshot::Sender<bool>,
}

impl Outgoing for Fake {
    type Item = String;

    async fn queues(&self, after: &str, limit: usize) -> Result<Vec<String>, Failure> {
        self.looks.fetch_add(1, SeqCst);
        let due = self.due.lock().unwrap();
        Ok(due.iter().filter(|(queue, due)| queue.as_str() > after && **due > 0).map(|(queue, _)| queue.clone()).take(limit).collect())
    }

    async fn claim(&self, queue: &str, limit: usize) -> Result<Vec<String>, Failure> {
        let mut all = self.due.lock().unwrap();
        let Some(due) = all.get_mut(queue) else { return Ok(Vec::new()) };
        let claimed = limit.min(*due);
        *due -= claimed;
        Ok(vec![queue.to_owned(); claimed])
    }

    async fn send(&self, queue: String) -> bool {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.sends.send(Send { queue, answer }).await.unwrap();
        answered.await.unwrap_or(false)
    }
}

/// Completes all sends in progress.
fn answer(wire: Vec<Send>, well: bool) {
    for send in wire {
        send.answer.send(well).unwrap();
    }
}

struct Bench {
    queues: DeliveryQueues<Fake>,
    due: Arc<Mutex<BTreeMap<String, usize>>>,
    looks: Arc<AtomicUsize>,
    sends: mpsc::Receiver<Send>,
}

impl Bench {
    fn new(concurrency: usize) -> Self {
        let (due, looks, (sender, sends)) = (Arc::<Mutex<_>>::default(), Arc::<AtomicUsize>::default(), mpsc::channel(100));
        let fake = Fake { due: Arc::clone(&due), looks: Arc::clone(&looks), sends: sender };
        Self { queues: DeliveryQueues::new(fake, concurrency), due, looks, sends }
    }

    fn add(&self, queue: &str, count: usize) {
        *self.due.lock().unwrap().entry(queue.to_owned()).or_default() += count;
    }

    async fn look(&self) {
        self.queues.scan(&mut String::new()).await.unwrap();
    }

    /// The sends in progress once nothing changes any more: on the single thread of a test, after all other tasks had many turns.
    async fn wire(&mut self) -> Vec<Send> {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        std::iter::from_fn(|| self.sends.try_recv().ok()).collect()
    }
}

#[tokio::test]
async fn a_lane_widens_while_its_receiver_is_well_and_narrows_when_it_is_not() {
    let mut bench = Bench::new(1_000);
    bench.add("a/x", 100);
    bench.look().await;
    for expected in [1, 2, 4, 8, 16, 16] {
        let wire = bench.wire().await;
        assert_eq!(wire.len(), expected);
        answer(wire, true);
    }
    let mut wire = bench.wire().await;
    let failed = wire.pop().unwrap();
    failed.answer.send(false).unwrap();
    assert!(bench.wire().await.is_empty(), "no more until those on the wire are back");
    answer(wire, false);
    assert_eq!(bench.wire().await.len(), 1);
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_one_place_and_one_relying_party_a_quarter() {
    let mut bench = Bench::new(8);
    for queue in ["a/1", "a/2", "a/3", "a/4"] {
        bench.add(queue, 50);
    }
    bench.add("b/1", 3);
    bench.look().await;
    let wire = bench.wire().await;
    let of = |tenant: &str| wire.iter().filter(|send| send.queue.starts_with(tenant)).count();
    assert_eq!((of("a/"), of("b/")), (2, 1), "a quarter of eight, and one at a time");
    let mut sent = 0;
    let mut wire = wire;
    while let Some(at) = wire.iter().position(|send| send.queue.starts_with("b/")) {
        wire.remove(at).answer.send(true).unwrap();
        sent += 1;
        wire.extend(bench.wire().await);
    }
    assert_eq!(sent, 3, "b is done while a waits");
}

#[tokio::test]
async fn a_lane_that_had_no_room_gets_it_when_another_ends() {
    let mut bench = Bench::new(4);
    for queue in ["a/1", "a/2"] {
        bench.add(queue, 1);
    }
    bench.look().await;
    let wire = bench.wire().await;
    assert_eq!(wire.iter().map(|send| send.queue.as_str()).collect::<Vec<_>>(), ["a/1"]);
    answer(wire, true);
    assert!(bench.wire().await.is_empty());
    // The job is notified to poll.
    bench.queues.0.look.notified().await;
    bench.look().await;
    assert_eq!(bench.wire().await[0].queue, "a/2");
}

#[tokio::test]
async fn what_comes_while_a_lane_ends_is_not_forgotten() {
    let mut bench = Bench::new(8);
    for round in 0..20 {
        bench.add("a/1", 1);
        bench.queues.start("a/1");
        let wire = bench.wire().await;
        assert_eq!(wire.len(), 1, "round {round}");
        // Arrives while the last one is being sent.
        bench.add("a/1", 1);
        bench.queues.start("a/1");
        answer(wire, true);
        let wire = bench.wire().await;
        assert_eq!(wire.len(), 1, "round {round}");
        answer(wire, true);
        bench.wire().await;
        assert!(bench.queues.0.active.lock().unwrap().queues.is_empty());
        assert!(bench.queues.0.active.lock().unwrap().tenants.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_looked_for_less_often_while_nothing_is() {
    let Bench { queues, looks, .. } = Bench::new(4);
    let (woken, wakes) = mpsc::channel(4);
    let shutdown = CancellationToken::new();
    let looks = || looks.load(SeqCst);
    let job = tokio::spawn(queues.run(wakes, shutdown.clone()));
    tokio::time::sleep(QUIET).await;
    assert!(looks() >= 30, "every second at first: {}", looks());
    let before = looks();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!((12..=13).contains(&(looks() - before)), "{}", looks() - before);
    woken.send("a/1".into()).await.unwrap();
    let before = looks();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(looks() - before >= 9, "every second again: {}", looks() - before);
    shutdown.cancel();
    job.await.unwrap();
}
