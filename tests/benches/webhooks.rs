//! Measures the delivery of results to backends: `make bench-webhooks`. Runs against the five release binaries on PostgreSQL and NATS that
//! `scripts/up-native` starts. Prints what it measures, and asserts nothing about speed.
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::panic, reason = "a benchmark prints, and fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "it is configured by its runner's environment")]

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use nodkey_client::{NewTrusonafication, ServiceName};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::notification::v1::{CreateEndpointRequest, endpoint_service_client::EndpointServiceClient};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

use world::{SoftPhone, Tenant, World};

#[path = "../keys.rs"]
#[expect(dead_code, reason = "the scenarios use the rest")]
mod keys;
#[path = "../world.rs"]
#[expect(dead_code, reason = "the scenarios use the rest")]
mod world;

/// The number of users who answer, each with a phone of their own.
const USERS: usize = 16;
/// The number of answers by phones.
const ANSWERS: usize = 4_000;
/// The rate of results for the whole deployment, per second.
const RATE: u64 = 150;
/// The number of results at that rate.
const PACED: usize = 4_000;
/// The number of results while the service is killed.
const KILLED: usize = 10_000;
/// The number of kills.
const KILLS: usize = 5;

/// When each message arrived, by `webhook-id`, and when each trusonafication was first reported.
#[derive(Default)]
struct Seen {
    by_id: HashMap<String, Vec<Instant>>,
    by_trusonafication: HashMap<String, Instant>,
}

#[derive(Clone)]
struct Receiver {
    url: String,
    seen: Arc<Mutex<Seen>>,
    count: Arc<AtomicU64>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Self { url, seen: Arc::default(), count: Arc::default() };
        let routes = Router::new().route("/hook", post(take)).route("/count", post(count)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        receiver
    }

    async fn until(&self, count: usize) {
        while self.seen.lock().unwrap().by_trusonafication.len() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn take(&self) -> Seen {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) {
    let at = Instant::now();
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let trusonafication = body["data"]["id"].as_str().unwrap().to_owned();
    let mut seen = receiver.seen.lock().unwrap();
    seen.by_id.entry(id).or_default().push(at);
    seen.by_trusonafication.entry(trusonafication).or_insert(at);
}

async fn count(State(receiver): State<Receiver>) {
    receiver.count.fetch_add(1, Ordering::Relaxed);
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let world = World::distributed();
    let receiver = Receiver::start().await;
    let tenant = Arc::new(world.tenant().await);
    let endpoint = endpoint(&tenant, &receiver.url).await;
    let mut users = Vec::new();
    for user in 0..USERS {
        users.push((format!("user-{user}"), tenant.active(&format!("user-{user}")).await));
    }
    let users = Arc::new(users);
    answers(&tenant, &users, &receiver).await;
    paced(&tenant, &receiver).await;
    kills(&tenant, &receiver).await;
    backlog(&tenant, &endpoint, &receiver).await;
}

async fn endpoint(tenant: &Tenant, url: &str) -> String {
    let mut endpoints = EndpointServiceClient::new(tenant.backend.channel(ServiceName::Notification));
    let results = ["accepted", "rejected", "expired", "canceled"].map(|end| format!("trusonafication.{end}"));
    let request = CreateEndpointRequest { url: url.to_owned(), event_types: results.into(), ..CreateEndpointRequest::default() };
    endpoints.create_endpoint(request).await.unwrap().into_inner().endpoint.unwrap().id
}

/// Phones answer as fast as they can. Measured from the phone's answer to the arrival of the webhook.
async fn answers(tenant: &Arc<Tenant>, users: &Arc<Vec<(String, SoftPhone)>>, receiver: &Receiver) {
    let (usage, began) = (Usage::now(), Instant::now());
    let mut workers = JoinSet::new();
    for user in 0..USERS {
        let (tenant, users) = (Arc::clone(tenant), Arc::clone(users));
        workers.spawn(async move {
            let (name, phone) = &users[user];
            let mut sent = Vec::new();
            for _ in 0..ANSWERS / USERS {
                let ask = NewTrusonafication::user(name, "log in", "Acme");
                let id = tenant.backend.create_trusonafication(ask).await.unwrap().trusonafication.id;
                let pending = world::asked(phone).await;
                let at = Instant::now();
                phone.respond(&pending, Decision::Accept, None).await.unwrap();
                sent.push((id, at));
            }
            sent
        });
    }
    let sent: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    let rate = per_second(sent.len(), began.elapsed());
    receiver.until(sent.len()).await;
    println!("phones answer {rate:.0} a second; answer to webhook {}", latencies(&sent, &receiver.take()));
    usage.print();
}

/// Results at a fixed rate: each trusonafication is canceled immediately, which ends it the way an answer does. Measured from the call to
/// the webhook.
async fn paced(tenant: &Arc<Tenant>, receiver: &Receiver) {
    let usage = Usage::now();
    let (began, sent) = (Instant::now(), results(tenant, PACED).await);
    let rate = per_second(sent.len(), began.elapsed());
    receiver.until(sent.len()).await;
    println!("{rate:.0} results a second of {RATE} asked for; call to webhook {}", latencies(&sent, &receiver.take()));
    usage.print();
}

/// Ends this many trusonafications. Returns when each was ended.
async fn results(tenant: &Arc<Tenant>, count: usize) -> Vec<(String, Instant)> {
    let (mut workers, began) = (JoinSet::new(), Instant::now());
    for worker in 0..USERS {
        let tenant = Arc::clone(tenant);
        workers.spawn(async move {
            let mut sent = Vec::new();
            for number in (worker..count).step_by(USERS) {
                tokio::time::sleep_until((began + Duration::from_micros(number as u64 * 1_000_000 / RATE)).into()).await;
                let ask = NewTrusonafication::user(&format!("user-{worker}"), "log in", "Acme");
                let id = tenant.backend.create_trusonafication(ask).await.unwrap().trusonafication.id;
                let at = Instant::now();
                tenant.backend.cancel(&id).await.unwrap();
                sent.push((id, at));
            }
            sent
        });
    }
    workers.join_all().await.into_iter().flatten().collect()
}

/// Kills the notification service with `kill -9` again and again, and restarts it each time.
async fn kills(tenant: &Arc<Tenant>, receiver: &Receiver) {
    let killer = tokio::spawn(async {
        let mut kills = Vec::new();
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_secs(3)).await;
            kills.push(Instant::now());
            assert!(Command::new("kill").args(["-9", &notification()]).status().unwrap().success());
        }
        kills
    });
    let sent = results(tenant, KILLED).await;
    let kills = killer.await.unwrap();
    receiver.until(sent.len()).await;
    // A delivery in flight during a kill is repeated once its reservation has expired.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let seen = receiver.take();
    let lost = sent.iter().filter(|(id, _)| !seen.by_trusonafication.contains_key(id)).count();
    let repeated: Vec<_> = seen.by_id.values().filter(|arrivals| arrivals.len() > 1).collect();
    let near = |at: &Instant| kills.iter().any(|kill| at.max(kill).duration_since(*at.min(kill)) < Duration::from_millis(500));
    let elsewhere = repeated.iter().filter(|arrivals| !near(&arrivals[0])).count();
    println!(
        "{} results, {} kills: {lost} lost, {} repeated, {elsewhere} of them not first told within 0.5 s of a kill",
        sent.len(),
        kills.len(),
        repeated.len()
    );
}

/// Delivers a backlog, and watches the memory meanwhile.
async fn backlog(tenant: &Tenant, endpoint: &str, receiver: &Receiver) {
    let total: u64 = std::env::var("NODKEY_BENCH_BACKLOG").map_or(100_000, |n| n.parse().unwrap());
    let url = receiver.url.replace("/hook", "/count");
    let party = &tenant.id;
    let before = resident();
    psql(&format!(
        "UPDATE endpoint SET url = '{url}' WHERE id = '{endpoint}'; \
         INSERT INTO delivery (id, relying_party_id, trusonafication_id, event_type, endpoint_id, lane, url, body, state, attempt_count, \
         attempts_before, next_attempt_at, occurred_at, created_at, version) \
         SELECT gen_random_uuid(), '{party}', gen_random_uuid(), 'trusonafication.accepted', '{endpoint}', '{party}/{endpoint}', '{url}', \
         '{{\"data\":\"' || repeat('x', 800) || '\"}}', 'pending', 0, 0, now(), now(), now(), 1 FROM generate_series(1, {total})"
    ));
    let (usage, began) = (Usage::now(), Instant::now());
    let (mut most, mut told) = (before, 0);
    while receiver.count.load(Ordering::Relaxed) < total {
        tokio::time::sleep(Duration::from_millis(200)).await;
        most = most.max(resident());
        let tenth = receiver.count.load(Ordering::Relaxed) * 10 / total;
        if tenth > told {
            told = tenth;
            println!("  {}0 % after {:.0} s, {:.1} MB resident", told, began.elapsed().as_secs_f64(), resident());
        }
    }
    let rate = per_second(usize::try_from(total).unwrap(), began.elapsed());
    println!("a backlog of {total}: {rate:.0} a second; {before:.1} MB resident before, {most:.1} MB at most, {:.1} MB after", resident());
    usage.print();
}

/// The processor time of each kind of process.
struct Usage(BTreeMap<String, f64>, Instant);

impl Usage {
    fn now() -> Self {
        let mut used: BTreeMap<String, f64> = BTreeMap::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
            let (command, stat) = (read("cmdline").replace('\0', " "), read("stat"));
            let known = ["nodkey-", "nats-server", "webhooks-"].iter().find_map(|name| Some(&command[command.find(name)?..]));
            let name = if command.starts_with("postgres: ") { Some("postgres") } else { known };
            let Some((name, fields)) = name.zip(stat.rsplit_once(')').map(|(_, fields)| fields)) else { continue };
            // Clock ticks of 10 ms, in user and in kernel mode.
            let ticks: f64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum();
            let name = name.split([' ', '/']).next().unwrap_or_default();
            *used.entry(name.to_owned()).or_default() += ticks / 100.0;
        }
        Self(used, Instant::now())
    }

    fn print(&self) {
        let (now, wall) = (Self::now(), self.1.elapsed().as_secs_f64());
        let share = |name: &String, used: &f64| (used - self.0.get(name).copied().unwrap_or(0.0)) / wall * 100.0;
        let shares: Vec<_> = now.0.iter().map(|(name, used)| format!("{name} {:.0} %", share(name, used))).collect();
        println!("  of one processor: {}", shares.join(", "));
    }
}

/// The folder of the running deployment.
fn folder() -> PathBuf {
    Path::new(&std::env::var("NODKEY_TEST_NATIVE").unwrap()).parent().unwrap().to_owned()
}

/// The id of the current notification service process.
fn notification() -> String {
    std::fs::read_to_string(folder().join("notification.pid")).unwrap().trim().to_owned()
}

/// Resident memory of the notification service, in MB.
fn resident() -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", notification())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1000.0
}

fn psql(sql: &str) {
    let server = std::env::var("NODKEY_TEST_POSTGRES_URL").unwrap();
    let url = format!("{}/nodkey_notification", server.rsplit_once('/').unwrap().0);
    let binary = std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|e| e.unwrap().path().join("bin/psql")).max().unwrap();
    assert!(Command::new(binary).args(["-q", "-v", "ON_ERROR_STOP=1", &url, "-c", sql]).status().unwrap().success());
}

fn latencies(sent: &[(String, Instant)], seen: &Seen) -> String {
    let mut took: Vec<_> = sent.iter().map(|(id, at)| seen.by_trusonafication[id].saturating_duration_since(*at)).collect();
    took.sort();
    let at = |share: usize| took[(took.len() - 1) * share / 100].as_secs_f64() * 1e3;
    format!("p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, longest {:.1} ms", at(50), at(90), at(99), at(100))
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts that far")]
fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
