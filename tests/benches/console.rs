//! Measures the console with much data: `make bench-console`. Lists a page of a million trusonafications through the console's own API, on
//! SQLite in one process and on PostgreSQL behind five release binaries. Prints medians, and asserts nothing about speed.
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a benchmark prints, and fails by panicking")]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nodkey_db::{Db, DbConfig};
use nodkey_kernel::time::Clock;
use nodkey_proto::registry::v1::Role;
use serde_json::{Value, json};
use tempfile::TempDir;

use browser::Browser;
use world::{World, environment};

#[path = "../browser.rs"]
#[expect(dead_code, reason = "the scenarios use the rest")]
mod browser;
#[path = "../http.rs"]
#[expect(dead_code, reason = "the scenarios use the rest")]
mod http;
#[path = "../keys.rs"]
#[expect(dead_code, reason = "the scenarios use the rest")]
mod keys;
#[path = "../operators.rs"]
mod operators;
#[path = "../world.rs"]
#[expect(dead_code, reason = "the scenarios use the rest")]
mod world;

/// How often each list is requested.
const ROUNDS: usize = 21;
const LIST: &str = "trusonafication.v1.TrusonaficationService/ListTrusonafications";

/// A million rows: one for each second before now, of 10,000 users, one in 1,000 rejected, none in progress.
const POSTGRES: &str = "INSERT INTO trusonafication (id, relying_party_id, relying_party_name, target, user_identifier, device_id, \
    desired_level, action, resource, prompt, user_presence, show_identity_document, challenge, told, created_at, updated_at, expires_at, \
    status, result_id, answered_by, bound_user, decision, accepted_level, response, keys, version) \
    SELECT gen_random_uuid(), $1, 'Acme', 'user', 'user-' || (n % 10000), repeat('a', 43), 2, 'log in', 'Acme Bank', TRUE, TRUE, FALSE, \
    repeat('c', 700), '[]', now() - n * interval '1 second', now() - n * interval '1 second', now(), \
    CASE WHEN n % 1000 = 0 THEN 'rejected' ELSE 'accepted' END, gen_random_uuid(), repeat('a', 43), 'user-' || (n % 10000), \
    CASE WHEN n % 1000 = 0 THEN 'reject' ELSE 'accept' END, 2, repeat('r', 700), '[]', 2 FROM generate_series(1, 1000000) AS n";
const SQLITE: &str = "INSERT INTO trusonafication (id, relying_party_id, relying_party_name, target, user_identifier, device_id, \
    desired_level, action, resource, prompt, user_presence, show_identity_document, challenge, told, created_at, updated_at, expires_at, \
    status, result_id, answered_by, bound_user, decision, accepted_level, response, keys, version) \
    WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < 1000000) \
    SELECT randomblob(16), $1, 'Acme', 'user', 'user-' || (n % 10000), printf('%.43c', 'a'), 2, 'log in', 'Acme Bank', 1, 1, 0, \
    printf('%.700c', 'c'), '[]', (unixepoch() - n) * 1000000, (unixepoch() - n) * 1000000, unixepoch() * 1000000, \
    CASE WHEN n % 1000 = 0 THEN 'rejected' ELSE 'accepted' END, randomblob(16), printf('%.43c', 'a'), 'user-' || (n % 10000), \
    CASE WHEN n % 1000 = 0 THEN 'reject' ELSE 'accept' END, 2, printf('%.700c', 'r'), '[]', 2 FROM series";

#[tokio::main]
async fn main() {
    let dir = TempDir::new().unwrap();
    let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/nodkey");
    let process = Command::new(binary)
        .args(["dev", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .spawn();
    let mut process = process.expect("target/release/nodkey: run it by `make bench-console`");
    let mut line = String::new();
    // Kept open, because a process that prints to a closed pipe fails.
    let mut told = BufReader::new(process.stdout.take().unwrap());
    told.read_line(&mut line).unwrap();
    assert!(line.contains("ready"), "{line}");
    let embedded = World::of_file(&std::fs::read_to_string(dir.path().join("dev.json")).unwrap());
    let url = format!("sqlite:{}", dir.path().join("trusonafication.db").display());
    lists("SQLite, one process", &embedded, url, SQLITE).await;
    process.kill().unwrap();
    process.wait().unwrap();
    let postgres = environment("NODKEY_TEST_POSTGRES_URL").rsplit_once('/').unwrap().0.to_owned();
    lists("PostgreSQL, five processes", &World::distributed(), format!("{postgres}/nodkey_trusonafication"), POSTGRES).await;
}

async fn lists(what: &str, world: &World, database: String, fill: &'static str) {
    let tenant = world.tenant().await;
    let db = Db::connect(&DbConfig { max_connections: 2, ..DbConfig::new(database) }).await.unwrap();
    let begun = Instant::now();
    db.execute(fill).bind(tenant.id.parse::<uuid::Uuid>().unwrap()).execute().await.unwrap();
    println!("{what}: a million trusonafications made in {:.0} s", begun.elapsed().as_secs_f64());
    let (phone, _) = operators::enrolled(world, "Ada", Role::Auditor).await;
    let mut browser = operators::sign_in(world, &phone).await;
    let deep = page(&mut browser, &tenant.id, &json!({"pageSize": 500})).await.1["nextPageToken"].clone();
    let ten_days_ago = (Clock::system().now() - Duration::from_hours(240)).to_string();
    for (name, message) in [
        ("the newest 50", json!({})),
        ("50 further down", json!({"pageToken": deep})),
        ("50 of ten days ago", json!({"createdBefore": ten_days_ago})),
        ("50 of one user", json!({"userIdentifier": "user-77"})),
        ("50 that were rejected", json!({"status": "STATUS_REJECTED"})),
        ("those in progress, of which there is none", json!({"status": "STATUS_IN_PROGRESS"})),
        ("those expired, of which there is none", json!({"status": "STATUS_EXPIRED"})),
        ("one user's that were rejected", json!({"userIdentifier": "user-1000", "status": "STATUS_REJECTED"})),
    ] {
        let mut took = Vec::new();
        let mut rows = 0;
        for _ in 0..ROUNDS {
            let (time, answer) = page(&mut browser, &tenant.id, &message).await;
            rows = answer["trusonafications"].as_array().map_or(0, Vec::len);
            took.push(time);
        }
        took.sort_unstable();
        println!("  {name:<45} {rows:>3} rows, median {:.1?}, longest {:.1?}", took[ROUNDS / 2], took[ROUNDS - 1]);
    }
}

async fn page(browser: &mut Browser, tenant: &str, message: &Value) -> (Duration, Value) {
    let begun = Instant::now();
    let answer = browser.rpc(LIST, Some(tenant), message.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    (begun.elapsed(), answer.body)
}
