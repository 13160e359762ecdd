//! The relay: from memory where it may be, in order, past what can never be published, and at a cost that nothing changes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use nodkey_bus::{Bus, relay};
use nodkey_db::{
    Message, dead_letter,
    outbox::{self, EventContext},
};
use nodkey_kernel::{
    id::RelyingPartyId,
    service_key::{ServiceKey, ServiceName},
    time::Clock,
};
use nodkey_proto::{Event as _, registry::v1::DeviceRetired};
use nodkey_testkit::TestDatabase;
use prost::Message as _;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::{NOW, World};

macro_rules! in_both_shapes {
    ($($name:ident,)+) => {
        mod in_one_process {$(
            #[tokio::test]
            async fn $name() {
                super::$name(super::World::new("memory:".into()).await).await;
            }
        )+}
        mod distributed {$(
            #[tokio::test]
            async fn $name() {
                let database = nodkey_testkit::TestDatabase::postgres().await;
                super::$name(super::World::on(database, nodkey_testkit::nats_url()).await).await;
            }
        )+}
    };
}

in_both_shapes! {
    what_this_process_commits_is_published_without_being_read,
    an_event_waits_for_an_older_one_about_the_same_thing_that_another_process_left,
    what_can_never_be_published_is_a_dead_letter_and_holds_up_nothing,
    what_was_left_is_found_at_the_start,
}

/// A running relay that holds the lease.
struct Running {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Running {
    async fn start(world: &World, seen: &mut mpsc::Receiver<String>) -> Self {
        let running = Self::begin(world);
        world.outbox(world.relying_party(), "first").await;
        assert_eq!(seen.recv().await.unwrap(), "first");
        running
    }

    fn begin(world: &World) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(relay("registry", world.bus.clone(), world.db.clone(), Clock::system(), stop.clone()));
        Self { task, stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// Commits an event that says `read` to whoever reads the outbox.
async fn marked(world: &World, context: &EventContext, device: &str, read: &str) {
    let mut tx = world.db.begin().await.unwrap();
    outbox::add(&mut tx, &DeviceRetired { device_id: device.into() }, context).await.unwrap();
    let other = DeviceRetired { device_id: read.into() }.encode_to_vec();
    tx.query("UPDATE outbox SET payload = $1 WHERE seq = (SELECT MAX(seq) FROM outbox)").bind(other).execute().await.unwrap();
    tx.commit().await.unwrap();
}

/// Leaves an event as a process does that is killed right after the commit. A build of before writes no key.
async fn left(world: &World, message: &Message, has_key: bool) {
    let sql = "INSERT INTO outbox (id, subject, payload, headers, created_at, key) VALUES ($1, $2, $3, $4, $5, $6)";
    let headers = "{\"ce-version\":\"3\",\"ce-type\":\"registry.v1.device_retired\"}";
    let key = if has_key { message.key() } else { "" };
    let insert = world.db.execute(sql).bind(message.id).bind(message.subject.as_str()).bind(&message.payload[..]);
    insert.bind(headers).bind(NOW).bind(key).execute().await.unwrap();
}

async fn until_empty(world: &World) {
    while world.db.query("SELECT seq FROM outbox LIMIT 1").fetch_optional().await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
}

async fn what_this_process_commits_is_published_without_being_read(world: World) {
    let (mut seen, task) = world.start(|_, _| None).await;
    let running = Running::start(&world, &mut seen).await;
    let (rp, begun, mut read) = (world.relying_party(), Instant::now(), 0);
    for n in 0..100 {
        let device = format!("{}", n % 4);
        // The row of the event before about this device may still be there, and the relay knows it.
        marked(&world, &World::context(rp, NOW + Duration::from_micros(n)), &device, "read").await;
        match seen.recv().await.unwrap().as_str() {
            "read" => read += 1,
            other => assert_eq!(other, device),
        }
    }
    // A look, every two seconds, may find one before this process gives it to the relay.
    let looks = begun.elapsed().as_millis() / 1_900 + 2;
    assert!(read <= looks, "{read} were read in {looks} looks");
    until_empty(&world).await;
    running.stop().await;
    world.stop(task).await;
}

async fn an_event_waits_for_an_older_one_about_the_same_thing_that_another_process_left(world: World) {
    let (mut seen, task) = world.start(|_, _| None).await;
    let running = Running::start(&world, &mut seen).await;
    let rp = world.relying_party();
    for (has_key, device) in [(true, "a"), (false, "b")] {
        left(&world, &world.about(rp, device, "older"), has_key).await;
        world.outbox(rp, device).await;
        assert_eq!(seen.recv().await.unwrap(), "older");
        assert_eq!(seen.recv().await.unwrap(), device);
    }
    running.stop().await;
    world.stop(task).await;
}

async fn what_was_left_is_found_at_the_start(world: World) {
    let (mut seen, task) = world.start(|_, _| None).await;
    let rp = world.relying_party();
    left(&world, &world.message(rp, "left"), true).await;
    let running = Running::begin(&world);
    assert_eq!(seen.recv().await.unwrap(), "left");
    // And what another process leaves later.
    left(&world, &world.message(rp, "later"), true).await;
    assert_eq!(seen.recv().await.unwrap(), "later");
    running.stop().await;
    until_empty(&world).await;
    world.stop(task).await;
}

async fn what_can_never_be_published_is_a_dead_letter_and_holds_up_nothing(world: World) {
    let (mut seen, task) = world.start(|_, _| None).await;
    let rp = world.relying_party();
    let good = || world.message(rp, "bad");
    let is_nats = matches!(world.bus, Bus::Nats(_));
    let mut bad = vec![Message { id: Uuid::nil(), ..good() }];
    for subject in
        ["", "evt", "evt.registry", "evt.registry.v1 .x", "evt.registry.*.x", "evt.registry.>", "evt.registry..x", "evt.binding.v1.x"]
    {
        bad.push(Message { subject: subject.into(), ..good() });
    }
    if is_nats {
        bad.push(Message { payload: vec![0; 9 << 20].into(), ..good() });
    }
    for message in &bad {
        left(&world, message, true).await;
    }
    left(&world, &good(), true).await;
    world.db.execute("UPDATE outbox SET headers = '{' WHERE seq = (SELECT MAX(seq) FROM outbox)").execute().await.unwrap();
    let mut count = bad.len() + 1;
    if !is_nats {
        left(&world, &good(), true).await;
        world.db.execute("UPDATE outbox SET id = X'00' WHERE seq = (SELECT MAX(seq) FROM outbox)").execute().await.unwrap();
        count += 1;
    }
    left(&world, &world.message(rp, "good"), true).await;
    let running = Running::begin(&world);
    assert_eq!(seen.recv().await.unwrap(), "good");
    until_empty(&world).await;
    // A transaction that commits one later.
    let mut tx = world.db.begin().await.unwrap();
    let context = World::context(rp, NOW);
    outbox::add(&mut tx, &DeviceRetired { device_id: "not *".into() }, &context).await.unwrap();
    tx.commit().await.unwrap();
    world.outbox(rp, "last").await;
    assert_eq!(seen.recv().await.unwrap(), "last");
    until_empty(&world).await;
    running.stop().await;
    world.stop(task).await;
    let letters = dead_letter::list(&world.db, 100).await.unwrap();
    assert_eq!(letters.len(), count + 1, "{letters:#?}");
    assert!(letters.iter().all(|letter| letter.consumer == "registry_relay" && !letter.event_id.is_nil()), "{letters:#?}");
    for cause in ["it has no id", "its subject is none of an event of registry", "headers"] {
        assert!(letters.iter().any(|letter| letter.cause.contains(cause)), "{cause}");
    }
    assert_eq!(letters.iter().any(|letter| letter.cause.contains("NATS takes")), is_nats);
}

/// The holder of the lease is killed.
#[tokio::test]
async fn a_replica_takes_over_when_the_lease_of_a_killed_one_is_over_and_keeps_the_order() {
    let world = World::on(TestDatabase::postgres().await, nodkey_testkit::nats_url()).await;
    let (mut seen, task) = world.start(|_, _| None).await;
    let first = Running::start(&world, &mut seen).await;
    first.task.abort();
    let _ = first.task.await;
    let sql = "SELECT expires_at <= clock_timestamp() + INTERVAL '7 seconds' AS soon FROM lease WHERE name = 'relay'";
    assert!(world.db.query(sql).fetch_one().await.unwrap().get::<bool>("soon").unwrap(), "asked for every 2.5 s: within 10 s");
    let rp = world.relying_party();
    // Its last event, which it did not publish, and the next about the same thing, from the replica that will.
    left(&world, &world.about(rp, "d", "v1"), true).await;
    let second = Running::begin(&world);
    world.outbox(rp, "d").await;
    assert_eq!(seen.recv().await.unwrap(), "v1");
    assert_eq!(seen.recv().await.unwrap(), "d");
    second.stop().await;
    world.stop(task).await;
}

#[tokio::test]
async fn what_the_replica_without_the_lease_commits_does_not_wait_for_the_next_look() {
    let world = World::on(TestDatabase::postgres().await, nodkey_testkit::nats_url()).await;
    let (mut seen, task) = world.start(|_, _| None).await;
    let holder = Running::start(&world, &mut seen).await;
    // Its connections are its own: who sends a wake does not get it back.
    let other = world.another().await;
    let waiting = Running::begin(&other);
    let (rp, begun) = (world.relying_party(), Instant::now());
    for n in 0..50 {
        // In turn, and about the same thing: each has to wait for one that the other replica wrote.
        let by = if n % 2 == 0 { &other } else { &world };
        by.outbox_at(rp, "d", NOW + Duration::from_micros(n)).await;
        assert_eq!(seen.recv().await.unwrap(), "d");
    }
    // A look finds one of them at most.
    let looks = begun.elapsed().as_millis() / 1_900 + 2;
    assert!(looks < 25, "{looks} looks");
    until_empty(&world).await;
    waiting.stop().await;
    holder.stop().await;
    world.stop(task).await;
}

/// Counts statements.
#[derive(Clone, Debug, Default)]
struct Statements(Arc<AtomicU64>);

impl CounterFn for Statements {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Recorder for Statements {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if key.name() == "nodkey_db_statements_total" { Counter::from_arc(Arc::new(self.clone())) } else { Counter::noop() }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Writes a backlog of events about different things, as other processes left it.
async fn backlog(world: &World, rp: RelyingPartyId, count: i64) {
    let sql = "INSERT INTO outbox (id, subject, payload, headers, created_at, key) \
               SELECT gen_random_uuid(), $1 || n, $2, '{\"ce-version\":\"3\"}', $3, $4 || n FROM generate_series(1, $5) AS n";
    let (subject, key) = (format!("{}.{rp}.", DeviceRetired::SUBJECT), format!("{rp}."));
    let payload = DeviceRetired { device_id: "nothing".into() }.encode_to_vec();
    world.db.execute(sql).bind(subject).bind(payload).bind(NOW).bind(key).bind(count).execute().await.unwrap();
}

#[tokio::test]
async fn neither_a_foreign_snapshot_nor_a_backlog_changes_what_an_event_costs() {
    const EVENTS: u64 = 100;
    let counted = Statements::default();
    let _guard = metrics::set_default_local_recorder(&counted);
    let database = TestDatabase::postgres().await;
    let (relaying, world) = (database.url(), World::on(database, nodkey_testkit::nats_url()).await);
    let (mut seen, task) = world.start(|_, _| None).await;
    let running = Running::start(&world, &mut seen).await;
    let rp = world.relying_party();
    let foreign = nodkey_testkit::Held::by(&relaying, "SELECT pg_current_xact_id()").await;
    backlog(&world, world.relying_party(), 5_000).await;
    left(&world, &world.message(rp, "wakes nobody"), true).await;
    let (before, begun) = (counted.0.load(Ordering::Relaxed), Instant::now());
    for n in 0..EVENTS {
        marked(&world, &World::context(rp, NOW), &n.to_string(), "read").await;
        while seen.recv().await.unwrap() != n.to_string() {}
    }
    let (spent, elapsed) = (counted.0.load(Ordering::Relaxed) - before, begun.elapsed());
    // An event: it is written and marked by us, deleted by the relay, taken and recorded by the consumer. The backlog: one read and one
    // deletion for many. Time: a look and a renewal every two seconds.
    let limit = 5 * EVENTS + 2 * (5_000 / 256 + 2) + 2 * (elapsed.as_secs() + 1);
    assert!(spent <= limit, "{spent} statements instead of {limit} in {elapsed:?}");
    until_empty(&world).await;
    foreign.release().await;
    running.stop().await;
    world.stop(task).await;
}

/// `scripts/with-servers cargo test -p nodkey-bus --test contract -- --ignored --nocapture a_million`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; it reports how long a million events take"]
async fn a_million_events_are_drained_at_the_same_pace_from_the_first_to_the_last() {
    const EVENTS: i64 = 1_000_000;
    let database = TestDatabase::postgres().await;
    let (url, world) = (database.url(), World::on(database, nodkey_testkit::nats_url()).await);
    let key = ServiceKey::generate(ServiceName::Registry, &world.random);
    let world = World { bus: world.signing(&key, &[&key], true).await, ..world };
    world.bus.ensure_stream("registry").await.unwrap();
    for _ in 0..EVENTS / 50_000 {
        backlog(&world, world.relying_party(), 50_000).await;
    }
    let foreign = nodkey_testkit::Held::by(&url, "SELECT pg_current_xact_id()").await;
    // What the server takes at most one by one.
    let (rp, begun) = (world.relying_party(), Instant::now());
    let direct = (0..20_000).map(|n| world.message(rp, &n.to_string()));
    let direct = direct.map(|message| {
        let bus = world.bus.clone();
        async move { bus.publish(&message).await.unwrap() }
    });
    futures_util::stream::iter(direct).buffer_unordered(1024).for_each(|()| async {}).await;
    println!("NATS takes {:.0} events/s one by one", 20_000.0 / begun.elapsed().as_secs_f64());
    let jetstream = async_nats::jetstream::new(async_nats::connect(nodkey_testkit::nats_url()).await.unwrap());
    // The outbox is not asked: its head is full of dead rows.
    let published = async || {
        let stream = jetstream.get_stream(format!("{}_EVT_REGISTRY", world.prefix)).await.unwrap();
        stream.cached_info().state.messages - 20_000
    };
    let (begun, running) = (Instant::now(), Running::begin(&world));
    let (mut since, mut last) = (begun, 0);
    while last < EVENTS.unsigned_abs() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = published().await;
        if now >= last + 50_000 || now == EVENTS.unsigned_abs() {
            println!("{now} published; {:.0} events/s", f64::from(u32::try_from(now - last).unwrap()) / since.elapsed().as_secs_f64());
            (since, last) = (Instant::now(), now);
        }
    }
    println!("drained in {:.1} s", begun.elapsed().as_secs_f64());
    foreign.release().await;
    running.stop().await;
}
