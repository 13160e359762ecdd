//! Two replicas of every service: it makes no difference which of them does what, and either may die at any time.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    pin::pin,
};

use axum::http::StatusCode;
use futures_util::StreamExt as _;
use nodkey_client::{ServiceName, is_success};
use nodkey_kernel::{jose::jws::Compact, key_statement::sign_key_statement};
use nodkey_mobile_sdk::{Decision, software::SoftwareKeyStore};
use nodkey_proto::trusonafication::v1::{
    ListTrusonaficationsRequest, RotateSigningKeyRequest, Status, signing_key_service_client::SigningKeyServiceClient,
};

use super::key_statements::{ByHand, key, refused};
use nodkey_testkit::Proxy;

use crate::{
    processes::{Plan, SERVICES, Topology},
    receiver::receiver,
    world::{PATIENCE, asked, eventually},
    writes::{log_in, log_in_by},
};

/// New connections of phones reach only this gateway.
fn through_gateway(topology: &Topology, replica: usize) {
    let gateway = topology.service("gateway");
    gateway.entrance.set_targets([gateway.address(replica)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_may_touch_another_replica_at_every_step() {
    let topology = Plan::replicated().run().await;
    let tenant = topology.world.tenant().await;
    let backends = [0, 1].map(|replica| tenant.backend_at(&topology.replica(replica)));
    for (here, there) in [(0, 1), (1, 0)] {
        let keys = SoftwareKeyStore::generate();
        let user = format!("user {here}");
        through_gateway(&topology, there);
        let waiting = tenant.phone_with(keys.clone());
        waiting.register("test phone").await.unwrap();
        tenant.activate(&user, &waiting).await;
        let (pending, created) = tokio::join!(asked(&waiting), backends[here].create_trusonafication(log_in(&user)));
        assert_eq!(pending.id, created.unwrap().trusonafication.id);
        let mut watch = pin!(backends[there].watch(pending.id.as_str()).await.unwrap());
        assert_eq!(watch.next().await.unwrap().unwrap().status(), Status::InProgress);
        through_gateway(&topology, here);
        tenant.phone_with(keys).respond(&pending, Decision::Accept, None).await.unwrap();
        assert_eq!(watch.next().await.unwrap().unwrap().status(), Status::Accepted);
        for backend in &backends {
            assert_eq!(backend.trusonafication(pending.id.as_str()).await.unwrap().version, 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_statement_counts_once_whichever_replicas_make_its_nonce_and_take_it() {
    let topology = Plan::replicated().run().await;
    let tenant = topology.world.tenant().await;
    let phone = ByHand::new(&topology.world, &tenant);
    let next = key();
    let sign = |claims| sign_key_statement(&claims, &phone.device);
    through_gateway(&topology, 0);
    let first = phone.registration(Some(&sign(phone.claims(&phone.presence).await)), &[]);
    through_gateway(&topology, 1);
    assert_eq!(phone.send(&first).await.status, 201);
    let second = sign(phone.claims(&next).await);
    through_gateway(&topology, 0);
    assert_eq!(phone.replace(&next, Some(&second), &[]).await.status, 200);
    let stored = phone.stored().await;
    for replica in 0..2 {
        through_gateway(&topology, replica);
        refused(&phone.send(&first).await, 409, "KEY_STATEMENT_OUTDATED");
        assert_eq!(phone.replace(&next, Some(&second), &[]).await.status, 200, "a repeated request");
    }
    assert_eq!(phone.stored().await, stored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_create_at_both_replicas_at_once_is_one_create() {
    let topology = Plan::replicated().run().await;
    let tenant = topology.world.tenant().await;
    tenant.active("ada").await;
    let backends = [0, 1].map(|replica| tenant.backend_at(&topology.replica(replica)));
    let mut ids = BTreeSet::new();
    for round in 0..10 {
        let create = |replica: usize| backends[replica].create_trusonafication(log_in("ada").request_id(&format!("r-{round}")));
        let (one, other) = tokio::join!(create(0), create(1));
        let id = one.unwrap().trusonafication.id;
        assert_eq!(id, other.unwrap().trusonafication.id);
        ids.insert(id);
    }
    let all = tenant.backend.list_trusonafications(ListTrusonaficationsRequest::default()).await.unwrap().trusonafications;
    assert_eq!(all.into_iter().map(|one| one.id).collect::<BTreeSet<_>>(), ids);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_answers_at_two_gateways_one_counts() {
    let topology = Plan::replicated().run().await;
    let tenant = topology.world.tenant().await;
    let mut phones = Vec::new();
    for replica in 0..2 {
        through_gateway(&topology, replica);
        phones.push(tenant.active("ada").await);
    }
    for _ in 0..5 {
        let id = tenant.backend.create_trusonafication(log_in("ada")).await.unwrap().trusonafication.id;
        let (one, other) = tokio::join!(asked(&phones[0]), asked(&phones[1]));
        let (one, other) = tokio::join!(phones[0].respond(&one, Decision::Accept, None), phones[1].respond(&other, Decision::Reject, None));
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
        let done = tenant.backend.wait(&id).await.unwrap();
        assert_eq!((done.version, is_success(&done)), (2, one.is_ok()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_signs_at_once_does_so_at_every_replica_and_phones_take_it() {
    let topology = Plan::replicated().run().await;
    let tenant = topology.world.tenant().await;
    let phone = tenant.active("ada").await;
    let backends = [0, 1].map(|replica| tenant.backend_at(&topology.replica(replica)));
    let log_in = async |replica: usize| {
        let id = backends[replica].create_trusonafication(log_in("ada")).await.unwrap().trusonafication.id;
        let answered = eventually("the phone trusts it", async || phone.wait(PATIENCE).await.unwrap().into_iter().find(|one| one.id == id));
        phone.respond(&answered.await, Decision::Accept, None).await.unwrap();
        let evidence = backends[replica].evidence(&id).await.unwrap();
        Compact::parse(&evidence.challenge).unwrap().header().kid.clone().unwrap()
    };
    // Both have the key in memory by then.
    assert_eq!(log_in(0).await, log_in(1).await);
    let operator = topology.replica(0).operator(None);
    let mut keys = SigningKeyServiceClient::new(operator.channel(ServiceName::Trusonafication));
    let request = RotateSigningKeyRequest { at_once: true, ..RotateSigningKeyRequest::default() };
    let rotated = keys.rotate_signing_key(request).await.unwrap().into_inner().id;
    assert_eq!(log_in(0).await, rotated);
    eventually("the other replica has heard of it", async || {
        let created = backends[1].create_trusonafication(crate::writes::log_in("ada")).await.unwrap().trusonafication.id;
        let open = phone.open(PATIENCE).await.unwrap();
        backends[1].cancel(&created).await.unwrap();
        open.pending.iter().any(|pending| pending.id == created).then_some(())
    })
    .await;
    assert_eq!(log_in(1).await, rotated);
}

/// As in an upgrade: one after the other, each stopped gracefully.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_replicas_are_replaced_one_after_the_other_logins_go_on() {
    let topology = Plan::replicated().run().await;
    let tenant = topology.world.tenant().await;
    let phone = tenant.active("ada").await;
    for service in SERVICES {
        for replica in 0..2 {
            let service = topology.service(service);
            service.stop(replica);
            log_in_by(&tenant, "ada", &phone).await;
            service.start(replica);
            service.readiness(200).await;
        }
    }
    assert_eq!(tenant.backend.list_trusonafications(ListTrusonaficationsRequest::default()).await.unwrap().trusonafications.len(), 10);
}

/// Its backend calls the gateway, which finds whichever replica is running.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_what_the_gateway_passes_on_and_each_may_be_away() {
    let topology = Plan::replicated().run().await;
    let mut tenant = topology.world.tenant().await;
    tenant.backend = tenant.backend_through(&topology.world.one_address());
    let phone = tenant.active("ada").await;
    let calls = async || {
        let method = r#"nodkey_grpc_requests_total{method="nodkey.binding.v1.UserService/ListUserDevices",code="OK"} "#;
        let of_replica = |metrics: &String| metrics.lines().find_map(|line| line.strip_prefix(method)?.parse::<u64>().ok()).unwrap_or(0);
        topology.service("binding").metrics_of_each().await.iter().map(of_replica).collect::<Vec<_>>()
    };
    let before = calls().await;
    for _ in 0..40 {
        tenant.backend.user_devices("ada").await.unwrap();
    }
    let after = calls().await;
    assert!(before.iter().zip(&after).all(|(before, after)| after - before >= 10), "{before:?} {after:?}");
    for service in &SERVICES[..4] {
        for replica in 0..2 {
            let service = topology.service(service);
            service.stop(replica);
            log_in_by(&tenant, "ada", &phone).await;
            service.start(replica);
            service.readiness(200).await;
        }
    }
}

/// Kills each replica of each service once, right after an answer was accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_replica_is_killed_the_other_goes_on_and_every_event_has_one_effect() {
    let topology = Plan::replicated().run().await;
    let tenant = topology.world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut receiving = receiver(vec![StatusCode::NO_CONTENT]).await;
    let mut expected = BTreeSet::new();
    for service in SERVICES {
        for replica in 0..2 {
            let new = log_in("ada").callback_url(&receiving.url).request_id(&format!("{service} {replica}"));
            let id = tenant.backend.create_trusonafication(new).await.unwrap().trusonafication.id;
            // The gateway that it waits at may just have died.
            let pending =
                eventually("the phone is prompted", async || phone.wait(PATIENCE).await.ok()?.into_iter().find(|pending| pending.id == id));
            phone.respond(&pending.await, Decision::Accept, None).await.unwrap();
            topology.service(service).kill(replica);
            let done = eventually("the backend learns of it", async || tenant.backend.wait(&id).await.ok()).await;
            assert_eq!((done.version, is_success(&done)), (2, true));
            topology.service(service).start(replica);
            topology.service(service).readiness(200).await;
            expected.insert(id);
        }
    }
    let mut told = BTreeSet::new();
    while told != expected {
        told.insert(receiving.next().await.body["id"].as_str().unwrap().to_owned());
    }
    let server = topology.plan.postgres.rsplit_once('/').unwrap().0;
    let count = async |service: &str, what: &str| {
        nodkey_testkit::number(&format!("{server}/{}", topology.plan.database(service)), &format!("SELECT count(*) FROM {what}")).await
    };
    for service in &SERVICES[..4] {
        eventually("the outbox is empty", async || (count(service, "outbox").await == 0).then_some(())).await;
        assert_eq!(count(service, "dead_letter").await, 0);
    }
    assert_eq!(count("notification", "delivery").await, i64::try_from(expected.len()).unwrap());
}

/// Hears what is published on some subjects, as anybody may on a server without users.
struct Heard(BufReader<TcpStream>);

impl Heard {
    fn on(server: SocketAddr, subjects: &str) -> Self {
        let mut heard = Self(BufReader::new(TcpStream::connect(server).unwrap()));
        write!(heard.0.get_mut(), "CONNECT {{\"verbose\":false}}\r\nSUB {subjects} 1\r\n").unwrap();
        assert!(heard.so_far().is_empty());
        heard
    }

    /// The subjects of what came since the last call.
    fn so_far(&mut self) -> Vec<String> {
        self.0.get_mut().write_all(b"PING\r\n").unwrap();
        let (mut subjects, mut line) = (Vec::new(), String::new());
        while line != "PONG\r\n" {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the server is there");
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("MSG") => {
                    subjects.push(words.next().unwrap().to_owned());
                    let size: u64 = words.last().unwrap().parse().unwrap();
                    let read = std::io::copy(&mut self.0.by_ref().take(size + 2), &mut std::io::sink()).unwrap();
                    assert_eq!(read, size + 2);
                }
                Some("PING") => self.0.get_mut().write_all(b"PONG\r\n").unwrap(),
                _ => {}
            }
        }
        subjects
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_keep_their_order_when_a_replica_is_killed_before_it_publishes_and_the_other_commits_the_next() {
    let topology = Plan::replicated().run().await;
    let tenant = topology.world.tenant().await;
    tenant.active("ada").await;
    let service = topology.service("trusonafication");
    let server: SocketAddr = topology.plan.nats.rsplit('/').next().unwrap().parse().unwrap();
    let database = format!("{}/{}", topology.plan.postgres.rsplit_once('/').unwrap().0, topology.plan.database("trusonafication"));
    let waiting = async || nodkey_testkit::number(&database, "SELECT count(*) FROM outbox").await;
    service.stop(0);
    service.stop(1);
    // The first replica never reaches the bus, so it publishes nothing.
    let nowhere = Proxy::start([]);
    nowhere.refuse().await;
    let bus = |proxy: &Proxy| vec![("NODKEY_BUS__URL".to_owned(), Some(format!("nats://{}", proxy.address())))];
    service.change(bus(&nowhere));
    service.start(0);
    let mut heard = Heard::on(server, &format!("{}.evt.trusonafication.>", topology.plan.prefix));
    let backend = tenant.backend_at(&topology.replica(0));
    let id = backend.create_trusonafication(log_in("ada")).await.unwrap().trusonafication.id;
    service.kill(0);
    assert_eq!((waiting().await, heard.so_far()), (1, vec![]));
    service.change(bus(&service.bus));
    service.start(1);
    tenant.backend.cancel(&id).await.unwrap();
    eventually("the other publishes both", async || (waiting().await == 0).then_some(())).await;
    let mut facts: Vec<_> = heard.so_far().iter().map(|subject| subject.split('.').nth(4).unwrap().to_owned()).collect();
    facts.dedup();
    assert_eq!(facts, ["created", "canceled"]);
}
