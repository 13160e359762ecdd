//! Attacks by unauthenticated callers, or by those with little to prove: each gets its share and no more, with an error that says so.

use std::{pin::pin, time::Duration};

use futures_util::{Stream, StreamExt as _, future::join_all, stream};
use nodkey_client::{NewTrusonafication, ServiceName};
use nodkey_gateway::Config;
use nodkey_kernel::{
    dpop,
    jose::{Algorithm, PrivateKey},
    random::Random,
    time::Clock,
};
use nodkey_mobile_sdk::{Decision, Error, PhoneEvent};
use nodkey_proto::{
    notification::v1::{CreateEndpointRequest, endpoint_service_client::EndpointServiceClient},
    registry::v1::{
        GetRelyingPartyRequest, RelyingPartyLimits, Role, UpdateRelyingPartyRequest,
        relying_party_service_client::RelyingPartyServiceClient,
    },
    trusonafication::v1::Status,
};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    browser::Browser,
    http,
    operators::{enrolled, scan, standing},
    processes::Plan,
    world::{PATIENCE, Tenant, World, asked, eventually, next_asked},
};

/// The header that reports a client's address to the gateway, configured as trusted.
const ADDRESS: &str = "x-client-address";

fn believing(config: Config) -> Config {
    Config { address_header: Some(ADDRESS.into()), ..config }
}

fn log_in() -> NewTrusonafication {
    NewTrusonafication::user("ada", "log in", "Acme")
}

/// A secure QR code of a relying party.
async fn code(world: &World, tenant: &Tenant, address: &str) -> String {
    let body = json!({"relying_party_id": tenant.id});
    let made = Client::new().post(format!("{}/api/v2/trucodes", world.http)).header(ADDRESS, address).json(&body).send().await.unwrap();
    assert_eq!(made.status(), 201);
    made.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
}

/// Waits for a scan from each of these addresses at the same time. Sends back the refusals as they arrive: status, reason, and
/// `Retry-After`.
fn wait_from(world: &World, code: &str, addresses: impl IntoIterator<Item = String>) -> mpsc::Receiver<(u16, String, u64)> {
    wait_by(world, code, ADDRESS, addresses)
}

/// The same with another header for the addresses.
fn wait_by(
    world: &World,
    code: &str,
    header: &'static str,
    addresses: impl IntoIterator<Item = String>,
) -> mpsc::Receiver<(u16, String, u64)> {
    let (sender, refused) = mpsc::channel(1_000);
    for address in addresses {
        let request = Client::new().get(format!("{}/api/v2/trucodes/{code}", world.http)).header(header, address);
        let sender = sender.clone();
        tokio::spawn(async move {
            let answer = request.send().await.unwrap();
            if !answer.status().is_success() {
                let after = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
                let status = answer.status().as_u16();
                let reason = answer.json::<Value>().await.unwrap()["error"].as_str().unwrap().to_owned();
                sender.send((status, reason, after)).await.unwrap();
            }
        });
    }
    refused
}

/// Waits until there are this many waits of a kind.
async fn waits(world: &World, of: &str, count: usize) {
    let metrics = format!("{}/metrics", world.endpoints.registry);
    eventually("all of them wait", async || {
        let text = reqwest::get(&metrics).await.unwrap().text().await.unwrap();
        text.lines().any(|line| line == format!("nodkey_waits{{of=\"{of}\"}} {count}")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_that_wait_leave_phones_and_backends_their_half() {
    let world = World::embedded_with(believing(Config { max_waiting: 40, ..Config::default() })).await;
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let code = code(&world, &tenant, "198.51.100.1").await;
    let mut refused = wait_from(&world, &code, (0..60).map(|n| format!("198.51.100.{n}")));
    for _ in 0..40 {
        assert_eq!(refused.recv().await.unwrap(), (503, "OVERLOADED".into(), 5));
    }
    // Meanwhile, an authenticated caller waits and is woken.
    let mut stream = pin!(phone.events().await.unwrap());
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    let pending = next_asked(&mut stream).await;
    let path = format!("/api/v2/trusonafications/{id}?wait=30");
    let (end, _) = tokio::join!(http::backend(&world.http, &tenant.server, Method::GET, &path, ""), async {
        phone.respond(&pending, Decision::Accept, None).await.unwrap()
    });
    assert_eq!(end.body["status"], "ACCEPTED");
    assert!(refused.try_recv().is_err(), "half of them wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_waits_as_often_as_it_may_and_costs_others_nothing() {
    let world = World::embedded_with(believing(Config { max_waiting_per_address: 2, ..Config::default() })).await;
    let tenant = world.tenant().await;
    let code = code(&world, &tenant, "198.51.100.1").await;
    // Several addresses of one customer count as one.
    let one = (0..5).map(|n| format!("2001:db8:1:1::{n:x}"));
    let mut refused = wait_from(&world, &code, one);
    for _ in 0..3 {
        assert_eq!(refused.recv().await.unwrap(), (429, "TOO_MANY_WAITS".into(), 5));
    }
    let site = (2..12).map(|n| format!("2001:db8:1:{n:x}::1"));
    let mut of_site = wait_from(&world, &code, site);
    for _ in 0..4 {
        assert_eq!(of_site.recv().await.unwrap().0, 429, "a /48 has four times as much, of which two are taken");
    }
    let mut others = wait_from(&world, &code, ["198.51.100.7".to_owned(), "2001:db8:2::1".to_owned()]);
    waits(&world, "anonymous", 2 + 6 + 2).await;
    assert!(refused.try_recv().is_err() && of_site.try_recv().is_err() && others.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_proxy_that_names_nobody_are_not_limited_as_if_they_were_one_and_operators_are_told() {
    let world = World::embedded_with(Config { max_waiting_per_address: 1, ..Config::default() }).await;
    let tenant = world.tenant().await;
    let code = code(&world, &tenant, "").await;
    let forwarded = (0..5).map(|n| format!("203.0.113.{n}"));
    let mut refused = wait_by(&world, &code, "x-forwarded-for", forwarded);
    waits(&world, "anonymous", 5).await;
    assert!(refused.try_recv().is_err());
    let metrics = reqwest::get(format!("{}/metrics", world.endpoints.registry)).await.unwrap().text().await.unwrap();
    assert!(metrics.lines().any(|line| line == "nodkey_unnamed_proxy 1"));
}

/// Whether a stream ends before a challenge arrives on it.
async fn ends(mut events: impl Stream<Item = Result<PhoneEvent, Error>> + Unpin) -> bool {
    loop {
        match events.next().await {
            Some(Ok(PhoneEvent::Synced)) => {}
            other => return other.is_none(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fifth_wait_of_a_device_ends_its_oldest_and_no_other() {
    let world = World::embedded().await;
    let tenant = world.tenant().await;
    let (phone, other) = (tenant.active("ada").await, tenant.active("bob").await);
    let mut others = pin!(other.events().await.unwrap());
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(Box::pin(phone.events().await.unwrap()));
    }
    let mut streams = streams.into_iter();
    assert!(ends(streams.next().unwrap()).await, "the oldest is over");
    // A long poll counts, too, and replaces the oldest stream.
    let poll = phone.wait(Duration::from_mins(1));
    let (second, polled) = tokio::join!(
        async {
            let ended = ends(streams.next().unwrap()).await;
            tenant.backend.create_trusonafication(log_in()).await.unwrap();
            ended
        },
        poll
    );
    assert!(second && polled.unwrap().len() == 1);
    for mut stream in streams {
        next_asked(&mut stream).await;
    }
    tenant.backend.create_trusonafication(NewTrusonafication::user("bob", "log in", "Acme")).await.unwrap();
    next_asked(&mut others).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proofs_of_three_thousand_strangers_wash_nothing_out() {
    const STRANGERS: u64 = 3_000;
    const ASKED: u32 = 50;
    let config = Config { remembered_proofs: 100, unknown_device_rate: ASKED, ..Config::default() };
    let world = World::embedded_with(config).await;
    let tenant = world.tenant().await;
    let known = PrivateKey::generate(Algorithm::EdDsa, &Random::system());
    let body = json!({"device_key": known.public().to_value()}).to_string();
    assert_eq!(http::register(&world.http, &tenant.mobile, &known, &body).await.status, 201);
    let client = Client::new();
    let path = |key: &PrivateKey| format!("/api/v2/devices/{}/status", key.public().thumbprint());
    let proof = |key: &PrivateKey| {
        let url = format!("{}{}", world.http, path(key));
        dpop::create(key, "GET", &url, b"", Clock::system().now(), &Random::system())
    };
    let call = async |key: &PrivateKey, proof: &str| {
        let answer = client.get(format!("{}{}", world.http, path(key))).header("DPoP", proof).send().await.unwrap();
        http::read(answer).await
    };
    let used = proof(&known);
    assert_eq!(call(&known, &used).await.status, 200);
    let (call, proof) = (&call, &proof);
    let strangers = stream::iter(0..STRANGERS).map(|n| async move {
        let stranger = PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(n));
        let answer = call(&stranger, &proof(&stranger)).await;
        (answer.status, answer.error)
    });
    let answers: Vec<_> = strangers.buffer_unordered(32).collect().await;
    let of = |status, error: &str| answers.iter().filter(|answer| **answer == (status, error.to_owned())).count() as u64;
    assert_eq!(of(401, "INVALID_PROOF"), u64::from(ASKED), "so many were looked up");
    assert_eq!(of(429, "RATE_LIMITED"), STRANGERS - u64::from(ASKED), "and nobody was asked about the others");
    let again = call(&known, &used).await;
    assert_eq!(
        (again.status, again.body["message"].as_str()),
        (401, Some("the DPoP proof's jti was used before: create a new one for each call"))
    );
    assert_eq!(call(&known, &proof(&known)).await.status, 200, "a phone at the same address goes on");
}

/// Registers this many new devices of a relying party. Returns how many were registered and refused, and the reasons.
async fn register(world: &World, tenant: &Tenant, count: u64) -> (usize, usize, Vec<String>) {
    let all = stream::iter(0..count).map(|_| async {
        let key = PrivateKey::generate(Algorithm::EdDsa, &Random::system());
        let body = json!({"device_key": key.public().to_value()}).to_string();
        let answer = http::register(&world.http, &tenant.mobile, &key, &body).await;
        (answer.status, answer.error)
    });
    let answers: Vec<_> = all.buffer_unordered(8).collect().await;
    let of = |status| answers.iter().filter(|(answer, _)| *answer == status).count();
    let mut reasons: Vec<_> = answers.iter().filter(|(status, _)| *status != 201).map(|(_, error)| error.clone()).collect();
    reasons.sort();
    reasons.dedup();
    (of(201), of(429), reasons)
}

pub(super) async fn limit(world: &World, tenant: &Tenant, limits: RelyingPartyLimits) {
    let mut parties = RelyingPartyServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let request = UpdateRelyingPartyRequest { id: tenant.id.clone(), limits: Some(limits), ..UpdateRelyingPartyRequest::default() };
    assert_eq!(parties.update_relying_party(request).await.unwrap().into_inner().limits, Some(limits));
    let shown = parties.get_relying_party(GetRelyingPartyRequest { id: tenant.id.clone() }).await.unwrap().into_inner();
    assert_eq!(shown.limits, Some(limits), "operators see it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_hundred_registrations_from_one_address_meet_a_limit_that_an_operator_sees_and_changes() {
    let world = World::embedded().await;
    let (flooded, other, small, quota) = (world.tenant().await, world.tenant().await, world.tenant().await, world.tenant().await);
    assert_eq!(register(&world, &flooded, 400).await, (120, 280, vec!["TOO_MANY_REGISTRATIONS".to_owned()]));
    assert_eq!(register(&world, &other, 1).await.0, 1, "another relying party does not notice");
    limit(&world, &small, RelyingPartyLimits { registrations_per_address: 3, ..RelyingPartyLimits::default() }).await;
    assert_eq!(register(&world, &small, 10).await, (3, 7, vec!["TOO_MANY_REGISTRATIONS".to_owned()]));
    // Using one address after another does not exceed the quota either.
    limit(&world, &quota, RelyingPartyLimits { unbound_devices: 2, ..RelyingPartyLimits::default() }).await;
    let (one, two) = (quota.registered().await, quota.registered().await);
    // A status call by the device does not bind it.
    one.status().await.unwrap();
    assert_eq!(register(&world, &quota, 1).await, (0, 1, vec!["TOO_MANY_UNBOUND_DEVICES".to_owned()]));
    one.register("the same again").await.unwrap();
    quota.activate("ada", &two).await;
    assert_eq!(register(&world, &quota, 1).await.0, 1, "one that is bound makes room for another");
    assert_eq!(register(&world, &quota, 1).await.0, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_could_not_be_looked_up_while_the_registry_is_away_is_no_stranger_afterwards() {
    let topology = Plan::new().run().await;
    let (world, registry) = (&topology.world, topology.service("registry"));
    let tenant = world.tenant().await;
    let client = Client::new();
    let devices =
        async || http::backend_by(&client, &world.http, &tenant.server, Method::GET, "/api/v2/users/ada/devices", "", &[]).await.status;
    registry.kill(0);
    for _ in 0..2 * Config::default().unknown_device_rate {
        assert_eq!(devices().await, 503);
    }
    registry.start(0);
    eventually("the registry is back", async || (devices().await == 200).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relying_party_holds_as_much_as_an_operator_lets_it() {
    let world = World::embedded().await;
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    limit(&world, &tenant, RelyingPartyLimits { open_trusonafications: 2, webhook_endpoints: 1, ..RelyingPartyLimits::default() }).await;
    let mut endpoints = EndpointServiceClient::new(tenant.backend.channel(ServiceName::Notification));
    let request = CreateEndpointRequest { url: "https://example.com/hook".into(), ..CreateEndpointRequest::default() };
    endpoints.create_endpoint(request.clone()).await.unwrap();
    assert!(endpoints.create_endpoint(request).await.unwrap_err().message().contains("may have 1 endpoints"));
    for _ in 0..2 {
        tenant.backend.create_trusonafication(log_in()).await.unwrap();
    }
    let refused = tenant.backend.create_trusonafication(log_in()).await.unwrap_err();
    assert!(refused.to_string().contains("open_trusonafications"), "{refused}");
    let pending = phone.wait(Duration::ZERO).await.unwrap();
    phone.respond(&pending[0], Decision::Accept, None).await.unwrap();
    // A count is cached for a second.
    eventually("there is room again", async || tenant.backend.create_trusonafication(log_in()).await.ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_backends_wait_and_logins_go_on() {
    const OF_ONE_CONNECTION: usize = 100;
    const WAITING: usize = 2_000;
    let world = World::embedded().await;
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut ids = Vec::new();
    for _ in 0..WAITING / OF_ONE_CONNECTION {
        ids.push(tenant.backend.create_trusonafication(log_in().expires_in(Duration::from_mins(10))).await.unwrap().trusonafication.id);
    }
    let waiting: Vec<_> = ids
        .iter()
        .map(|id| {
            let (http, server, path) = (world.http.clone(), tenant.server.clone(), format!("/api/v2/trusonafications/{id}?wait=60"));
            tokio::spawn(async move {
                let client = Client::builder().http2_prior_knowledge().build().unwrap();
                let wait = |_| http::backend_by(&client, &http, &server, Method::GET, &path, "", &[]);
                join_all((0..OF_ONE_CONNECTION).map(wait)).await
            })
        })
        .collect();
    waits(&world, "backend", WAITING).await;
    let bob = tenant.active("bob").await;
    for _ in 0..5 {
        let id = tenant.backend.create_trusonafication(NewTrusonafication::user("bob", "log in", "Acme")).await.unwrap().trusonafication.id;
        bob.respond(&asked(&bob).await, Decision::Accept, None).await.unwrap();
        assert_eq!(tenant.backend.wait(&id).await.unwrap().status(), Status::Accepted);
    }
    for pending in phone.wait(PATIENCE).await.unwrap() {
        phone.respond(&pending, Decision::Accept, None).await.unwrap();
    }
    for of_one in waiting {
        for answer in of_one.await.unwrap() {
            assert_eq!((answer.status, answer.body["status"].as_str()), (200, Some("ACCEPTED")));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_opens_the_sign_in_page_leaves_no_trusonafication() {
    let world = World::embedded().await;
    let (phone, _) = enrolled(&world, "Ada", Role::Owner).await;
    let created = async || {
        let text = reqwest::get(format!("{}/metrics", world.endpoints.registry)).await.unwrap().text().await.unwrap();
        text.lines().any(|line| line.starts_with("nodkey_trusonafications_total{status=\"in_progress\"}") && !line.ends_with(" 0"))
    };
    for _ in 0..10 {
        let mut browser = Browser::new(&world.http);
        assert_eq!(browser.post("/console/api/sign_in", &json!({})).await.status, 201);
        assert_eq!(standing(&mut browser, "").await, "WAITING");
    }
    assert!(!created().await);
    scan(&mut Browser::new(&world.http), &phone).await;
    assert!(created().await, "whoever scans is asked");
}
