//! What the services' users may do at a real server: everything they have to, and nothing to others' events.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _};
use nodkey_bus::{Bus, BusConfig, CONSUMERS, Consumer, User, authorization, consume, relay};
use nodkey_db::{
    Db, DbConfig,
    outbox::{self, EventContext},
};
use nodkey_kernel::{id::RelyingPartyId, random::Random, service_key::ServiceName, time::Clock};
use nodkey_proto::{Event, binding::v1 as binding, registry::v1 as registry, trusonafication::v1 as trusonafication};
use nodkey_testkit::{TestDatabase, TestNats};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::world::NOW;

const PREFIX: &str = "acme";
const PASSWORD: &str = "a password of this test";

/// A server with a user for each service.
struct Server(TestNats);

impl Server {
    fn start() -> Self {
        let names: Vec<_> = ServiceName::ALL.iter().map(|service| (Some(*service), service.as_str())).chain([(None, "admin")]).collect();
        let users: Vec<_> = names.iter().map(|(service, name)| User { service: *service, name, password: PASSWORD }).collect();
        Self(TestNats::start_with(&authorization(PREFIX, &users)))
    }

    async fn bus(&self, service: ServiceName) -> Bus {
        let config = BusConfig {
            url: self.0.url(),
            user: service.as_str().into(),
            password: PASSWORD.into(),
            prefix: PREFIX.into(),
            ack_wait_seconds: 1,
            ..BusConfig::default()
        };
        let bus = Bus::connect(&config).await.unwrap();
        assert!(bus.is_connected(), "{service} may connect");
        bus
    }

    /// Anyone who has a user's password, with their own tools.
    async fn client(&self, user: &str) -> async_nats::Client {
        let options = async_nats::ConnectOptions::with_user_and_password(user.into(), PASSWORD.into());
        options.custom_inbox_prefix(format!("_INBOX.{user}")).connect(self.0.url()).await.unwrap()
    }

    /// Everything that is stored, and its consumers.
    async fn state(&self) -> Vec<String> {
        let jetstream = async_nats::jetstream::new(self.client("admin").await);
        let mut state = Vec::new();
        let mut streams = jetstream.streams();
        while let Some(stream) = streams.next().await {
            let mut stream = stream.unwrap();
            // A map, whose order differs from one call to the next.
            stream.config.metadata.clear();
            state.push(format!("{:?} {} {}", stream.config, stream.state.messages, stream.state.last_sequence));
            let stream = jetstream.get_stream(stream.config.name).await.unwrap();
            let mut consumers = stream.consumers();
            while let Some(consumer) = consumers.next().await {
                let consumer = consumer.unwrap();
                let read = (consumer.delivered.consumer_sequence, consumer.ack_floor.consumer_sequence, consumer.num_pending);
                state.push(format!("{} {:?} {read:?}", consumer.name, consumer.config));
            }
        }
        state.sort();
        state
    }
}

async fn database() -> (Db, TestDatabase) {
    let database = TestDatabase::sqlite();
    let db = Db::connect(&DbConfig::new(database.url())).await.unwrap();
    db.migrate(&nodkey_db::Migrations { postgres: &[], sqlite: &[] }).await.unwrap();
    (db, database)
}

/// Publishes an event as the service that owns it.
async fn publish<E: Event>(server: &Server, service: ServiceName, event: E) {
    let (db, _database) = database().await;
    let random = Random::system();
    let mut tx = db.begin().await.unwrap();
    let relying_party = RelyingPartyId::generate(NOW, &random);
    let context = EventContext { now: NOW, version: 1, relying_party };
    outbox::add(&mut tx, &event, &context).await.unwrap();
    tx.commit().await.unwrap();
    let stop = CancellationToken::new();
    let relaying = tokio::spawn(relay(service.as_str(), server.bus(service).await, db.clone(), Clock::system(), stop.clone()));
    while outbox::depth(&db).await.unwrap().0 > 0 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    relaying.await.unwrap();
}

/// Starts a consumer that reports each event.
async fn start<E: Event + 'static>(
    server: &Server,
    name: &'static str,
    told: &mpsc::Sender<&'static str>,
    stop: &CancellationToken,
) -> TestDatabase {
    let told = told.clone();
    let consumer = Consumer::new(name, move |_, _: E, _| {
        let told = told.clone();
        Box::pin(async move {
            told.send(name).await.unwrap();
            Ok(())
        })
    });
    let service = ServiceName::try_from(name.split('_').next().unwrap()).unwrap();
    let (db, database) = database().await;
    let run = consume(&server.bus(service).await, db, Clock::system(), consumer, stop.clone()).await.unwrap();
    tokio::spawn(run);
    database
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_services_user_can_do_what_the_service_does() {
    let (server, stop) = (Server::start(), CancellationToken::new());
    for service in ServiceName::ALL {
        if *service != ServiceName::Gateway {
            server.bus(*service).await.ensure_stream(service.as_str()).await.unwrap();
        }
    }
    let (told, mut telling) = mpsc::channel(100);
    let databases = [
        start::<binding::UserDeactivated>(&server, "registry_user_deactivated", &told, &stop).await,
        start::<binding::DeviceReplaced>(&server, "registry_device_replaced", &told, &stop).await,
        start::<registry::DeviceRetired>(&server, "binding_device_retired", &told, &stop).await,
        start::<registry::DeviceRetired>(&server, "trusonafication_device_retired", &told, &stop).await,
        start::<binding::BindingDeactivated>(&server, "trusonafication_binding_deactivated", &told, &stop).await,
        start::<binding::UserDeactivated>(&server, "trusonafication_user_deactivated", &told, &stop).await,
        start::<binding::UserFrozen>(&server, "trusonafication_user_frozen", &told, &stop).await,
        start::<trusonafication::TrusonaficationCreated>(&server, "notification_created", &told, &stop).await,
        start::<trusonafication::TrusonaficationAccepted>(&server, "notification_accepted", &told, &stop).await,
        start::<trusonafication::TrusonaficationRejected>(&server, "notification_rejected", &told, &stop).await,
        start::<trusonafication::TrusonaficationExpired>(&server, "notification_expired", &told, &stop).await,
        start::<trusonafication::TrusonaficationCanceled>(&server, "notification_canceled", &told, &stop).await,
        start::<registry::RelyingPartyDisabled>(&server, "notification_relying_party_disabled", &told, &stop).await,
        start::<registry::DeviceRegistered>(&server, "notification_device_registered", &told, &stop).await,
        start::<registry::DeviceUpdated>(&server, "notification_device_updated", &told, &stop).await,
        start::<registry::DeviceRetired>(&server, "notification_device_retired", &told, &stop).await,
        start::<binding::BindingActivated>(&server, "notification_binding_activated", &told, &stop).await,
        start::<binding::DeviceReplaced>(&server, "notification_device_replaced", &told, &stop).await,
        start::<binding::UserFrozen>(&server, "notification_user_frozen", &told, &stop).await,
        start::<registry::IdentityDocumentRegistered>(&server, "notification_document_registered", &told, &stop).await,
    ];
    assert_eq!(databases.len(), CONSUMERS.len());
    let device_id = || "d".to_owned();
    let of = ServiceName::Registry;
    publish(&server, of, registry::DeviceRegistered { device_id: device_id(), ..Default::default() }).await;
    publish(&server, of, registry::DeviceUpdated { device_id: device_id(), ..Default::default() }).await;
    publish(&server, of, registry::DeviceRetired { device_id: device_id() }).await;
    publish(&server, of, registry::RelyingPartyDisabled { relying_party_id: "r".into() }).await;
    publish(&server, of, registry::IdentityDocumentRegistered { identity_document_id: "i".into(), ..Default::default() }).await;
    publish(&server, ServiceName::Binding, binding::BindingActivated { binding_id: "b".into(), ..Default::default() }).await;
    publish(&server, ServiceName::Binding, binding::DeviceReplaced { old_device_identifier: device_id(), ..Default::default() }).await;
    publish(&server, ServiceName::Binding, binding::UserFrozen::default()).await;
    publish(&server, ServiceName::Binding, binding::BindingDeactivated { binding_id: "b".into(), ..Default::default() }).await;
    publish(&server, ServiceName::Binding, binding::UserDeactivated::default()).await;
    let of = ServiceName::Trusonafication;
    let about = || Some(trusonafication::Trusonafication { id: "t".into(), ..Default::default() });
    publish(&server, of, trusonafication::TrusonaficationCreated { trusonafication: about(), ..Default::default() }).await;
    publish(&server, of, trusonafication::TrusonaficationAccepted { trusonafication: about(), ..Default::default() }).await;
    publish(&server, of, trusonafication::TrusonaficationRejected { trusonafication: about(), ..Default::default() }).await;
    publish(&server, of, trusonafication::TrusonaficationExpired { trusonafication: about(), ..Default::default() }).await;
    publish(&server, of, trusonafication::TrusonaficationCanceled { trusonafication: about(), ..Default::default() }).await;
    let mut seen: Vec<_> = Vec::new();
    while seen.len() < CONSUMERS.len() {
        seen.push(telling.recv().await.unwrap());
    }
    seen.sort_unstable();
    let mut all: Vec<_> = CONSUMERS.iter().map(|(name, _)| *name).collect();
    all.sort_unstable();
    assert_eq!(seen, all);
    // Hints reach their listeners.
    let (waiting, hinting) = (server.bus(ServiceName::Gateway).await, server.bus(ServiceName::Trusonafication).await);
    let mut listener = waiting.listen("device.d");
    // The subscription may not be active yet; a hint may be lost.
    while tokio::time::timeout(Duration::from_millis(50), listener.notified()).await.is_err() {
        hinting.wake("device.d").await;
    }
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_services_user_can_publish_read_or_delete_what_is_anothers() {
    let server = Server::start();
    for service in [ServiceName::Registry, ServiceName::Binding, ServiceName::Trusonafication, ServiceName::Notification] {
        server.bus(service).await.ensure_stream(service.as_str()).await.unwrap();
    }
    let stop = CancellationToken::new();
    let (told, _telling) = mpsc::channel(100);
    let _database = start::<trusonafication::TrusonaficationAccepted>(&server, "notification_accepted", &told, &stop).await;
    stop.cancel();
    // No consumer has read it yet.
    publish(&server, ServiceName::Registry, registry::DeviceRetired { device_id: "d".into() }).await;
    let about = Some(trusonafication::Trusonafication { id: "t".into(), ..Default::default() });
    publish(
        &server,
        ServiceName::Trusonafication,
        trusonafication::TrusonaficationRejected { trusonafication: about, ..Default::default() },
    )
    .await;
    let before = server.state().await;

    let consumer = |name: &str, filter: &str| {
        format!(
            r#"{{"stream_name":"acme_EVT_TRUSONAFICATION","config":{{"durable_name":"{name}","filter_subject":"{filter}","ack_policy":"explicit"}}}}"#
        )
    };
    let all = "acme.evt.trusonafication.>";
    for user in ["registry", "binding", "trusonafication", "notification", "gateway"] {
        let client = server.client(user).await;
        let mut heard = Vec::new();
        for subject in ["acme.evt.>", "_INBOX.>", "_INBOX.notification.>", "$JS.>", ">"] {
            if subject != format!("_INBOX.{user}.>") {
                heard.push(client.subscribe(subject).await.unwrap());
            }
        }
        let mut forbidden: Vec<(String, String)> = Vec::new();
        for other in ["registry", "binding", "trusonafication", "notification"] {
            let stream = format!("acme_EVT_{}", other.to_uppercase());
            if other != user {
                forbidden.push((format!("acme.evt.{other}.v1.accepted.p.k"), "forged".into()));
                let config = format!(r#"{{"name":"{stream}","subjects":["acme.evt.{other}.>"],"max_msgs":1}}"#);
                forbidden.push((format!("$JS.API.STREAM.CREATE.{stream}"), config));
            }
            let config = format!(r#"{{"name":"{stream}","subjects":["acme.evt.{other}.>"],"max_msgs":1}}"#);
            forbidden.push((format!("$JS.API.STREAM.UPDATE.{stream}"), config));
            forbidden.push((format!("$JS.API.STREAM.DELETE.{stream}"), String::new()));
            forbidden.push((format!("$JS.API.STREAM.PURGE.{stream}"), String::new()));
            forbidden.push((format!("$JS.API.STREAM.MSG.DELETE.{stream}"), r#"{"seq":1}"#.into()));
            forbidden.push((format!("$JS.API.STREAM.MSG.GET.{stream}"), r#"{"seq":1}"#.into()));
            forbidden.push((format!("$JS.API.DIRECT.GET.{stream}"), r#"{"seq":1}"#.into()));
        }
        let stream = "acme_EVT_TRUSONAFICATION";
        forbidden.push((format!("$JS.API.CONSUMER.CREATE.{stream}.spy.{all}"), consumer("spy", all)));
        forbidden.push((
            format!("$JS.API.CONSUMER.CREATE.{stream}.acme_notification_accepted.{all}"),
            consumer("acme_notification_accepted", all),
        ));
        forbidden.push((format!("$JS.API.CONSUMER.CREATE.{stream}"), consumer("spy", all)));
        forbidden.push((format!("$JS.API.CONSUMER.DURABLE.CREATE.{stream}.spy"), consumer("spy", all)));
        forbidden.push((format!("$JS.API.CONSUMER.DELETE.{stream}.acme_notification_accepted"), String::new()));
        if user != "notification" {
            forbidden.push((format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.acme_notification_accepted"), r#"{"batch":1}"#.into()));
            forbidden.push((format!("$JS.ACK.{stream}.acme_notification_accepted.1.1.1.1.0"), "+TERM".into()));
        }
        for (subject, payload) in forbidden {
            client.publish_with_reply(subject, client.new_inbox(), payload.into()).await.unwrap();
        }
        client.flush().await.unwrap();
        publish(&server, ServiceName::Registry, registry::DeviceRetired { device_id: "d".into() }).await;
        client.flush().await.unwrap();
        for subscription in &mut heard {
            assert!(subscription.next().now_or_never().flatten().is_none(), "{user} hears nothing");
        }
    }
    let after = server.state().await;
    let registry = |state: &[String]| state.iter().filter(|line| !line.contains("acme.evt.registry")).cloned().collect::<Vec<_>>();
    assert_eq!(registry(&after), registry(&before), "nothing has changed but for what the registry published");
    let published = |state: &[String]| state.iter().find(|line| line.contains("acme.evt.registry")).unwrap().ends_with(" 6 6");
    assert!(published(&after), "{after:#?}");
}

#[tokio::test]
async fn whoever_is_no_user_may_do_nothing() {
    let server = Server::start();
    let config = BusConfig { url: server.0.url(), prefix: PREFIX.into(), ..BusConfig::default() };
    let refused = async_nats::ConnectOptions::new().connect(server.0.url()).await;
    assert!(refused.is_err());
    let bus = Arc::new(Bus::connect(&config).await.unwrap());
    assert!(!bus.is_connected());
}
