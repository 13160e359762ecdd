//! What an attacker can do who controls the bus, or has a service's key: publish, without any effect.

use nodkey_bus::{Bus, BusConfig, Identity, relay};
use nodkey_db::{
    Db, DbConfig, Migrations,
    outbox::{self, EventContext},
};
use nodkey_kernel::{
    id::RelyingPartyId,
    service_key::{ServiceKey, ServiceName},
    time::Clock,
};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::{
    notification::v1::{CreateEndpointRequest, endpoint_service_client::EndpointServiceClient},
    trusonafication::v1::{Result as Answer, Status, Trusonafication, TrusonaficationAccepted},
};
use nodkey_testkit::TestDatabase;
use tokio_util::sync::CancellationToken;

use crate::{
    processes::{Plan, Topology},
    receiver::receiver,
    world::{asked, eventually},
    writes::log_in,
};

/// Publishes an event as a service does, optionally with another service's key.
async fn publish(topology: &Topology, key: Option<&ServiceKey>, event: &TrusonaficationAccepted, party: RelyingPartyId) {
    let database = TestDatabase::sqlite();
    let db = Db::connect(&DbConfig::new(database.url())).await.unwrap();
    db.migrate(&Migrations { postgres: &[], sqlite: &[] }).await.unwrap();
    let clock = Clock::system();
    let mut tx = db.begin().await.unwrap();
    let context = EventContext { now: clock.now(), version: 2, relying_party: party };
    outbox::add(&mut tx, event, &context).await.unwrap();
    tx.commit().await.unwrap();
    let config = BusConfig { url: topology.plan.nats.clone(), prefix: topology.plan.prefix.clone(), ..BusConfig::default() };
    let keys = topology.plan.keys.of_services().iter().collect();
    let identity = key.map(|key| Identity { key: key.clone(), keys: std::sync::Arc::new(keys), clock: clock.clone() });
    let bus = Bus::connect_as(&config, identity).await.unwrap();
    let stop = CancellationToken::new();
    let relaying = tokio::spawn(relay("trusonafication", bus, db.clone(), clock, stop.clone()));
    eventually("the forged event is published", async || (outbox::depth(&db).await.unwrap().0 == 0).then_some(())).await;
    stop.cancel();
    relaying.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_the_bus_nor_any_service_key_makes_a_webhook_of_an_accept_that_was_none() {
    let topology = Plan::new().run().await;
    let tenant = topology.world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut told = receiver(Vec::new()).await;
    let mut endpoints = EndpointServiceClient::new(tenant.backend.channel(nodkey_client::ServiceName::Notification));
    let request = CreateEndpointRequest { url: told.url.clone(), ..CreateEndpointRequest::default() };
    endpoints.create_endpoint(request).await.unwrap();
    // A genuine result, with a receipt that the attacker uses for another.
    let rejected = tenant.backend.create_trusonafication(log_in("ada")).await.unwrap().trusonafication.id;
    phone.respond(&asked(&phone).await, Decision::Reject, None).await.unwrap();
    let first = told.next().await;
    assert_eq!(first.body["data"]["id"], rejected.as_str());
    let receipt = first.body["receipt"].as_str().unwrap().to_owned();

    let asked_for = tenant.backend.create_trusonafication(log_in("ada").callback_url(&told.url)).await.unwrap().trusonafication;
    let about = Trusonafication {
        status: Status::Accepted.into(),
        resource: "1,000,000 EUR".into(),
        result: Some(Answer { accepted: true, accepted_level: 2, bound_user_identifier: "ada".into(), ..Answer::default() }),
        version: 2,
        ..asked_for.clone()
    };
    let of = |name| topology.plan.keys.of_services().into_iter().find(|key| key.name() == name);
    let thieves = [
        None,
        of(ServiceName::Gateway),
        of(ServiceName::Registry),
        of(ServiceName::Binding),
        of(ServiceName::Notification),
        // Its service key proves who publishes, and not the result of a trusonafication.
        of(ServiceName::Trusonafication),
    ];
    let mut forged = 0;
    for thief in &thieves {
        for receipt in ["", receipt.as_str(), "e30.e30.AAAA"] {
            let event = TrusonaficationAccepted { trusonafication: Some(about.clone()), receipt: receipt.to_owned(), ..Default::default() };
            publish(&topology, thief.as_ref(), &event, tenant.id.parse().unwrap()).await;
            forged += 1;
        }
    }
    let database = format!("{}/{}", topology.plan.postgres.rsplit_once('/').unwrap().0, topology.plan.database("notification"));
    let dead = "SELECT COUNT(*) FROM dead_letter WHERE consumer = 'notification_accepted'";
    eventually("every forgery is a dead letter", async || (nodkey_testkit::number(&database, dead).await == forged).then_some(())).await;
    assert_eq!(nodkey_testkit::number(&database, "SELECT COUNT(*) FROM delivery").await, 1, "nothing is to be sent but the rejection");

    // A real accept is believed.
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    for _ in 0..2 {
        let genuine = told.next().await;
        assert!(genuine.text.contains(&asked_for.id) && !genuine.text.contains("1,000,000"), "{}", genuine.text);
    }
}
