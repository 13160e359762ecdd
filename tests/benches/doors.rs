//! Measures what unauthenticated clients can make a process hold: `make bench-doors`. Runs the attacks of `attacks.rs` at full size on the
//! release binary. Prints what each took, and asserts bytes, never times.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and fails by panicking")]

#[path = "../attacks.rs"]
mod attacks;
mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use attacks::{Peak, Target};
use reqwest::{Client, Method};
use server::Server;

const MB: u64 = 1 << 20;
/// A result of no trusonafication.
const RESULT: &str = "/api/v2/trusonafications/018bcfe5-6800-7000-8000-000000000001";

/// A process under attack, and a backend that reads results at the same time.
struct Attacked {
    server: Arc<Server>,
    target: Target,
}

impl Attacked {
    fn start() -> Self {
        let server = Server::start();
        println!("idle: {:.1} MB resident", server.resident());
        let target = Target::of(&server.dev, server.process.id());
        Self { server: Arc::new(server), target }
    }

    /// Reads a result ten times a second until `over` is set. Returns how often, and the longest time.
    fn victim(&self, over: &Arc<AtomicBool>) -> tokio::task::JoinHandle<(u32, Duration)> {
        let (server, over, client) = (Arc::clone(&self.server), Arc::clone(over), Client::new());
        tokio::spawn(async move {
            let (mut times, mut slowest) = (0, Duration::ZERO);
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            while !over.load(Ordering::Relaxed) {
                ticks.tick().await;
                let begun = Instant::now();
                let answer = server.signed(&client, Method::GET, RESULT, "").send().await.unwrap();
                assert_eq!(answer.status(), 404, "the victim is answered");
                (times, slowest) = (times + 1, slowest.max(begun.elapsed()));
            }
            (times, slowest)
        })
    }

    /// Prints what an attack took, and asserts that it stayed within its limit.
    async fn attack<T>(&self, name: &str, most: u64, attack: impl Future<Output = T>) -> T {
        let (over, peak, cpu, begun) = (Arc::default(), Peak::watch(&self.target), self.server.cpu(), Instant::now());
        let victim = self.victim(&over);
        let done = attack.await;
        over.store(true, Ordering::Relaxed);
        let (times, slowest) = victim.await.unwrap();
        let (took, cpu, grown) = (begun.elapsed(), self.server.cpu().saturating_sub(cpu), peak.grown());
        let megabytes = grown / (MB / 10);
        println!(
            "{name}: {}.{} MB, {:.1} s, {:.1} % of a core; {times} reads meanwhile, the slowest in {} ms",
            megabytes / 10,
            megabytes % 10,
            took.as_secs_f64(),
            100.0 * cpu.as_secs_f64() / took.as_secs_f64(),
            slowest.as_millis(),
        );
        assert!(grown < most, "{name}: {grown} bytes");
        done
    }
}

/// Runs `nodkey bench logins`. Returns the logins per second, the 99th percentile of a login in ms, and the number of failures.
fn logins(server: &Server, pace: &[&str]) -> (f64, f64, u64) {
    let description = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(description.path(), server.dev.to_string()).unwrap();
    let output = std::process::Command::new(format!("/proc/{}/exe", server.process.id()))
        .args(["bench", "logins", "--json", "--deployment"])
        .arg(description.path())
        .args(pace)
        .stderr(std::process::Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = &report["paces"][0]["runs"][0];
    let failed = run["errors"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    println!("  errors: {}", run["errors"]);
    (run["logins_per_second"].as_f64().unwrap(), run["latency_ms"]["whole"]["p99"].as_f64().unwrap(), failed)
}

/// Applies three times the capacity in an open loop. Lists are requested meanwhile, to measure how fast they are refused.
async fn overload() {
    let server = Arc::new(Server::start());
    let target = Target::of(&server.dev, server.process.id());
    let (capacity, whole, _) = logins(&server, &["--concurrency", "32", "--duration", "8"]);
    println!("capacity: {capacity:.0} logins a second at 32 at once, p99 of a login {whole:.0} ms");
    let over = Arc::new(AtomicBool::new(false));
    let lists = tokio::spawn({
        let (server, over, client) = (Arc::clone(&server), Arc::clone(&over), Client::new());
        async move {
            let (mut refused, mut answered) = (Vec::new(), Vec::new());
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            while !over.load(Ordering::Relaxed) {
                ticks.tick().await;
                let begun = Instant::now();
                let answer = server.signed(&client, Method::GET, "/api/v2/users/ada/devices", "").send().await.unwrap();
                let times = if answer.status() == 503 { &mut refused } else { &mut answered };
                times.push(begun.elapsed());
            }
            (refused, answered)
        }
    });
    let rate = (3.0 * capacity).to_string();
    let (done, whole, failed) = {
        let server = Arc::clone(&server);
        let run = move || logins(&server, &["--rate", &rate, "--duration", "15", "--users", "3000"]);
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    over.store(true, Ordering::Relaxed);
    println!("three times as many: {done:.0} logins a second, p99 of a login {whole:.0} ms, {failed} refused or failed");
    let (mut refused, mut answered) = lists.await.unwrap();
    refused.sort();
    answered.sort();
    let quantile = |times: &[Duration], percent: usize| times.get(times.len() * percent / 100).map_or(0, Duration::as_millis);
    println!(
        "lists meanwhile, as their client saw it: {} refused, p50 {} ms, p99 {} ms; {} answered, p99 {} ms",
        refused.len(),
        quantile(&refused, 50),
        quantile(&refused, 99),
        answered.len(),
        quantile(&answered, 99)
    );
    for line in target.metrics().await.lines() {
        let wanted = line.starts_with("nodkey_served_seconds") && (line.contains("0.99\"") || line.contains("_count"));
        if wanted || line.starts_with("nodkey_refused_total") || line.starts_with("nodkey_admission_limit") {
            println!("  {line}");
        }
    }
}

#[tokio::main]
async fn main() {
    nodkey_runtime::install_crypto_provider();
    overload().await;
    let attacked = Attacked::start();
    let target = &attacked.target;
    attacks::anonymous_requests(target, 1, 1_000).await;

    let answered = attacked.attack("12 connections, 10,000 requests each", 64 * MB, attacks::anonymous_requests(target, 12, 10_000));
    println!("  {} of the obedient half were answered", answered.await);

    let paths = ["/openapi.json", "/assets/vendor/qr/decode.js", "/assets/design.css", "/console", "/jwks"];
    drop(attacks::answers_that_nobody_takes(target, 1, &paths).await);
    let one = async {
        let held = attacks::answers_that_nobody_takes(target, 100, &paths).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        held
    };
    drop(attacked.attack("100 connections that take no answer", 100 * MB, one).await);

    let idle = target.sockets();
    let bodies = async {
        let held = attacks::bodies_without_an_end(target, 1_500).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        held
    };
    drop(attacked.attack("1,500 bodies of nobody", 32 * MB, bodies).await);
    target.sockets_fall_to(idle + 1).await;

    drop(attacked.attack("45 connections whose calls do not go on", 64 * MB, attacks::calls_that_do_not_go_on(target, 45)).await);
    let invented = attacks::bodies_of_invented_credentials(target, 200);
    drop(attacked.attack("2,000 bodies of invented credentials", 64 * MB, invented).await);

    attacked.attack("nobody else, for comparison", 64 * MB, tokio::time::sleep(Duration::from_secs(3))).await;
    let idle = target.sockets();
    let open = attacks::half_of_a_greeting(target, 8_000).await;
    let waited = Instant::now();
    // The victim's own connection is opened later.
    let gone = target.sockets_fall_to(idle + 1);
    attacked.attack("8,000 half greetings, once they are sent", 64 * MB, gone).await;
    let (waited, left) = (waited.elapsed().as_secs_f64(), target.metric("nodkey_connections").await);
    println!("  all of them gone after {waited:.1} s; the process says it has {left} connections");
    drop(open);

    let before = target.metrics().await.len();
    attacked.attack("22,000 invented methods", 64 * MB, attacks::invented_methods(target, 22_000)).await;
    println!("  /metrics: {before} bytes before, {} after", target.metrics().await.len());
}
