//! Between processes a consumer accepts only events that their publisher signed.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use nodkey_bus::{Bus, HandlerError, relay};
use nodkey_db::{Message, dead_letter};
use nodkey_kernel::{
    random::Random,
    service_key::{ServiceKey, ServiceName},
    time::Clock,
};
use nodkey_proto::{Event as _, registry::v1::DeviceRetired};
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use crate::world::{NOW, World};

const SIGNATURE: &str = "nodkey-signature";

/// The registry publishes, the binding service consumes, the notification service is compromised.
struct Services {
    registry: ServiceKey,
    binding: ServiceKey,
    notification: ServiceKey,
}

impl Services {
    fn new() -> Self {
        let key = |name| ServiceKey::generate(name, &Random::system());
        Self { registry: key(ServiceName::Registry), binding: key(ServiceName::Binding), notification: key(ServiceName::Notification) }
    }

    async fn bus(&self, world: &World, key: &ServiceKey, require_signatures: bool) -> Bus {
        world.signing(key, &[&self.registry, &self.binding, &self.notification], require_signatures).await
    }
}

/// Publishes the contents of the outbox as the service that owns the bus, and returns what went over the wire.
async fn published(world: &World, bus: &Bus) -> Message {
    let client = async_nats::connect(nodkey_testkit::nats_url()).await.unwrap();
    let mut wire = client.subscribe(format!("{}.evt.>", world.prefix)).await.unwrap();
    client.flush().await.unwrap();
    let stop = CancellationToken::new();
    let relaying = tokio::spawn(relay("registry", bus.clone(), world.db.clone(), Clock::system(), stop.clone()));
    let seen = wire.next().await.unwrap();
    stop.cancel();
    relaying.await.unwrap();
    let mut headers: BTreeMap<_, _> =
        seen.headers.iter().flat_map(async_nats::HeaderMap::iter).map(|(n, v)| (n.to_string(), v[0].to_string())).collect();
    Message {
        id: headers.remove("Nats-Msg-Id").unwrap().parse().unwrap(),
        subject: seen.subject.trim_start_matches(&format!("{}.", world.prefix)).to_owned(),
        payload: seen.payload,
        headers,
    }
}

fn another_id() -> uuid::Uuid {
    uuid::Builder::from_random_bytes(Random::system().bytes()).into_uuid()
}

#[tokio::test]
async fn whoever_holds_the_bus_makes_nobody_believe_an_event() {
    let (world, services) = (World::new(nodkey_testkit::nats_url()).await, Services::new());
    let (registry, thief) =
        (services.bus(&world, &services.registry, true).await, services.bus(&world, &services.notification, true).await);
    let attacker = world.bus.clone();
    let world = World { bus: services.bus(&world, &services.binding, true).await, ..world };
    let (mut seen, task) = world.start_at(Clock::manual(NOW), |_, _| None).await;
    let rp = world.relying_party();
    world.outbox(rp, "genuine").await;
    let genuine = published(&world, &registry).await;
    assert_eq!(seen.recv().await.unwrap(), "genuine");
    // An event that another service signs with its own key.
    world.outbox(rp, "thief").await;
    let stolen = published(&world, &thief).await;

    let payload = Bytes::from(DeviceRetired { device_id: "victim".into() }.encode_to_vec());
    let mut forgeries = vec![
        ("it is not signed", world.message(rp, "victim")),
        ("does not verify", Message { id: another_id(), payload, ..genuine.clone() }),
        ("does not verify", Message { id: another_id(), subject: format!("{}.{rp}.victim", DeviceRetired::SUBJECT), ..genuine.clone() }),
        // Once more, with an id that no inbox knows.
        ("does not verify", Message { id: another_id(), ..genuine.clone() }),
        ("cannot be read", {
            let mut message = world.message(rp, "victim");
            message.headers.insert(SIGNATURE.into(), "v0.x".into());
            message
        }),
    ];
    for (name, value) in [("ce-version", "4"), ("ce-time", "2030-01-01T00:00:00Z"), ("ce-new", "x")] {
        let mut message = Message { id: another_id(), ..genuine.clone() };
        message.headers.insert(name.into(), value.into());
        forgeries.push(("does not verify", message));
    }
    let kid = services.registry.kid();
    for (cause, key) in
        [("not known as that of registry", services.notification.kid()), ("not known as that of registry", "x"), ("does not verify", kid)]
    {
        let mut message = world.message(rp, "victim");
        message.headers.insert(SIGNATURE.into(), genuine.headers[SIGNATURE].replace(kid, key));
        forgeries.push((cause, message));
    }
    for (_, forgery) in &forgeries {
        attacker.publish(forgery).await.unwrap();
    }
    forgeries.push(("not known as that of registry", stolen));
    world.outbox(rp, "next").await;
    published(&world, &registry).await;
    assert_eq!(seen.recv().await.unwrap(), "next", "nothing is held up");
    world.stop(task).await;
    assert_eq!(world.effects().await, ["genuine", "next"]);

    let letters = dead_letter::list(&world.db, 100).await.unwrap();
    assert_eq!(letters.len(), forgeries.len(), "{letters:#?}");
    for (cause, forgery) in &forgeries {
        let found = letters.iter().find(|letter| letter.cause.starts_with("refused: ") && letter.cause.contains(&forgery.id.to_string()));
        assert!(found.is_some_and(|letter| letter.cause.contains(cause)), "{cause}: {letters:#?}");
    }
    let kept = world.db.query("SELECT payload FROM dead_letter").fetch_all().await.unwrap();
    assert!(kept.iter().all(|row| row.get::<Vec<u8>>("payload").unwrap().is_empty()), "nobody can send it again");
}

#[tokio::test]
async fn an_event_that_comes_again_once_inboxes_have_forgotten_it_is_refused() {
    let (world, services) = (World::new(nodkey_testkit::nats_url()).await, Services::new());
    let registry = services.bus(&world, &services.registry, true).await;
    let world = World { bus: services.bus(&world, &services.binding, true).await, ..world };
    let clock = Clock::manual(NOW + Duration::from_hours(8 * 24));
    let (mut seen, task) = world.start_at(clock.clone(), |_, _| None).await;
    let rp = world.relying_party();
    world.outbox(rp, "old").await;
    published(&world, &registry).await;
    // Replayed dead letters pass through the outbox with the current time.
    world.outbox_at(rp, "young", clock.now()).await;
    published(&world, &registry).await;
    assert_eq!(seen.recv().await.unwrap(), "young");
    world.stop(task).await;
    assert_eq!(world.effects().await, ["young"]);
    let letters = dead_letter::list(&world.db, 100).await.unwrap();
    assert!(letters.len() == 1 && letters[0].cause.contains("longer ago than consumers remember"), "{letters:#?}");
}

#[tokio::test]
async fn an_event_that_was_given_up_is_believed_when_it_is_sent_again() {
    let (world, services) = (World::new(nodkey_testkit::nats_url()).await, Services::new());
    let registry = services.bus(&world, &services.registry, true).await;
    let world = World { bus: services.bus(&world, &services.binding, true).await, ..world };
    let (mut seen, task) = world.start_at(Clock::manual(NOW), |n, _| (n == 0).then(|| HandlerError::Fatal("a rule".into()))).await;
    world.outbox(world.relying_party(), "d").await;
    published(&world, &registry).await;
    assert_eq!(seen.recv().await.unwrap(), "d");
    let letters = async || dead_letter::list(&world.db, 10).await.unwrap();
    while letters().await.is_empty() {
        tokio::task::yield_now().await;
    }
    // By hand, as before there was a command. A server without the stream has forgotten the id, as every server does after two minutes.
    let jetstream = async_nats::jetstream::new(async_nats::connect(nodkey_testkit::nats_url()).await.unwrap());
    jetstream.delete_stream(format!("{}_EVT_REGISTRY", world.prefix)).await.unwrap();
    let copy =
        "INSERT INTO outbox (id, subject, payload, headers, created_at) SELECT event_id, subject, payload, headers, at FROM dead_letter";
    world.db.execute(copy).execute().await.unwrap();
    published(&world, &registry).await;
    assert_eq!(seen.recv().await.unwrap(), "d");
    world.stop(task).await;
    assert_eq!(world.effects().await, ["d"]);
}

#[tokio::test]
async fn an_upgrades_backlog_is_taken_unsigned_and_nothing_that_comes_later() {
    let (world, services) = (World::new(nodkey_testkit::nats_url()).await, Services::new());
    let attacker = world.bus.clone();
    let rp = world.relying_party();
    // The previous release: a consumer that is away when the last events arrive.
    let before =
        World { shutdown: CancellationToken::new(), db: world.db.clone(), bus: world.bus.clone(), ..World::new("memory:".into()).await };
    let (mut seen, task) = before.start(|_, _| None).await;
    attacker.publish(&world.message(rp, "before")).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), "before");
    before.stop(task).await;
    attacker.publish(&world.message(rp, "backlog")).await.unwrap();

    let keyed = World { bus: services.bus(&world, &services.binding, true).await, shutdown: CancellationToken::new(), ..world };
    let now = Clock::system().now();
    let (mut seen, task) = keyed.start_at(Clock::manual(now), |_, _| None).await;
    assert_eq!(seen.recv().await.unwrap(), "backlog");
    // A publisher that restarts a little later than we do.
    attacker.publish(&keyed.message(rp, "rolling")).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), "rolling");
    keyed.stop(task).await;
    // The value recorded then applies for good.
    let row = keyed.db.execute("UPDATE unsigned_events SET stored_before = $1").bind(now).execute().await.unwrap();
    assert_eq!(row, 1);
    let later = World { shutdown: CancellationToken::new(), bus: services.bus(&keyed, &services.binding, true).await, ..keyed };
    let (mut seen, task) = later.start_at(Clock::manual(now + Duration::from_mins(1)), |_, _| None).await;
    attacker.publish(&later.message(rp, "forged")).await.unwrap();
    let registry = services.bus(&later, &services.registry, true).await;
    later.outbox_at(rp, "genuine", now).await;
    published(&later, &registry).await;
    assert_eq!(seen.recv().await.unwrap(), "genuine");
    later.stop(task).await;
    assert_eq!(later.effects().await, ["before", "backlog", "rolling", "genuine"]);
}

#[tokio::test]
async fn a_new_consumer_takes_nothing_unsigned_unless_it_is_told_to() {
    for required in [true, false] {
        let (world, services) = (World::new(nodkey_testkit::nats_url()).await, Services::new());
        let (attacker, registry) = (world.bus.clone(), services.bus(&world, &services.registry, true).await);
        let world = World { bus: services.bus(&world, &services.binding, required).await, ..world };
        let (mut seen, task) = world.start_at(Clock::manual(NOW), |_, _| None).await;
        let rp = world.relying_party();
        attacker.publish(&world.message(rp, "unsigned")).await.unwrap();
        // A signature that is present must be valid.
        let mut wrong = world.message(rp, "wrong");
        wrong.headers.insert(SIGNATURE.into(), "v1.0.x.x".into());
        attacker.publish(&wrong).await.unwrap();
        world.outbox(rp, "signed").await;
        published(&world, &registry).await;
        while seen.recv().await.unwrap() != "signed" {}
        world.stop(task).await;
        let expected: &[_] = if required { &["signed"] } else { &["unsigned", "signed"] };
        assert_eq!(world.effects().await, expected);
    }
}

#[tokio::test]
async fn a_flood_of_forgeries_fills_no_database_and_holds_up_nothing() {
    let (world, services) = (World::new(nodkey_testkit::nats_url()).await, Services::new());
    let (attacker, registry) = (world.bus.clone(), services.bus(&world, &services.registry, true).await);
    let world = World { bus: services.bus(&world, &services.binding, true).await, ..world };
    let (mut seen, task) = world.start_at(Clock::manual(NOW), |_, _| None).await;
    let rp = world.relying_party();
    for _ in 0..150 {
        attacker.publish(&world.message(rp, "d")).await.unwrap();
    }
    world.outbox(rp, "d").await;
    published(&world, &registry).await;
    assert_eq!(seen.recv().await.unwrap(), "d");
    world.stop(task).await;
    assert_eq!(world.effects().await, ["d"]);
    assert_eq!(dead_letter::list(&world.db, 1000).await.unwrap().len(), 100);
}
