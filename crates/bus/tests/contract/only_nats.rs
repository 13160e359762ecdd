//! Behavior of NATS only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use nodkey_bus::{Bus, BusConfig, Consumer, HandlerError, consume, relay};
use nodkey_kernel::time::Clock;
use nodkey_proto::registry::v1::DeviceRetired;
use nodkey_testkit::TestDatabase;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::world::World;

/// The server gives an event to another consumer once the acknowledgement wait, one second here, is over.
#[tokio::test]
async fn an_event_that_is_tried_again_for_longer_than_the_wait_goes_to_no_other() {
    let world = World::new(nodkey_testkit::nats_url()).await;
    let (tries, mut seen) = mpsc::channel(1000);
    let count = Arc::new(AtomicU32::new(0));
    let consumer = Consumer::new("test_device_retired", move |_, event: DeviceRetired, _| {
        let (tries, n) = (tries.clone(), count.fetch_add(1, Ordering::SeqCst));
        Box::pin(async move {
            tries.send(event.device_id).await.unwrap();
            // One long pause: the second attempt is made after the wait is over.
            if n == 0 { Err(HandlerError::Retry("away".into())) } else { Ok(()) }
        })
    })
    .backoff(Duration::from_secs(3));
    let first = consume(&world.bus, world.db.clone(), Clock::system(), consumer, world.shutdown.clone()).await.unwrap();
    let first = tokio::spawn(first);
    world.bus.publish(&world.message(world.relying_party(), "d")).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), "d");
    let (mut stolen, second) = world.start(|_, _| None).await;
    assert_eq!(seen.recv().await.unwrap(), "d", "tried again where it failed");
    assert!(stolen.try_recv().is_err());
    world.shutdown.cancel();
    first.await.unwrap();
    second.await.unwrap();
}

#[tokio::test]
async fn of_two_replicas_one_relays_and_the_other_takes_over() {
    let world = World::on(TestDatabase::postgres().await, nodkey_testkit::nats_url()).await;
    let (mut seen, task) = world.start(|_, _| None).await;
    let rp = world.relying_party();
    let start = || {
        let stop = CancellationToken::new();
        let running = relay("registry", world.bus.clone(), world.db.clone(), Clock::system(), stop.clone());
        (tokio::spawn(running), stop)
    };
    let leases = async || {
        let rows = world.db.query("SELECT holder FROM lease WHERE name = 'relay'").fetch_all().await.unwrap();
        rows.iter().map(|row| row.get::<uuid::Uuid>("holder").unwrap()).collect::<Vec<_>>()
    };
    let (first, stop_first) = start();
    world.outbox(rp, "a").await;
    assert_eq!(seen.recv().await.unwrap(), "a");
    let before = leases().await;
    let (second, stop_second) = start();
    world.outbox(rp, "b").await;
    assert_eq!(seen.recv().await.unwrap(), "b");
    assert_eq!(leases().await, before, "the first still has it");
    stop_first.cancel();
    first.await.unwrap();
    assert!(leases().await.is_empty(), "it is not left to run out");
    world.outbox(rp, "c").await;
    assert_eq!(seen.recv().await.unwrap(), "c");
    assert_ne!(leases().await, before);
    stop_second.cancel();
    second.await.unwrap();
    world.stop(task).await;
}

#[tokio::test]
async fn streams_that_are_gone_are_made_again() {
    let world = World::new(nodkey_testkit::nats_url()).await;
    let (mut seen, task) = world.start(|_, _| None).await;
    let rp = world.relying_party();
    world.bus.publish(&world.message(rp, "before")).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), "before");
    let jetstream = async_nats::jetstream::new(async_nats::connect(nodkey_testkit::nats_url()).await.unwrap());
    jetstream.delete_stream(format!("{}_EVT_REGISTRY", world.prefix)).await.unwrap();
    world.bus.publish(&world.message(rp, "after")).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), "after");
    world.stop(task).await;
}

#[tokio::test]
async fn a_stream_that_a_newer_build_made_is_left_alone_and_an_older_one_is_changed() {
    let world = World::new(nodkey_testkit::nats_url()).await;
    let jetstream = async_nats::jetstream::new(async_nats::connect(nodkey_testkit::nats_url()).await.unwrap());
    let name = format!("{}_EVT_REGISTRY", world.prefix);
    let config = async || jetstream.get_stream(&name).await.unwrap().cached_info().config.clone();
    let ours = config().await;
    for (version, is_kept) in [(Some("3"), true), (Some("2"), false), (Some("1"), false), (None, false)] {
        let mut other = async_nats::jetstream::stream::Config { max_age: Duration::from_hours(1), ..ours.clone() };
        other.metadata.remove("nodkey_settings");
        other.metadata.extend(version.map(|version| ("nodkey_settings".to_owned(), version.to_owned())));
        jetstream.update_stream(&other).await.unwrap();
        for _ in 0..2 {
            world.bus.ensure_stream("registry").await.unwrap();
            let expected = if is_kept { other.max_age } else { ours.max_age };
            assert_eq!(config().await.max_age, expected, "{version:?}");
        }
        assert_eq!(config().await.metadata.get("nodkey_settings").unwrap(), version.filter(|_| is_kept).unwrap_or("2"));
    }
}

#[tokio::test]
async fn events_without_a_valid_id_each_have_their_effect_once() {
    let world = World::new(nodkey_testkit::nats_url()).await;
    // The first delivery of each fails.
    let (mut seen, task) = world.start(|n, _| (n < 3).then(|| HandlerError::Retry("away".into()))).await;
    let client = async_nats::connect(nodkey_testkit::nats_url()).await.unwrap();
    let rp = world.relying_party();
    for (device, id) in [("a", None), ("b", Some("no id")), ("c", Some("00000000-0000-0000-0000-000000000000")), ("a", None)] {
        let message = world.message(rp, device);
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("ce-version", "3");
        if let Some(id) = id {
            headers.insert("Nats-Msg-Id", id);
        }
        let subject = format!("{}.{}", world.prefix, message.subject);
        client.publish_with_headers(subject, headers, message.payload).await.unwrap();
    }
    client.flush().await.unwrap();
    while world.effects().await.len() < 4 {
        while seen.try_recv().is_ok() {}
    }
    world.stop(task).await;
    let mut effects = world.effects().await;
    effects.sort();
    assert_eq!(effects, ["a", "a", "b", "c"]);
}

#[tokio::test]
async fn while_the_bus_is_away_consumers_and_relay_start_and_wait() {
    // A port that nobody listens on yet.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let world = World::new("memory:".into()).await;
    let config = BusConfig { url: format!("nats://{address}"), prefix: nodkey_testkit::unique_prefix(), ..BusConfig::default() };
    let bus = Bus::connect(&config).await.unwrap();
    assert!(!bus.is_connected());
    bus.wake("device.d").await;
    let rp = world.relying_party();
    assert!(bus.publish(&world.message(rp, "d")).await.is_err());
    let world = World { bus, ..world };
    let (mut seen, task) = world.start(|_, _| None).await;
    world.outbox(rp, "d").await;
    let relaying = tokio::spawn(relay("registry", world.bus.clone(), world.db.clone(), Clock::system(), world.shutdown.clone()));
    let server: std::net::SocketAddr = nodkey_testkit::nats_url().trim_start_matches("nats://").parse().unwrap();
    let forward = tokio::spawn(async move {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut far = tokio::net::TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    assert_eq!(seen.recv().await.unwrap(), "d");
    world.shutdown.cancel();
    task.await.unwrap();
    relaying.await.unwrap();
    forward.abort();
}
