//! Limits what unauthenticated clients can make a process hold: the attacks of `attacks.rs` on `nodkey dev`, smaller than those of
//! `make bench-doors` on the release binary, with the same bounds.

use std::{process::Command, time::Duration};

use nodkey_mobile_sdk::{Decision, Error};
use reqwest::Method;
use tempfile::TempDir;

use crate::{
    attacks::{self, Peak, Target},
    http,
    processes::{Plan, Running, binaries},
    world::{SoftPhone, Tenant, World, asked},
};

const MB: u64 = 1 << 20;

/// A process of the test's own.
struct Attacked {
    target: Target,
    world: World,
    _running: Running,
    _dir: TempDir,
}

impl Attacked {
    async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let mut command = Command::new(binaries().join("nodkey"));
        command.args(["dev", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir"]).arg(dir.path());
        let running = Running::start(&mut command, "ready");
        let dev = std::fs::read_to_string(dir.path().join("dev.json")).unwrap();
        let target = Target::of(&serde_json::from_str(&dev).unwrap(), running.pid());
        let this = Self { target, world: World::of_file(&dev), _running: running, _dir: dir };
        // Some things are made once, on first use.
        for path in ["/openapi.json", "/assets/vendor/qr/decode.js", "/assets/design.css", "/console", "/jwks"] {
            assert_eq!(reqwest::get(format!("{}{path}", this.world.http)).await.unwrap().status(), 200, "{path}");
        }
        attacks::anonymous_requests(&this.target, 1, 200).await;
        this
    }

    /// Somebody else who wants to be served meanwhile.
    async fn victim(&self) -> SoftPhone {
        self.world.tenant().await.active("ada").await
    }
}

/// Polls again and again. Every poll is answered: otherwise the client gives up by itself after some seconds.
async fn polls(victim: &SoftPhone) {
    // As often as one device may call.
    let mut turns = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..5 {
        turns.tick().await;
        let polled: Result<_, Error> = victim.wait(Duration::ZERO).await;
        assert!(polled.unwrap().is_empty());
    }
}

/// Twelve connections send many requests, half of them beyond every limit, while somebody else polls.
async fn many_requests(target: &Target, victim: &SoftPhone) {
    let peak = Peak::watch(target);
    let attack = tokio::spawn({
        let target = target.clone();
        async move { attacks::anonymous_requests(&target, 12, 1_000).await }
    });
    while !attack.is_finished() {
        polls(victim).await;
    }
    assert_eq!(attack.await.unwrap(), 6_000, "who keeps to the limits is answered");
    assert!(peak.grown() < 64 * MB, "{} bytes", peak.grown());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_anonymous_requests_on_twelve_connections_hold_little_and_nobody_else_waits() {
    let attacked = Attacked::start().await;
    many_requests(&attacked.target, &attacked.victim().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_of_a_gateway_that_is_a_process_of_its_own() {
    let topology = Plan::new().run().await;
    let gateway = topology.service("gateway");
    let (http, pid) = (gateway.address(0), gateway.pid(0));
    let victim = topology.world.tenant().await.active("ada").await;
    many_requests(&Target { http, metrics: String::new(), pid }, &victim).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_takes_no_answer_holds_less_than_a_megabyte() {
    const CONNECTIONS: usize = 20;
    let attacked = Attacked::start().await;
    let (victim, peak) = (attacked.victim().await, Peak::watch(&attacked.target));
    let paths = ["/openapi.json", "/assets/vendor/qr/decode.js", "/assets/design.css", "/console", "/jwks"];
    let before = attacked.target.metric("nodkey_http_requests_total").await;
    let held = attacks::answers_that_nobody_takes(&attacked.target, CONNECTIONS, &paths).await;
    // All of them are answered, as far as they can be.
    let all = before + 100.0 * f64::from(u32::try_from(CONNECTIONS).unwrap());
    while attacked.target.metric("nodkey_http_requests_total").await < all {
        tokio::task::yield_now().await;
    }
    polls(&victim).await;
    let grown = peak.grown();
    assert!(grown < CONNECTIONS as u64 * MB, "{grown} bytes");
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_nobody_hold_little_and_are_given_up() {
    let attacked = Attacked::start().await;
    let (victim, peak) = (attacked.victim().await, Peak::watch(&attacked.target));
    let before = attacked.target.sockets();
    let held = attacks::bodies_without_an_end(&attacked.target, 1_500).await;
    polls(&victim).await;
    let grown = peak.grown();
    // The release binary needs a third of it, because its futures are smaller: `make bench-doors` checks that.
    assert!(grown < 96 * MB, "{grown} bytes");
    // Although their clients keep them open. HTTP/2 connections go on without the streams.
    attacked.target.sockets_fall_to(before + held.1.len() + 1).await;
    drop(held);
}

/// Whatever the attack, others are served: a phone polls and answers, a backend creates and lists.
async fn others_are_served(attacked: &Attacked, tenant: &Tenant, victim: &SoftPhone) {
    polls(victim).await;
    let http = &attacked.world.http;
    let ask = r#"{"user_identifier": "ada", "action": "log in", "resource": "Acme"}"#;
    let created = http::backend(http, &tenant.server, Method::POST, "/api/v2/trusonafications", ask).await;
    assert_eq!(created.status, 201, "{}", created.error);
    let listed = http::backend(http, &tenant.server, Method::GET, "/api/v2/users/ada/devices", "").await;
    assert_eq!(listed.status, 200, "{}", listed.error);
    assert_eq!(tenant.backend.user_devices("ada").await.unwrap().len(), 1);
    victim.respond(&asked(victim).await, Decision::Accept, None).await.unwrap();
}

/// A browser at the attacker's own address creates a code.
async fn a_code_is_made(attacked: &Attacked, tenant: &Tenant) {
    let http = &attacked.world.http;
    let code = format!(r#"{{"relying_party_id": "{}"}}"#, tenant.id);
    let code = reqwest::Client::new().post(format!("{http}/api/v2/trucodes")).header("content-type", "application/json").body(code);
    assert_eq!(code.send().await.unwrap().status(), 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_nobody_that_do_not_go_on_hold_no_place() {
    let attacked = Attacked::start().await;
    let tenant = attacked.world.tenant().await;
    let victim = tenant.active("ada").await;
    others_are_served(&attacked, &tenant, &victim).await;
    // More than there are permits for all.
    let held = attacks::calls_that_do_not_go_on(&attacked.target, 45).await;
    others_are_served(&attacked, &tenant, &victim).await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_invented_credentials_leave_backends_and_phones_their_room() {
    let attacked = Attacked::start().await;
    let tenant = attacked.world.tenant().await;
    let victim = tenant.active("ada").await;
    others_are_served(&attacked, &tenant, &victim).await;
    let peak = Peak::watch(&attacked.target);
    let held = attacks::bodies_of_invented_credentials(&attacked.target, 100).await;
    others_are_served(&attacked, &tenant, &victim).await;
    a_code_is_made(&attacked, &tenant).await;
    assert!(peak.grown() < 64 * MB, "{} bytes", peak.grown());
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_of_many_fields_is_refused() {
    let attacked = Attacked::start().await;
    let names: Vec<_> = (0..80).map(|n| format!("x-{n}")).collect();
    let mut call = reqwest::Client::new().get(format!("{}/jwks", attacked.world.http));
    for name in &names {
        call = call.header(name, "1");
    }
    assert_eq!(http::read(call.send().await.unwrap()).await.error, "TOO_MANY_HEADER_FIELDS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_of_a_greeting_holds_nothing_and_is_not_waited_for() {
    let attacked = Attacked::start().await;
    let peak = Peak::watch(&attacked.target);
    let before = attacked.target.sockets();
    let open = attacks::half_of_a_greeting(&attacked.target, 8_000).await;
    // Although their clients keep them open.
    attacked.target.sockets_fall_to(before + 1).await;
    assert!(peak.grown() < 64 * MB, "{} bytes", peak.grown());
    drop(open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invented_methods_add_nothing_to_the_metrics() {
    let attacked = Attacked::start().await;
    attacks::invented_methods(&attacked.target, 50).await;
    let before = attacked.target.metrics().await;
    let statuses = attacks::invented_methods(&attacked.target, 2_000).await;
    assert!(statuses.iter().all(|status| status == "405"), "{statuses:?}");
    let after = attacked.target.metrics().await;
    assert!(!after.contains("BREW") && after.contains("method=\"other\""));
    let lines = |metrics: &str| metrics.lines().filter(|line| line.starts_with("nodkey_http")).count();
    assert_eq!(lines(&after), lines(&before));
}
