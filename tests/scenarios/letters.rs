//! Dead letters in operators' hands, and events that are published again: whatever is replayed, and how often, has its effect once.

use std::process::Output;

use nodkey_client::{AuthenticatedChannel, Endpoints, ServiceName};
use nodkey_db::{Db, DbConfig, Message, dead_letter};
use nodkey_kernel::{id::RelyingPartyId, random::Random, time::Clock};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::{
    Event,
    convert::timestamp,
    notification::v1::{CreateEndpointRequest, endpoint_service_client::EndpointServiceClient},
    registry::v1::{DeviceRetired, ListAuditEntriesRequest, Role, audit_service_client::AuditServiceClient},
    status::v1::{
        DeadLetterName, DropDeadLettersRequest, GetDeadLetterRequest, ListDeadLettersRequest, ReplayDeadLettersRequest, ReplayOutcome,
        dead_letter_service_client::DeadLetterServiceClient,
    },
    trusonafication::v1::{ReplayEndsRequest, replay_service_client::ReplayServiceClient},
};
use nodkey_testkit::{TestNats, TestPostgres};
use prost::Message as _;
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use super::drill::command;
use crate::{
    operators::{enrolled, sign_in},
    processes::{Plan, Topology},
    receiver::receiver,
    world::{SoftPhone, Tenant, World, asked, eventually},
    writes::log_in,
};

const CONSUMER: &str = "binding_device_retired";

/// A dead letter of the binding service: a device was retired, and its binding goes on.
async fn letter(db: &Db, party: &str, device: &str, cause: &str) -> DeadLetterName {
    let event = DeviceRetired { device_id: device.to_owned() };
    let message = Message {
        id: Uuid::from_u128(u128::from_be_bytes(Random::system().bytes())),
        subject: format!("{}.{party}.{device}", DeviceRetired::SUBJECT),
        payload: event.encode_to_vec().into(),
        headers: [("ce-version", "2"), ("nodkey-signature", "v1.0.secret.secret")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
    };
    dead_letter::add(db, CONSUMER, &message, cause, Clock::system().now()).await.unwrap();
    DeadLetterName { consumer: CONSUMER.to_owned(), event_id: message.id.to_string() }
}

async fn connect(url: &str) -> Db {
    Db::connect(&DbConfig { max_connections: 2, ..DbConfig::new(url) }).await.unwrap()
}

fn letters(world: &World) -> DeadLetterServiceClient<AuthenticatedChannel> {
    DeadLetterServiceClient::new(world.operator(None).channel(ServiceName::Binding))
}

async fn replay(world: &World, names: &[DeadLetterName]) -> Vec<(ReplayOutcome, String)> {
    let request = ReplayDeadLettersRequest { names: names.to_vec() };
    let replayed = letters(world).replay_dead_letters(request).await.unwrap().into_inner().replayed;
    assert_eq!(replayed.iter().map(|one| one.name.clone().unwrap()).collect::<Vec<_>>(), names);
    replayed.into_iter().map(|one| (one.outcome(), one.cause)).collect()
}

async fn is_bound(tenant: &Tenant, user: &str) -> bool {
    tenant.backend.user_devices(user).await.is_ok_and(|devices| !devices.is_empty())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_shows_replays_and_drops_dead_letters_in_one_process() {
    let world = World::embedded().await;
    let db = connect(&format!("sqlite:{}", world.data_dir().join("binding.db").display())).await;
    shows_replays_and_drops(&world, &db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_shows_replays_and_drops_dead_letters_of_five_processes() {
    let topology = Plan::new().run().await;
    shows_replays_and_drops(&topology.world, &connect(&topology.plan.url("binding")).await).await;
}

async fn shows_replays_and_drops(world: &World, db: &Db) {
    let tenant = world.tenant().await;
    let (ada, bob) = (tenant.active("ada").await, tenant.active("bob").await);
    let done = letter(db, &tenant.id, ada.device_identifier().as_str(), "broken then").await;
    let dropped = letter(db, &tenant.id, bob.device_identifier().as_str(), "of no use").await;
    let stranger = RelyingPartyId::generate(Clock::system().now(), &Random::system()).to_string();
    let nobodys = letter(db, &stranger, ada.device_identifier().as_str(), "whose?").await;
    let mut client = letters(world);

    let request = ListDeadLettersRequest { service: "binding".into(), ..ListDeadLettersRequest::default() };
    let listed = client.list_dead_letters(request.clone()).await.unwrap().into_inner().dead_letters;
    assert_eq!(listed.iter().map(|one| one.cause.as_str()).collect::<Vec<_>>(), ["whose?", "of no use", "broken then"]);
    let subject = format!("evt.registry.v1.device_retired.{}", tenant.id);
    let listed = client.list_dead_letters(ListDeadLettersRequest { subject, ..request }).await.unwrap().into_inner().dead_letters;
    assert_eq!(listed.len(), 2);

    let shown = client.get_dead_letter(GetDeadLetterRequest { name: Some(done.clone()) }).await.unwrap().into_inner();
    let payload: Value = serde_json::from_str(&shown.payload_json).unwrap();
    assert_eq!(payload, json!({"deviceId": ada.device_identifier().as_str()}));
    assert_eq!(shown.headers.iter().collect::<Vec<_>>(), [(&"ce-version".to_owned(), &"2".to_owned())], "and no signature");
    assert!(shown.replayable);

    assert!(is_bound(&tenant, "ada").await);
    let outcomes = replay(world, &[done.clone(), nobodys.clone()]).await;
    assert_eq!(outcomes[0].0, ReplayOutcome::Done);
    assert_eq!(outcomes[1].0, ReplayOutcome::Refused);
    assert!(outcomes[1].1.contains(&stranger), "{}", outcomes[1].1);
    assert!(!is_bound(&tenant, "ada").await, "the binding has ended with its device");
    assert_eq!(replay(world, &[done]).await[0].0, ReplayOutcome::NotFound);

    let drop = DropDeadLettersRequest { names: vec![dropped.clone(), nobodys], note: "nobody's any more".into() };
    assert_eq!(client.drop_dead_letters(drop.clone()).await.unwrap().into_inner().count, 2);
    assert_eq!(client.drop_dead_letters(drop).await.unwrap().into_inner().count, 0);
    assert_eq!(replay(world, std::slice::from_ref(&dropped)).await[0].0, ReplayOutcome::NotFound);
    let gone = client.get_dead_letter(GetDeadLetterRequest { name: Some(dropped) }).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    assert!(is_bound(&tenant, "bob").await);

    // Who did what, and why, is in the audit log.
    let mut log = AuditServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let entries = log.list_audit_entries(ListAuditEntriesRequest { page_size: 500, ..ListAuditEntriesRequest::default() }).await;
    let entries = entries.unwrap().into_inner().entries;
    let of = |method: &str| entries.iter().filter(|entry| entry.method.ends_with(method)).collect::<Vec<_>>();
    assert!(of("DeadLetterService/ReplayDeadLetters").iter().all(|entry| entry.outcome == "OK" && entry.request.contains(CONSUMER)));
    assert!(of("DeadLetterService/DropDeadLetters").iter().any(|entry| entry.request.contains("nobody's any more")));
    assert!(!of("DeadLetterService/GetDeadLetter").is_empty(), "it is about people");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_letter_replayed_at_both_replicas_at_once_has_one_effect() {
    let topology = Plan::replicated().run().await;
    let tenant = topology.world.tenant().await;
    let db = connect(&topology.plan.url("binding")).await;
    let replicas = [topology.replica(0), topology.replica(1)];
    let mut names = Vec::new();
    for n in 0..10 {
        let phone = tenant.active(&format!("user {n}")).await;
        names.push(letter(&db, &tenant.id, phone.device_identifier().as_str(), "no").await);
    }
    let (one, other) = tokio::join!(replay(&replicas[0], &names), replay(&replicas[1], &names));
    for (one, other) in one.iter().zip(&other) {
        let mut outcomes = [one.0, other.0];
        outcomes.sort_unstable();
        assert_eq!(outcomes, [ReplayOutcome::Done, ReplayOutcome::NotFound]);
    }
    assert!(dead_letter::list(&db, 10).await.unwrap().is_empty());
    let ended = "SELECT COUNT(*) AS n FROM binding WHERE deactivated_at IS NOT NULL";
    assert_eq!(db.query(ended).fetch_one().await.unwrap().get::<i64>("n").unwrap(), 10);
}

/// Through the gateway, as the console and `nodkey login` do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_who_signed_in_reach_the_dead_letters_of_the_service_that_they_name() {
    let topology = Plan::new().run().await;
    let world = &topology.world;
    let tenant = world.tenant().await;
    let db = connect(&topology.plan.url("binding")).await;
    let phone = tenant.active("ada").await;
    let name = letter(&db, &tenant.id, phone.device_identifier().as_str(), "no").await;
    let (operator, auditor) = (enrolled(world, "operator", Role::Operator).await.0, enrolled(world, "auditor", Role::Auditor).await.0);
    let path = |method: &str| format!("/console/api/rpc/nodkey.status.v1.DeadLetterService/{method}");
    let call = async |who: &SoftPhone, service: Option<&str>, method: &str, message: Value| {
        let mut browser = sign_in(world, who).await;
        let request = browser.request(reqwest::Method::POST, &path(method)).header("Content-Type", "application/json");
        let request = service.into_iter().fold(request, |request, service| request.header("X-Nodkey-Service", service));
        browser.send(request.body(message.to_string())).await
    };
    let list = json!({"service": "binding"});
    for nowhere in [None, Some("gateway"), Some("nothing")] {
        assert_eq!(call(&auditor, nowhere, "ListDeadLetters", list.clone()).await.status, 404, "{nowhere:?}");
    }
    let listed = call(&auditor, Some("binding"), "ListDeadLetters", list.clone()).await;
    assert_eq!((listed.status, &listed.body["deadLetters"][0]["eventId"]), (200, &json!(name.event_id)));
    // Another service has no letters of this one, and says so.
    assert_eq!(call(&auditor, Some("registry"), "ListDeadLetters", list).await.error, "VALIDATION_FAILED");
    let names = json!({"names": [{"consumer": CONSUMER, "eventId": name.event_id}]});
    assert_eq!(call(&auditor, Some("binding"), "ReplayDeadLetters", names.clone()).await.error, "NOT_ALLOWED");
    let elsewhere = call(&operator, Some("registry"), "ReplayDeadLetters", names.clone()).await;
    assert_eq!(elsewhere.body["replayed"][0]["outcome"], "REPLAY_OUTCOME_NOT_FOUND");
    assert!(is_bound(&tenant, "ada").await);
    let replayed = call(&operator, Some("binding"), "ReplayDeadLetters", names).await;
    assert_eq!(replayed.body["replayed"][0]["outcome"], "REPLAY_OUTCOME_DONE");
    assert!(!is_bound(&tenant, "ada").await);
}

/// Runs `nodkey admin` with the operator key.
fn admin(world: &World, arguments: &[&str]) -> Output {
    let Endpoints { registry, binding, trusonafication, notification, .. } = &world.endpoints;
    let grpc = format!("registry={registry},binding={binding},trusonafication={trusonafication},notification={notification}");
    let mut nodkey = command();
    nodkey.env("NODKEY_OPERATOR_KEY", world.operator_key()).env("NODKEY_GRPC", grpc).current_dir("/");
    nodkey.arg("admin").args(arguments).arg("--json").output().unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_lists_replays_the_oldest_first_and_says_by_its_exit_code_what_stays() {
    let topology = Plan::new().run().await;
    let world = &topology.world;
    let tenant = world.tenant().await;
    let (ada, db) = (tenant.active("ada").await, connect(&topology.plan.url("binding")).await);
    let first = letter(&db, &tenant.id, ada.device_identifier().as_str(), "no").await;
    let second = letter(&db, "nobody", "d", "no").await;
    let letter_of = |name: &DeadLetterName| format!("{}/{}", name.consumer, name.event_id);
    let listed = json_of(&admin(world, &["dead-letters", "list", "--page-size", "1"]));
    assert_eq!(listed["items"][0]["letter"], letter_of(&second));
    let token = listed["next_page_token"].as_str().unwrap();
    let listed = json_of(&admin(world, &["dead-letters", "list", "--page-size", "1", "--page-token", token]));
    assert_eq!(listed["items"][0]["letter"], letter_of(&first));
    let shown = json_of(&admin(world, &["dead-letters", "show", &letter_of(&first)]));
    assert_eq!(shown["payload"]["deviceId"], ada.device_identifier().as_str());
    assert_eq!(admin(world, &["dead-letters", "replay"]).status.code(), Some(2), "neither named nor --all");
    let replayed = admin(world, &["dead-letters", "replay", "--all"]);
    assert_eq!(replayed.status.code(), Some(1), "one stays");
    let items = json_of(&replayed)["items"].clone();
    assert_eq!((&items[0]["letter"], &items[0]["outcome"]), (&json!(letter_of(&first)), &json!("done")));
    assert_eq!((&items[1]["letter"], &items[1]["outcome"]), (&json!(letter_of(&second)), &json!("failed")));
    assert!(!is_bound(&tenant, "ada").await);
    assert_eq!(admin(world, &["dead-letters", "replay", &letter_of(&first)]).status.code(), Some(3), "it is none any more");
    let arguments = ["dead-letters", "drop", "--consumer", CONSUMER, "--note", "nobody's"];
    assert_eq!(admin(world, &arguments).status.code(), Some(2), "it asks, and nobody is there");
    let dropped = admin(world, &[&arguments[..], &["--yes"]].concat());
    assert_eq!((dropped.status.code(), &json_of(&dropped)["dropped"]), (Some(0), &json!(1)));
    assert_eq!(admin(world, &["dead-letters", "replay", "--all"]).status.code(), Some(0));
}

/// Accepts a login. Returns its id.
async fn accept(tenant: &Tenant, phone: &SoftPhone, callback: Option<&str>) -> String {
    let new = callback.into_iter().fold(log_in("ada"), nodkey_client::NewTrusonafication::callback_url);
    let id = tenant.backend.create_trusonafication(new).await.unwrap().trusonafication.id;
    phone.respond(&asked(phone).await, Decision::Accept, None).await.unwrap();
    id
}

async fn endpoint(tenant: &Tenant, url: &str) {
    let mut endpoints = EndpointServiceClient::new(tenant.backend.channel(ServiceName::Notification));
    endpoints
        .create_endpoint(CreateEndpointRequest {
            url: url.to_owned(),
            event_types: vec!["trusonafication.accepted".to_owned()],
            ..CreateEndpointRequest::default()
        })
        .await
        .unwrap();
}

/// Publishes all ends of the last hour again. Returns how many.
async fn replay_ends(world: &World) -> i32 {
    let mut client = ReplayServiceClient::new(world.operator(None).channel(ServiceName::Trusonafication));
    let since = Some(timestamp(Clock::system().now() - std::time::Duration::from_hours(1)));
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let request = ReplayEndsRequest { since, until: None, cursor };
        let page = client.replay_ends(request).await.unwrap().into_inner();
        count += page.count;
        cursor = page.next_cursor;
        if cursor.is_empty() {
            return count;
        }
    }
}

async fn count(db: &Db, sql: &'static str) -> i64 {
    db.query(sql).fetch_one().await.unwrap().get("n").unwrap()
}

const DELIVERIES: &str = "SELECT COUNT(*) AS n FROM delivery";

/// In process an event is in the outbox, or in a backlog, until its consumers have handled it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_that_are_published_again_deliver_nothing_twice_whatever_ids_they_had_in_one_process() {
    let world = World::embedded().await;
    let database = |service: &str| format!("sqlite:{}", world.data_dir().join(format!("{service}.db")).display());
    let (notification, trusonafication) = (connect(&database("notification")).await, connect(&database("trusonafication")).await);
    let (tenant, mut receiving) = (world.tenant().await, receiver(Vec::new()).await);
    endpoint(&tenant, &receiving.url).await;
    let phone = tenant.active("ada").await;
    for _ in 0..3 {
        accept(&tenant, &phone, Some(&receiving.url)).await;
    }
    for _ in 0..6 {
        receiving.next().await;
    }
    let settled = async || {
        let waiting = "SELECT (SELECT COUNT(*) FROM outbox) + (SELECT COUNT(*) FROM backlog) AS n";
        eventually("everything is handled", async || (count(&trusonafication, waiting).await == 0).then_some(())).await;
    };
    settled().await;
    let before = count(&notification, DELIVERIES).await;
    assert_eq!(replay_ends(&world).await, 3);
    settled().await;
    assert_eq!(count(&notification, DELIVERIES).await, before);
    // The consumers have forgotten them: webhooks know themselves what they were about.
    notification.execute("DELETE FROM inbox").execute().await.unwrap();
    assert_eq!(replay_ends(&world).await, 3);
    settled().await;
    assert_eq!(count(&notification, "SELECT COUNT(*) AS n FROM inbox WHERE consumer = 'notification_accepted'").await, 3);
    assert_eq!(count(&notification, DELIVERIES).await, before);
    // As if all had been delivered by a release with other ids.
    notification.execute("DELETE FROM attempt").execute().await.unwrap();
    notification.execute("UPDATE delivery SET id = randomblob(16)").execute().await.unwrap();
    notification.execute("DELETE FROM inbox").execute().await.unwrap();
    assert_eq!(replay_ends(&world).await, 3);
    settled().await;
    assert_eq!(count(&notification, DELIVERIES).await, before);
    assert!(receiving.is_quiet());
    // An endpoint that was created two hours later gets nothing of before. Those who were called back are, since nothing says that they were.
    for statement in ["DELETE FROM delivery", "DELETE FROM inbox", "UPDATE endpoint SET created_at = created_at + 7200000000"] {
        notification.execute(statement).execute().await.unwrap();
    }
    assert_eq!(replay_ends(&world).await, 3);
    settled().await;
    let to_endpoints = "SELECT COUNT(*) AS n FROM delivery WHERE endpoint_id IS NOT NULL";
    assert_eq!((count(&notification, DELIVERIES).await, count(&notification, to_endpoints).await), (3, 0));
    assert_eq!(count(&notification, "SELECT COUNT(*) AS n FROM dead_letter").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nats_lost_is_delivered_once_when_it_is_published_again() {
    let (postgres, nats) = (TestPostgres::start(), TestNats::start());
    let topology = Plan::new().on_postgres(&postgres).on_nats(&nats).run().await;
    let world = &topology.world;
    let database = async |service: &str| connect(&topology.plan.url(service)).await;
    let (notification, trusonafication) = (database("notification").await, database("trusonafication").await);
    let (tenant, mut receiving) = (world.tenant().await, receiver(Vec::new()).await);
    endpoint(&tenant, &receiving.url).await;
    let phone = tenant.active("ada").await;
    let told = accept(&tenant, &phone, None).await;
    assert_eq!(receiving.next().await.body["data"]["id"], told.as_str());

    topology.service("notification").stop(0);
    let lost = accept(&tenant, &phone, Some(&receiving.url)).await;
    let outbox = "SELECT COUNT(*) AS n FROM outbox";
    eventually("NATS has it", async || (count(&trusonafication, outbox).await == 0).then_some(())).await;
    lose(&nats, &topology).await;

    let since = (Clock::system().now() - std::time::Duration::from_hours(1)).to_string();
    let published = admin(world, &["replay", "--service", "trusonafication", "--since", &since]);
    assert_eq!(json_of(&published)["published"], 2);
    // The endpoint and the callback, in either order.
    let mut about = Vec::new();
    for _ in 0..2 {
        let call = receiving.next().await;
        about.push(call.body["data"]["id"].as_str().or(call.body["id"].as_str()).unwrap().to_owned());
    }
    assert_eq!(about, [lost.as_str(), &lost]);
    let handled = async |n: i64| {
        let marks = "SELECT COUNT(*) AS n FROM inbox WHERE consumer = 'notification_accepted'";
        eventually("all are handled", async || (count(&notification, marks).await == n).then_some(())).await;
    };
    handled(2).await;
    assert_eq!(count(&notification, DELIVERIES).await, 3);

    // Everything is lost and forgotten, and was delivered under other ids.
    topology.service("notification").stop(0);
    for statement in ["DELETE FROM attempt", "UPDATE delivery SET id = gen_random_uuid()", "DELETE FROM inbox"] {
        notification.execute(statement).execute().await.unwrap();
    }
    lose(&nats, &topology).await;
    assert_eq!(replay_ends(world).await, 2);
    handled(2).await;
    assert_eq!(count(&notification, DELIVERIES).await, 3);
    assert!(receiving.is_quiet());

    // A device is retired, and NATS loses that before anybody has read it.
    let (registry, binding) = (database("registry").await, database("binding").await);
    for service in ["notification", "binding"] {
        topology.service(service).stop(0);
    }
    phone.retire().await.unwrap();
    eventually("NATS has it", async || (count(&registry, outbox).await == 0).then_some(())).await;
    nats.stop();
    nats.forget();
    nats.restart();
    topology.service("binding").start(0);
    lose(&nats, &topology).await;
    assert!(is_bound(&tenant, "ada").await);
    for _ in 0..2 {
        assert_eq!(admin(world, &["replay", "--since", &since]).status.code(), Some(0));
        eventually("the binding has ended", async || (!is_bound(&tenant, "ada").await).then_some(())).await;
    }
    let ended = "SELECT COUNT(*) AS n FROM inbox WHERE consumer = 'binding_device_retired'";
    assert_eq!(count(&binding, ended).await, 1);
    handled(2).await;
    assert!(receiving.is_quiet());
    for db in [&notification, &trusonafication, &registry, &binding] {
        assert_eq!(count(db, "SELECT COUNT(*) AS n FROM dead_letter").await, 0);
    }
}

/// NATS comes back with nothing that it had stored. The notification service does not run, and starts afterwards.
async fn lose(nats: &TestNats, topology: &Topology) {
    nats.stop();
    nats.forget();
    nats.restart();
    for service in ["registry", "binding", "trusonafication"] {
        topology.service(service).stop(0);
        topology.service(service).start(0);
    }
    topology.service("notification").start(0);
    topology.ready().await;
}
