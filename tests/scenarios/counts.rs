//! Counts exactly what one login of one user does. A change that makes it do more or less changes the numbers here.
//!
//! `nodkey bench counts` does the counting: on the wire to PostgreSQL and NATS, and from the services' own metrics. The phone waits by long
//! poll unless a test says otherwise. A login is `asked` until the phone has the challenge and the backend watches, and `answered` from the
//! phone's answer until the phone waits again and every consumer is done. A gRPC call counts when it is over: the backend's watch counts
//! as `answered`.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde::Deserialize;
use tempfile::TempDir;

use crate::world::World;

/// Five services on PostgreSQL and NATS: name, asked, answered.
const DISTRIBUTED: &[(&str, u64, u64)] =
    &[("grpc", 2, 5), ("statements", 5, 8), ("round_trips", 5, 8), ("commits", 2, 2), ("bus_in", 4, 5), ("bus_out", 3, 3)];
/// The same with prompt budgets: one statement more, which looks at the user's.
const WITH_BUDGETS: &[(&str, u64, u64)] =
    &[("grpc", 2, 5), ("statements", 6, 8), ("round_trips", 6, 8), ("commits", 2, 2), ("bus_in", 4, 5), ("bus_out", 3, 3)];
/// One process on SQLite.
const EMBEDDED: &[(&str, u64, u64)] =
    &[("http", 1, 1), ("grpc", 2, 5), ("statements", 7, 9), ("round_trips", 7, 9), ("commits", 2, 2), ("syncs", 2, 2)];
/// The same with a phone on an event stream, which brings the challenge and takes no call to begin again.
const ON_A_STREAM: &[(&str, u64, u64)] =
    &[("http", 0, 1), ("grpc", 2, 4), ("statements", 7, 8), ("round_trips", 7, 8), ("commits", 2, 2), ("syncs", 2, 2)];
/// The same with a backend that calls the gateway: each of its calls, to create and to watch, is a request there, and the gateway reads the
/// result of the watch with a call of its own.
const AT_THE_GATEWAY: &[(&str, u64, u64)] =
    &[("http", 3, 1), ("grpc", 3, 5), ("statements", 7, 9), ("round_trips", 7, 9), ("commits", 2, 2), ("syncs", 2, 2)];

#[derive(Deserialize)]
struct Counted {
    asked: BTreeMap<String, u64>,
    answered: BTreeMap<String, u64>,
}

/// A running `nodkey dev`, ended on drop.
struct Dev(Child);

impl Dev {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(nodkey());
        command.args(["dev", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir"]).arg(folder);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("is ready")), "it becomes ready");
        // The pipe must be drained, so that the process can go on printing.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// The binary, built next to this test.
fn nodkey() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("nodkey")
}

/// Fails with every number that differs, so that one run shows them all.
fn holds(command: &mut Command, expected: &[(&str, u64, u64)]) {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let json = String::from_utf8(output.stdout).unwrap();
    let counted: Counted = serde_json::from_str(&json).unwrap();
    let of = |counts: &BTreeMap<String, u64>, name: &str| counts.get(name).copied().unwrap_or(0);
    let found: Vec<_> = expected.iter().map(|(name, ..)| (*name, of(&counted.asked, name), of(&counted.answered, name))).collect();
    assert_eq!(found, expected, "(name, asked, answered) of {json}");
}

#[test]
fn counts_of_one_login_hold_distributed() {
    distributed(&[], DISTRIBUTED);
}

#[test]
fn counts_of_one_login_hold_where_prompts_have_a_budget() {
    distributed(&["--budgets"], WITH_BUDGETS);
}

fn distributed(options: &[&str], expected: &[(&str, u64, u64)]) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let dir = TempDir::new_in(top.join("target")).unwrap();
    let prefix = nodkey_testkit::unique_prefix();
    let mut command = Command::new(nodkey());
    command.args(["bench", "tap", "--"]).arg(top.join("scripts/up-native")).arg("--dir").arg(dir.path()).args(["--prefix", &prefix, "--"]);
    command
        .arg(nodkey())
        .args(["bench", "counts", "--json", "--rounds", "20"])
        .args(options)
        .arg("--deployment")
        .arg(dir.path().join("native.json"));
    holds(&mut command, expected);
}

#[test]
fn counts_of_one_login_hold_embedded() {
    let dir = TempDir::new().unwrap();
    let _dev = Dev::start(dir.path());
    let mut command = Command::new(nodkey());
    command.args(["bench", "counts", "--json", "--rounds", "20", "--data-dir"]).arg(dir.path());
    holds(&mut command, EMBEDDED);
}

#[test]
fn counts_of_one_login_hold_on_an_event_stream() {
    let dir = TempDir::new().unwrap();
    let _dev = Dev::start(dir.path());
    let mut command = Command::new(nodkey());
    command.args(["bench", "counts", "--json", "--rounds", "20", "--phone", "stream", "--data-dir"]).arg(dir.path());
    holds(&mut command, ON_A_STREAM);
}

#[test]
fn counts_of_one_login_hold_where_the_backend_calls_the_gateway() {
    let dir = TempDir::new().unwrap();
    let _dev = Dev::start(dir.path());
    let mut command = Command::new(nodkey());
    command.args(["bench", "counts", "--json", "--rounds", "20", "--one-address", "--data-dir"]).arg(dir.path());
    holds(&mut command, AT_THE_GATEWAY);
}

#[tokio::test]
async fn what_each_database_is_asked_for_is_counted() {
    let world = World::embedded().await;
    world.tenant().await;
    let metrics = reqwest::get(format!("{}/metrics", world.endpoints.registry)).await.unwrap().text().await.unwrap();
    for name in ["statements", "round_trips", "commits", "syncs"] {
        let line = format!("nodkey_db_{name}_total{{database=\"registry\"}} ");
        let count = metrics.lines().find_map(|found| found.strip_prefix(&line)?.parse::<u64>().ok());
        assert!(count.is_some_and(|count| count > 0), "{name}: {count:?}");
    }
}
