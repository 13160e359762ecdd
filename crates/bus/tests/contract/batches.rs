//! A backlog: published in atomic batches where the stream takes them, and completely and in order wherever it does not.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::{
    HeaderMap, header,
    jetstream::{self, stream},
};
use nodkey_bus::{HandlerError, relay};
use nodkey_db::{Message, dead_letter};
use nodkey_kernel::{id::RelyingPartyId, time::Clock};
use nodkey_proto::{Event as _, registry::v1::DeviceRetired};
use nodkey_testkit::TestDatabase;
use prost::Message as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::{NOW, World};

/// More than one read, and more than one batch.
const EVENTS: i64 = 2_500;
/// As many things are they about, in turn.
const THINGS: i64 = 900;

async fn world() -> World {
    World::on(TestDatabase::postgres().await, nodkey_testkit::nats_url()).await
}

/// Writes a backlog as another process left it: the ids and the versions are numbers that rise.
async fn backlog(world: &World, rp: RelyingPartyId, count: i64) {
    let sql = "INSERT INTO outbox (id, subject, payload, headers, created_at, key) \
               SELECT lpad(to_hex(n), 32, '0')::uuid, $1 || n % $5, $2, '{\"ce-version\":\"3\",\"ce-n\":\"' || n || '\"}', $3, $4 || n % $5 \
               FROM generate_series(1, $6) AS n";
    let (subject, key) = (format!("{}.{rp}.", DeviceRetired::SUBJECT), format!("{rp}."));
    let payload = DeviceRetired { device_id: "d".into() }.encode_to_vec();
    let insert = world.db.execute(sql).bind(subject).bind(payload).bind(NOW).bind(key).bind(THINGS).bind(count);
    insert.execute().await.unwrap();
}

fn start(world: &World) -> (JoinHandle<()>, CancellationToken) {
    let stop = CancellationToken::new();
    (tokio::spawn(relay("registry", world.bus.clone(), world.db.clone(), Clock::system(), stop.clone())), stop)
}

/// Lets a relay empty the outbox.
async fn drain(world: &World) {
    let (relaying, stop) = start(world);
    while world.db.query("SELECT seq FROM outbox LIMIT 1").fetch_optional().await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    relaying.await.unwrap();
}

async fn stream(world: &World) -> stream::Stream {
    let jetstream = jetstream::new(async_nats::connect(nodkey_testkit::nats_url()).await.unwrap());
    jetstream.get_stream(format!("{}_EVT_REGISTRY", world.prefix)).await.unwrap()
}

/// Changes the stream as a newer build or an administrator does.
async fn without_batches(world: &World) {
    let mut config = stream(world).await.cached_info().config.clone();
    config.allow_atomic_publish = false;
    config.metadata.insert("nodkey_settings".into(), "1000".into());
    jetstream::new(async_nats::connect(nodkey_testkit::nats_url()).await.unwrap()).update_stream(&config).await.unwrap();
}

/// The number of an event, what it is about, and the batch it came in.
struct Stored {
    number: i64,
    about: String,
    batch: Option<String>,
}

async fn stored(world: &World) -> Vec<Stored> {
    let stream = stream(world).await;
    let mut all = Vec::new();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        let message = stream.get_raw_message(sequence).await.unwrap();
        let value = |headers: &HeaderMap, name: &str| headers.get(name).map(ToString::to_string);
        all.push(Stored {
            number: value(&message.headers, "ce-n").unwrap().parse().unwrap(),
            about: message.subject.rsplit('.').next().unwrap().to_owned(),
            batch: value(&message.headers, header::NATS_BATCH_ID.as_ref()),
        });
    }
    all
}

/// Each of `count` events is there once, and those about the same thing are in order.
fn is_complete(stored: &[Stored], count: i64) {
    assert_eq!(stored.iter().map(|event| event.number).collect::<BTreeSet<_>>(), (1..=count).collect());
    assert_eq!(stored.len(), usize::try_from(count).unwrap());
    let mut last = BTreeMap::new();
    for event in stored {
        let before = last.insert(event.about.clone(), event.number);
        assert!(before < Some(event.number), "{before:?} before {}", event.number);
    }
}

#[tokio::test]
async fn a_backlog_is_published_in_batches() {
    let world = world().await;
    backlog(&world, world.relying_party(), EVENTS).await;
    drain(&world).await;
    let stored = stored(&world).await;
    is_complete(&stored, EVENTS);
    let batches: BTreeSet<_> = stored.iter().filter_map(|event| event.batch.clone()).collect();
    let alone = stored.iter().filter(|event| event.batch.is_none()).count();
    assert!((3..=20).contains(&batches.len()), "{} batches", batches.len());
    assert!(alone < 64 * batches.len(), "{alone} alone");
}

#[tokio::test]
async fn few_events_are_published_one_by_one() {
    let world = world().await;
    backlog(&world, world.relying_party(), 50).await;
    drain(&world).await;
    let stored = stored(&world).await;
    is_complete(&stored, 50);
    assert!(stored.iter().all(|event| event.batch.is_none()));
}

/// A relay was killed after it published them and before it deleted them.
#[tokio::test]
async fn a_batch_with_events_that_the_stream_has_repeats_none_and_loses_none() {
    let world = world().await;
    let rp = world.relying_party();
    backlog(&world, rp, EVENTS).await;
    for number in [1, 2, 700] {
        let message = Message {
            id: uuid::Uuid::from_u128(number),
            subject: format!("{}.{rp}.{number}", DeviceRetired::SUBJECT),
            payload: DeviceRetired { device_id: "d".into() }.encode_to_vec().into(),
            headers: [("ce-version", "3".to_owned()), ("ce-n", number.to_string())].map(|(name, value)| (name.to_owned(), value)).into(),
        };
        world.bus.publish(&message).await.unwrap();
    }
    drain(&world).await;
    is_complete(&stored(&world).await, EVENTS);
}

#[tokio::test]
async fn a_stream_that_takes_no_batches_gets_a_backlog_one_by_one() {
    let world = world().await;
    without_batches(&world).await;
    // The relay finds it so.
    world.bus.ensure_stream("registry").await.unwrap();
    backlog(&world, world.relying_party(), 300).await;
    drain(&world).await;
    let stored = stored(&world).await;
    is_complete(&stored, 300);
    assert!(stored.iter().all(|event| event.batch.is_none()));
}

#[tokio::test]
async fn a_stream_that_takes_no_batches_any_more_loses_none() {
    let world = world().await;
    backlog(&world, world.relying_party(), 300).await;
    let (mut seen, task) = world.start(|_, _| None).await;
    let (relaying, stop) = start(&world);
    for _ in 0..300 {
        seen.recv().await.unwrap();
    }
    // The relay has looked at the stream, and does so again only after a while.
    without_batches(&world).await;
    world.db.execute("DELETE FROM outbox").execute().await.unwrap();
    let more = world.relying_party();
    let sql = "INSERT INTO outbox (id, subject, payload, headers, created_at, key) \
               SELECT gen_random_uuid(), $1 || n, $2, '{\"ce-version\":\"3\",\"ce-n\":\"' || n || '\"}', $3, $4 || n \
               FROM generate_series(301, 600) AS n";
    let payload = DeviceRetired { device_id: "d".into() }.encode_to_vec();
    let insert = world.db.execute(sql).bind(format!("{}.{more}.", DeviceRetired::SUBJECT)).bind(payload).bind(NOW);
    insert.bind(format!("{more}.")).execute().await.unwrap();
    for _ in 0..300 {
        seen.recv().await.unwrap();
    }
    stop.cancel();
    relaying.await.unwrap();
    world.stop(task).await;
    let stored = stored(&world).await;
    assert_eq!(stored.iter().map(|event| event.number).collect::<BTreeSet<_>>(), (1..=600).collect());
    assert!(stored.iter().all(|event| event.number <= 300 || event.batch.is_none()));
}

#[tokio::test]
async fn a_dead_letter_does_not_say_in_which_batch_it_came() {
    let world = world().await;
    let (mut seen, task) = world.start(|n, _| (n == 0).then(|| HandlerError::Fatal("no".into()))).await;
    backlog(&world, world.relying_party(), 100).await;
    let (relaying, stop) = start(&world);
    for _ in 0..100 {
        seen.recv().await.unwrap();
    }
    stop.cancel();
    relaying.await.unwrap();
    world.stop(task).await;
    assert!(stored(&world).await.iter().any(|event| event.batch.is_some()));
    let letters = dead_letter::list(&world.db, 10).await.unwrap();
    let headers: String = world.db.query("SELECT headers FROM dead_letter").fetch_one().await.unwrap().get("headers").unwrap();
    assert_eq!(letters.len(), 1);
    assert!(headers.contains("ce-n") && !headers.to_lowercase().contains("nats"), "{headers}");
}
