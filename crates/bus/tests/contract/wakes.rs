//! Wakes: who gets them, and with what.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use nodkey_bus::{Bus, Listener, Woken};
use nodkey_kernel::{
    random::Random,
    service_key::{ServiceKey, ServiceName},
    time::Clock,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::world::{NOW, World};

const PAYLOAD: &[u8] = b"challenge";

fn with(payload: &'static [u8]) -> Woken {
    Woken::With(vec![Bytes::from_static(payload)])
}

/// A process that listens, and one that wakes it: on NATS another one.
async fn pair(world: &World) -> (Bus, Bus) {
    if matches!(world.bus, Bus::Memory(_)) {
        return (world.bus.clone(), world.bus.clone());
    }
    let [gateway, trusonafication] =
        [ServiceName::Gateway, ServiceName::Trusonafication].map(|name| ServiceKey::generate(name, &Random::system()));
    let keys = [&gateway, &trusonafication];
    (world.signing(&gateway, &keys, true).await, world.signing(&trusonafication, &keys, true).await)
}

/// What a wake gives to a listener. It is sent until it arrives: the server may not have the subscription yet.
async fn given<F: Future<Output = ()>>(listener: &mut Listener, wake: impl Fn() -> F) -> Woken {
    loop {
        wake().await;
        if let Ok(woken) = timeout(Duration::from_millis(50), listener.notified()).await {
            return woken;
        }
    }
}

pub(crate) async fn a_wake_reaches_who_listens_and_nobody_else(world: World) {
    let (here, there) = pair(&world).await;
    let (mut mine, mut others) = (here.listen("device.a"), here.listen("device.b"));
    assert_eq!(given(&mut mine, || there.wake("device.a")).await, Woken::Changed);
    assert!(others.notified().now_or_never().is_none());
    // Between two waits any number of wakes counts as one, and the next message of the same connection comes after them.
    there.wake("device.a").await;
    there.wake("device.a").await;
    there.wake("device.b").await;
    others.notified().await;
    mine.notified().await;
    assert!(mine.notified().now_or_never().is_none());
}

pub(crate) async fn a_payload_arrives_where_it_is_verified_and_everywhere_else_the_wake_alone(world: World) {
    let (here, there) = pair(&world).await;
    let [mut first, mut second] = [here.listen("device.a"), here.listen("device.a")];
    let wake = || there.wake_with("device.a", Bytes::from_static(PAYLOAD));
    assert_eq!(given(&mut first, wake).await, with(PAYLOAD));
    assert_eq!(second.notified().await, with(PAYLOAD));
    // Who wakes itself needs no signature.
    let mut own = there.listen("device.own");
    there.wake_with("device.own", Bytes::from_static(PAYLOAD)).await;
    assert_eq!(own.notified().now_or_never(), Some(with(PAYLOAD)));
}

pub(crate) async fn a_payload_that_is_too_large_is_a_wake_alone(world: World) {
    let (here, there) = pair(&world).await;
    let mut listener = here.listen("device.a");
    let large = || there.wake_with("device.a", vec![b'a'; 4097].into());
    assert_eq!(given(&mut listener, large).await, Woken::Changed);
    let largest = Bytes::from(vec![b'a'; 4096]);
    there.wake_with("device.a", largest.clone()).await;
    assert_eq!(listener.notified().await, Woken::With(vec![largest]));
}

pub(crate) async fn the_wakes_of_a_relying_party_reach_who_looks_at_it(world: World) {
    let (here, there) = pair(&world).await;
    for _ in 0..2 {
        let [mut one, mut other] = [here.listen("trusonafications.p"), here.listen("trusonafications.p")];
        given(&mut one, || there.wake("trusonafications.p")).await;
        other.notified().await;
        drop(one);
        // The second stays subscribed when the first leaves.
        there.wake("trusonafications.p").await;
        other.notified().await;
    }
}

pub(crate) async fn what_is_only_of_this_process_wakes_this_process(world: World) {
    let (here, there) = pair(&world).await;
    let (mut shown, mut device) = (here.listen("shown.t"), here.listen("device.a"));
    let same = matches!(world.bus, Bus::Memory(_));
    there.wake("shown.t").await;
    given(&mut device, || there.wake("device.a")).await;
    assert_eq!(shown.notified().now_or_never().is_some(), same);
    here.wake("shown.t").await;
    assert_eq!(shown.notified().now_or_never(), Some(Woken::Changed));
}

/// The topics that this test's deployment is subscribed to, as the server lists them.
async fn subscriptions(world: &World) -> Vec<String> {
    let address = nodkey_testkit::nats_monitor_url();
    let mut connection = tokio::net::TcpStream::connect(address.trim_start_matches("http://")).await.unwrap();
    connection.write_all(b"GET /subsz?subs=1&limit=100000 HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    let prefix = format!("{}.wake.", world.prefix);
    let subjects = answer.lines().filter_map(|line| line.trim().strip_prefix("\"subject\": \"")?.split('"').next());
    let mut found: Vec<_> =
        subjects.filter_map(|subject| subject.strip_prefix(&prefix)).map(|topics| topics.replace(r"\u003e", ">")).collect();
    found.sort();
    found
}

async fn subscribed(world: &World, expected: &[&str]) {
    while subscriptions(world).await != expected {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_process_subscribes_to_the_kinds_it_listened_to_and_the_relying_parties_it_listens_to() {
    let world = World::new(nodkey_testkit::nats_url()).await;
    assert!(subscriptions(&world).await.is_empty());
    let local = [world.bus.listen("shown.t"), world.bus.listen("deliveries.p")];
    let mut listeners = vec![world.bus.listen("device.a")];
    subscribed(&world, &["device.>"]).await;
    listeners.extend(["device.b", "trusonafications.p", "trusonafications.p", "trusonafications.q"].map(|topic| world.bus.listen(topic)));
    subscribed(&world, &["device.>", "trusonafications.p", "trusonafications.q"]).await;
    listeners.remove(2);
    listeners.pop();
    subscribed(&world, &["device.>", "trusonafications.p"]).await;
    drop((listeners, local));
    // The next phone is probably on its way.
    subscribed(&world, &["device.>"]).await;
}

#[tokio::test]
async fn what_nobody_elsewhere_may_listen_to_is_not_published() {
    let world = World::new(nodkey_testkit::nats_url()).await;
    let client = async_nats::connect(nodkey_testkit::nats_url()).await.unwrap();
    let mut wire = client.subscribe(format!("{}.wake.>", world.prefix)).await.unwrap();
    client.flush().await.unwrap();
    loop {
        for topic in ["shown.t", "deliveries.p", "unknown", "device.a"] {
            world.bus.wake(topic).await;
        }
        if let Ok(Some(first)) = timeout(Duration::from_millis(50), wire.next()).await {
            assert_eq!(first.subject.as_str(), format!("{}.wake.device.a", world.prefix));
            break;
        }
    }
}

/// What goes over the wire when `bus` wakes `device.a` with [`PAYLOAD`].
async fn captured(world: &World, bus: &Bus) -> async_nats::Message {
    let client = async_nats::connect(nodkey_testkit::nats_url()).await.unwrap();
    let mut wire = client.subscribe(format!("{}.wake.>", world.prefix)).await.unwrap();
    loop {
        bus.wake_with("device.a", Bytes::from_static(PAYLOAD)).await;
        if let Ok(Some(message)) = timeout(Duration::from_millis(50), wire.next()).await {
            return message;
        }
    }
}

#[tokio::test]
async fn whoever_holds_the_bus_makes_nobody_believe_a_payload() {
    let world = World { clock: Clock::manual(NOW), ..World::new(nodkey_testkit::nats_url()).await };
    let [gateway, trusonafication, thief] = [ServiceName::Gateway, ServiceName::Trusonafication, ServiceName::Notification]
        .map(|name| ServiceKey::generate(name, &Random::system()));
    let keys = [&gateway, &trusonafication, &thief];
    let here = world.signing(&gateway, &keys, true).await;
    let there = world.signing(&trusonafication, &keys, true).await;
    let genuine = captured(&world, &there).await;
    let (attacker, prefix) = (async_nats::connect(nodkey_testkit::nats_url()).await.unwrap(), &world.prefix);
    let [mut mine, mut others] = [here.listen("device.a"), here.listen("device.b")];
    let send = |topic: &str, headers: Option<async_nats::HeaderMap>, payload: &'static [u8]| {
        let (attacker, subject) = (attacker.clone(), format!("{prefix}.wake.{topic}"));
        async move { attacker.publish_with_headers(subject, headers.unwrap_or_default(), payload.into()).await.unwrap() }
    };
    assert_eq!(given(&mut mine, || send("device.a", genuine.headers.clone(), PAYLOAD)).await, with(PAYLOAD), "just repeated");
    let forged = async_nats::HeaderMap::from_iter([("nodkey-signature".parse().unwrap(), "v1.0.x.x".parse().unwrap())]);
    for (headers, payload) in [(None, PAYLOAD), (genuine.headers.clone(), b"another".as_slice()), (Some(forged), PAYLOAD)] {
        send("device.a", headers, payload).await;
        assert_eq!(mine.notified().await, Woken::Changed);
    }
    send("device.b", genuine.headers.clone(), PAYLOAD).await;
    assert_eq!(others.notified().await, Woken::Changed, "signed for another topic");
    let stolen = world.signing(&thief, &keys, true).await;
    stolen.wake_with("device.a", Bytes::from_static(PAYLOAD)).await;
    assert_eq!(mine.notified().await, Woken::Changed, "signed by another service");
    let unsigned = &world.bus;
    unsigned.wake_with("device.a", Bytes::from_static(PAYLOAD)).await;
    assert_eq!(mine.notified().await, Woken::Changed, "signed by nobody");
    for (seconds, expected) in [(59, with(PAYLOAD)), (61, Woken::Changed)] {
        let later = World { clock: Clock::manual(NOW + Duration::from_secs(seconds)), ..World::new("memory:".into()).await };
        let later = World { prefix: world.prefix.clone(), ..later }.signing(&gateway, &keys, true).await;
        let mut listener = later.listen("device.a");
        assert_eq!(given(&mut listener, || send("device.a", genuine.headers.clone(), PAYLOAD)).await, expected, "after {seconds} s");
    }
}
