//! Consumers that are stuck: they hold up nobody else, and get their own events later.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::{Counter, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use nodkey_bus::{Bus, BusConfig, Consumer, EventMeta, consume, relay};
use nodkey_db::{Db, DbConfig, backlog, outbox};
use nodkey_kernel::{id::RelyingPartyId, time::Clock};
use nodkey_proto::registry::v1::DeviceRetired;
use nodkey_testkit::TestDatabase;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::world::{NOW, SCHEMA, World};

/// Number of things that the events are about.
const THINGS: u64 = 7;

/// A consumer with a database of its own, as every service has. It hangs in its transaction until it is released.
struct Reader {
    name: &'static str,
    db: Db,
    free: watch::Sender<bool>,
    /// What it began to handle: numbers of events, by thing.
    begun: Arc<Mutex<HashMap<String, Vec<u64>>>>,
    task: JoinHandle<()>,
    database: Option<TestDatabase>,
}

impl Reader {
    async fn start(world: &World, name: &'static str, hangs: bool) -> Self {
        let database = TestDatabase::sqlite();
        let db = Db::connect(&DbConfig { max_connections: 4, ..DbConfig::new(database.url()) }).await.unwrap();
        db.migrate(&SCHEMA).await.unwrap();
        Self { database: Some(database), ..Self::on(world, name, db, hangs).await }
    }

    async fn on(world: &World, name: &'static str, db: Db, hangs: bool) -> Self {
        let (free, freed) = watch::channel(!hangs);
        let begun: Arc<Mutex<HashMap<String, Vec<u64>>>> = Arc::default();
        let log = Arc::clone(&begun);
        let consumer = Consumer::new(name, move |tx, event: DeviceRetired, meta: EventMeta| {
            let (mut freed, log) = (freed.clone(), Arc::clone(&log));
            Box::pin(async move {
                let number = NOW.until(meta.time.unwrap()).as_secs();
                log.lock().unwrap().entry(event.device_id.clone()).or_default().push(number);
                let _ = freed.wait_for(|free| *free).await;
                tx.query("INSERT INTO effect (device) VALUES ($1)").bind(event.device_id.as_str()).execute().await?;
                Ok(())
            })
        });
        let run = consume(&world.bus, db.clone(), Clock::system(), consumer, world.shutdown.clone()).await.unwrap();
        Self { name, db, free, begun, task: tokio::spawn(run), database: None }
    }

    async fn has(&self, count: usize) {
        while self.db.query("SELECT device FROM effect").fetch_all().await.unwrap().len() < count {
            tokio::task::yield_now().await;
        }
    }

    /// Each event of `numbers` had its effect once, and those about one thing were begun in order.
    async fn had_each_once(&self, numbers: std::ops::Range<u64>) {
        let count = usize::try_from(numbers.end - numbers.start).unwrap();
        self.has(count).await;
        let effects = self.db.query("SELECT device FROM effect").fetch_all().await.unwrap();
        assert_eq!(effects.len(), count, "{}", self.name);
        for (thing, mut begun) in self.begun.lock().unwrap().clone() {
            // One may be begun again, with all that follow.
            begun.dedup();
            assert!(begun.is_sorted(), "{}: {thing}: {begun:?}", self.name);
            let expected: Vec<u64> = numbers.clone().filter(|n| (n % THINGS).to_string() == thing).collect();
            assert_eq!(begun, expected, "{}: {thing}", self.name);
        }
    }

    /// Returns what is left of it: its database.
    async fn kill(self) -> (Db, Option<TestDatabase>) {
        self.task.abort();
        let _ = self.task.await;
        (self.db, self.database)
    }
}

/// Commits the events with these numbers.
async fn write(world: &World, rp: RelyingPartyId, numbers: std::ops::Range<u64>) {
    for n in numbers {
        world.outbox_at(rp, &(n % THINGS).to_string(), NOW + Duration::from_secs(n)).await;
    }
}

fn relaying(world: &World) -> (JoinHandle<()>, CancellationToken) {
    let stop = CancellationToken::new();
    (tokio::spawn(relay("registry", world.bus.clone(), world.db.clone(), Clock::system(), stop.clone())), stop)
}

async fn outbox_is_empty(world: &World) {
    while outbox::depth(&world.db).await.unwrap().0 > 0 {
        tokio::task::yield_now().await;
    }
}

async fn backlog_has(world: &World, events: i64) {
    while backlog::consumers(&world.db).await.unwrap().iter().map(|(_, events)| events).sum::<i64>() != events {
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn a_consumer_that_hangs_holds_up_no_other_and_no_producer(world: World) {
    const EVENTS: u64 = 700;
    let (hangs, other) = (Reader::start(&world, "test_hangs", true).await, Reader::start(&world, "test_other", false).await);
    let (running, stop) = relaying(&world);
    let rp = world.relying_party();
    write(&world, rp, 0..EVENTS).await;
    other.had_each_once(0..EVENTS).await;
    outbox_is_empty(&world).await;
    assert!(hangs.db.query("SELECT device FROM effect").fetch_all().await.unwrap().is_empty());
    hangs.free.send(true).unwrap();
    // While it catches up, more happens.
    write(&world, rp, EVENTS..EVENTS + 100).await;
    hangs.had_each_once(0..EVENTS + 100).await;
    other.had_each_once(0..EVENTS + 100).await;
    backlog_has(&world, 0).await;
    outbox_is_empty(&world).await;
    // It keeps up again.
    write(&world, rp, EVENTS + 100..EVENTS + 110).await;
    hangs.had_each_once(0..EVENTS + 110).await;
    stop.cancel();
    running.await.unwrap();
    world.shutdown.cancel();
    for reader in [hangs, other] {
        reader.task.await.unwrap();
    }
}

pub(crate) async fn a_consumer_that_takes_over_from_one_that_hung_gets_everything_in_order(world: World) {
    let hangs = Reader::start(&world, "test_hangs", true).await;
    let (running, stop) = relaying(&world);
    let rp = world.relying_party();
    write(&world, rp, 0..300).await;
    outbox_is_empty(&world).await;
    let (db, _database) = hangs.kill().await;
    write(&world, rp, 300..310).await;
    let next = Reader::on(&world, "test_hangs", db, false).await;
    write(&world, rp, 310..400).await;
    next.had_each_once(0..400).await;
    backlog_has(&world, 0).await;
    stop.cancel();
    running.await.unwrap();
    world.shutdown.cancel();
    next.task.await.unwrap();
}

#[tokio::test]
async fn what_a_consumer_has_not_had_survives_a_kill_and_reaches_it_alone() {
    let mut world = World::new("memory:".into()).await;
    let (hangs, other) = (Reader::start(&world, "test_hangs", true).await, Reader::start(&world, "test_other", false).await);
    let (running, _) = relaying(&world);
    let rp = world.relying_party();
    write(&world, rp, 0..300).await;
    other.had_each_once(0..300).await;
    outbox_is_empty(&world).await;
    backlog_has(&world, 300).await;
    running.abort();
    let _ = running.await;
    let ((hangs, _kept), (other, _kept_too)) = (hangs.kill().await, other.kill().await);
    // Everything is killed, and there is more in the outbox.
    world.bus = Bus::connect(&BusConfig::default()).await.unwrap();
    write(&world, rp, 300..310).await;
    let (hangs, other) = (Reader::on(&world, "test_hangs", hangs, false).await, Reader::on(&world, "test_other", other, false).await);
    let (running, stop) = relaying(&world);
    hangs.had_each_once(0..310).await;
    other.has(310).await;
    let begun: usize = other.begun.lock().unwrap().values().map(Vec::len).sum();
    assert_eq!(begun, 10, "the other one was given what it had not had");
    backlog_has(&world, 0).await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn what_is_kept_for_a_consumer_in_one_process_is_published_when_the_installation_goes_on_as_several() {
    let mut world = World::new("memory:".into()).await;
    let hangs = Reader::start(&world, "test_hangs", true).await;
    let (running, stop) = relaying(&world);
    let rp = world.relying_party();
    write(&world, rp, 0..200).await;
    outbox_is_empty(&world).await;
    stop.cancel();
    running.await.unwrap();
    let (db, _database) = hangs.kill().await;
    let config = BusConfig { url: nodkey_testkit::nats_url(), prefix: world.prefix.clone(), ..BusConfig::default() };
    world.bus = Bus::connect(&config).await.unwrap();
    let next = Reader::on(&world, "test_hangs", db, false).await;
    let (running, stop) = relaying(&world);
    next.had_each_once(0..200).await;
    backlog_has(&world, 0).await;
    stop.cancel();
    running.await.unwrap();
}

/// The gauges with a label, by name.
#[derive(Clone, Debug, Default)]
struct Gauges(Arc<Mutex<HashMap<String, Arc<Cell>>>>);

#[derive(Debug, Default)]
struct Cell(AtomicU64);

impl GaugeFn for Cell {
    fn increment(&self, _: f64) {}

    fn decrement(&self, _: f64) {}

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl Gauges {
    fn get(&self, name: &str, consumer: &str) -> f64 {
        self.0.lock().unwrap().get(&format!("{name} {consumer}")).map_or(-1.0, |cell| f64::from_bits(cell.0.load(Ordering::Relaxed)))
    }
}

impl Recorder for Gauges {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let label = key.labels().next().map_or("", metrics::Label::value);
        let mut cells = self.0.lock().unwrap();
        Gauge::from_arc(Arc::clone(cells.entry(format!("{} {label}", key.name())).or_default()))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn how_much_a_stuck_consumer_has_to_handle_and_since_when_is_measured() {
    let gauges = Gauges::default();
    let _guard = metrics::set_default_local_recorder(&gauges);
    let world = World::new("memory:".into()).await;
    let (hangs, other) = (Reader::start(&world, "test_hangs", true).await, Reader::start(&world, "test_other", false).await);
    let (running, stop) = relaying(&world);
    write(&world, world.relying_party(), 0..200).await;
    other.has(200).await;
    let pending = |consumer, number: f64| gauges.get("nodkey_consumer_pending", consumer).to_bits() == number.to_bits();
    let oldest = |consumer| gauges.get("nodkey_consumer_oldest_seconds", consumer);
    while !(pending("test_hangs", 200.0) && oldest("test_hangs") > 0.0 && pending("test_other", 0.0) && oldest("test_other") <= 0.0) {
        tokio::task::yield_now().await;
    }
    hangs.free.send(true).unwrap();
    while !(pending("test_hangs", 0.0) && oldest("test_hangs") <= 0.0) {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    running.await.unwrap();
}
