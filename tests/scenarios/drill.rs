//! Everything is lost, and comes back from a backup that was made under load.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    path::Path,
    process::{Command, Output},
    str::FromStr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use nodkey_client::{Expected, Kind};
use nodkey_db::{Db, DbConfig};
use nodkey_testkit::TestNats;
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    http,
    processes::{Plan, Running, SERVICES, binaries},
    world::{SoftPhone, Tenant, World, environment, free_addresses},
    writes::log_in_by,
};

/// Phones that log in at the same time.
const PHONES: usize = 4;

/// How many of something: so many in the suite, and as many as the environment says when somebody measures.
pub fn amount<T: FromStr<Err: Debug>>(name: &str, in_the_suite: T) -> T {
    std::env::vars().find(|(known, _)| known == name).map_or(in_the_suite, |(_, n)| n.parse().unwrap())
}

/// How many logins follow the backup.
fn later() -> usize {
    amount("NODKEY_TEST_DRILL_LOGINS", 40)
}

/// The `nodkey` command, without the settings of this test.
pub fn command() -> Command {
    let mut command = Command::new(binaries().join("nodkey"));
    command.env_clear().env("PATH", environment("PATH"));
    command
}

fn nodkey(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

fn succeeds(arguments: &[&str]) -> Value {
    let output = nodkey(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = nodkey(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{arguments:?}: {said}");
    said
}

/// A relying party with phones, and what it knows of its logins.
struct Site {
    tenant: Tenant,
    phones: Vec<(String, SoftPhone)>,
    /// Evidence of logins, to the letter.
    evidence: BTreeMap<String, String>,
}

impl Site {
    async fn new(world: &World) -> Self {
        let tenant = world.tenant().await;
        let mut phones = Vec::new();
        for n in 0..PHONES {
            let user = format!("user {n}");
            phones.push((user.clone(), tenant.active(&user).await));
        }
        let mut site = Self { tenant, phones, evidence: BTreeMap::new() };
        let ids = site.log_in(2 * PHONES).await;
        for id in ids {
            let text = site.evidence_of(&id).await;
            site.evidence.insert(id, text);
        }
        site
    }

    /// Logs in at least so many times, with all phones at once; returns the ids.
    async fn log_in(&self, times: usize) -> Vec<String> {
        self.log_in_with(&self.phones, times).await
    }

    /// Does the same without the first phone.
    async fn log_in_by_others(&self, times: usize) -> Vec<String> {
        self.log_in_with(&self.phones[1..], times).await
    }

    async fn log_in_with(&self, phones: &[(String, SoftPhone)], times: usize) -> Vec<String> {
        let logins = phones.iter().map(async |(user, phone)| {
            let mut ids = Vec::new();
            for _ in 0..times.div_ceil(phones.len()) {
                ids.push(log_in_by(&self.tenant, user, phone).await);
            }
            ids
        });
        futures_util::future::join_all(logins).await.concat()
    }

    async fn evidence_of(&self, id: &str) -> String {
        let path = format!("/api/v2/trusonafications/{id}/evidence");
        let answered = http::backend(&self.tenant.http, &self.tenant.server, Method::GET, &path, "").await;
        assert_eq!(answered.status, 200, "{}", answered.text);
        answered.text
    }

    /// Runs a backup while phones log in and others enroll. Nobody may be refused.
    async fn back_up_under_load(&self, arguments: &[&str]) -> Value {
        let done = AtomicBool::new(false);
        let logins = self.phones.iter().map(async |(user, phone)| {
            while !done.load(Ordering::Relaxed) {
                log_in_by(&self.tenant, user, phone).await;
            }
        });
        let enrolments = async {
            let mut enrolled = 0;
            while !done.load(Ordering::Relaxed) {
                self.tenant.active(&format!("new user {enrolled}")).await;
                enrolled += 1;
            }
            enrolled
        };
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let backup = async {
            let run = move || succeeds(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
            let said = tokio::task::spawn_blocking(run).await.unwrap();
            done.store(true, Ordering::Relaxed);
            said
        };
        let (said, enrolled, _) = tokio::join!(backup, enrolments, futures_util::future::join_all(logins));
        assert!(enrolled > 0);
        said
    }

    /// What was there at the backup is there, and works. What came after is gone.
    async fn is_as_it_was(&self, gone: &[String], retired: &(String, SoftPhone)) {
        for (id, before) in &self.evidence {
            assert_eq!(&self.evidence_of(id).await, before, "evidence of {id}");
            self.tenant.prove(id, &Expected::accept()).await.unwrap();
        }
        for id in gone {
            let found = self.tenant.backend.trusonafication(id).await;
            assert_eq!(found.map(drop).map_err(|e| e.kind), Err(Kind::NotFound), "{id}");
        }
        for (user, phone) in &self.phones {
            log_in_by(&self.tenant, user, phone).await;
        }
        // The retirement is undone, as the command says.
        log_in_by(&self.tenant, &retired.0, &retired.1).await;
        self.tenant.active("somebody new").await;
    }
}

/// Whether every device that is bound is registered: they are in different databases, and registered first.
async fn bound_devices_are_registered(url: impl Fn(&str) -> String) {
    let mut ids = Vec::new();
    for (service, sql) in [("registry", "SELECT id FROM device"), ("binding", "SELECT device_id AS id FROM binding")] {
        let db = Db::connect(&DbConfig::new(url(service))).await.unwrap();
        let found: Vec<String> = db.query(sql).fetch_all().await.unwrap().iter().map(|row| row.get("id").unwrap()).collect();
        db.close().await;
        ids.push(found);
    }
    assert!(ids[1].len() >= PHONES);
    assert!(ids[1].iter().all(|bound| ids[0].contains(bound)), "{ids:?}");
}

fn text_of(todo: &Value, subject: &str) -> String {
    let item = todo.as_array().unwrap().iter().find(|item| item["subject"] == subject);
    item.unwrap_or_else(|| panic!("{subject} in {todo}"))["text"].as_str().unwrap().to_owned()
}

fn says_what_to_repeat(restored: &Value, manifest: &Value) {
    let todo = &restored["todo"];
    assert!(text_of(todo, "revocations").contains(manifest["taken_at"].as_str().unwrap()), "{todo}");
    assert!(text_of(todo, "master key").contains(manifest["master_keys"][0].as_str().unwrap()), "{todo}");
    for subject in ["signing keys", "operators", "phones", "logins", "events", "webhooks", "audit log"] {
        assert!(!text_of(todo, subject).is_empty());
    }
}

fn report(engine: &str, backup: &Value, lost: usize, restore: Duration, drill: Duration) {
    let held = &backup["manifest"]["writes_held_ms"];
    eprintln!("drill on {engine}: writes waited {held} ms, {lost} logins lost, restored in {restore:.1?}, drill {drill:.1?}");
}

/// Only its owner reads what is in a backup, and it has no key.
fn is_private(backup: &Path, secrets: &[&str]) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(backup), 0o700);
    for entry in std::fs::read_dir(backup).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        let bytes = std::fs::read(&path).unwrap();
        for secret in secrets {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_that_is_lost_comes_back_from_a_backup_made_under_load() {
    let drill = Instant::now();
    let place = TempDir::new().unwrap();
    let (data, backup) = (place.path().join("data"), place.path().join("backup"));
    let (data, backup) = (data.to_str().unwrap(), backup.to_str().unwrap());
    let (http, grpc) = free_addresses();
    let start = || {
        let mut command = Command::new(binaries().join("nodkey"));
        Running::start(command.args(["dev", "--http", &http.to_string(), "--grpc", &grpc.to_string(), "--data-dir", data]), "ready")
    };
    let running = start();
    let read = |name: &str| std::fs::read_to_string(Path::new(data).join(name)).unwrap();
    let (world, keys) = (World::of_file(&read("dev.json")), read("keys.json"));
    let site = Site::new(&world).await;
    let retired = ("user of a stolen phone".to_owned(), site.tenant.active("user of a stolen phone").await);
    let said = site.back_up_under_load(&["admin", "backup", backup, "--data-dir", data]).await;
    assert!(said["manifest"]["writes_held_ms"].as_f64().unwrap() < 2000.0, "{said}");
    let secret: Value = serde_json::from_str(&keys).unwrap();
    is_private(Path::new(backup), &[secret["master_key"].as_str().unwrap(), secret["operator_key"].as_str().unwrap()]);
    assert!(refused(&["admin", "backup", backup, "--data-dir", data]).contains("never overwritten"));
    assert!(refused(&["admin", "restore", backup, "--data-dir", data]).contains("is not empty"));
    site.tenant.backend.deactivate_user(&retired.0).await.unwrap();
    let device = site.phones[0].1.device_identifier().as_str();
    let admin = |arguments: &[&str]| nodkey(&[&["admin"], arguments, &["--data-dir", data, "--relying-party", &site.tenant.id]].concat());
    assert!(admin(&["devices", "retire", device, "--yes"]).status.success());
    assert!(admin(&["devices", "show", device]).status.success());
    let export = place.path().join("audit.jsonl");
    std::fs::write(&export, admin(&["audit", "export"]).stdout).unwrap();
    let gone = site.log_in_by_others(later()).await;

    running.kill();
    std::fs::remove_dir_all(data).unwrap();
    let restoring = Instant::now();
    std::fs::create_dir(data).unwrap();
    let other = Path::new(data).join("keys.json");
    std::fs::write(&other, keys.replace(secret["master_key"].as_str().unwrap(), &"ab".repeat(32))).unwrap();
    assert!(refused(&["admin", "restore", backup, "--data-dir", data]).contains("has master key"));
    std::fs::write(&other, &keys).unwrap();
    let part = Path::new(backup).join("binding.db");
    let whole = std::fs::read(&part).unwrap();
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&part, damaged).unwrap();
    assert!(refused(&["admin", "restore", backup, "--data-dir", data]).contains("binding.db is not what the backup says"));
    std::fs::write(&part, whole).unwrap();
    let restored = succeeds(&["admin", "restore", backup, "--data-dir", data, "--audit", export.to_str().unwrap()]);
    let acts = restored["acts"].as_array().unwrap();
    assert!(acts.len() == 1 && acts[0]["method"] == "nodkey.registry.v1.DeviceService/RetireDevice", "{acts:?}");
    assert!(acts[0]["request"].as_str().unwrap().contains(device), "{acts:?}");
    says_what_to_repeat(&restored, &said["manifest"]);
    bound_devices_are_registered(|service| format!("sqlite:{data}/{service}.db")).await;
    let _running = start();
    site.is_as_it_was(&gone, &retired).await;
    report("SQLite", &said, gone.len(), restoring.elapsed(), drill.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_and_streams_that_are_lost_come_back_from_a_backup_made_under_load() {
    let drill = Instant::now();
    let nats = TestNats::start();
    let plan = Plan::new().on_nats(&nats);
    let topology = plan.clone().run().await;
    let place = TempDir::new().unwrap();
    let (urls, backup) = (place.path().join("databases.env"), place.path().join("backup"));
    let (urls, backup) = (urls.to_str().unwrap(), backup.to_str().unwrap());
    plan.name_databases(Path::new(urls));
    let bin = environment("NODKEY_TEST_POSTGRES_BIN");
    let named = ["--databases", urls, "--postgres-bin", &bin];
    let site = Site::new(&topology.world).await;
    let retired = ("user of a stolen phone".to_owned(), site.tenant.active("user of a stolen phone").await);
    let said = site.back_up_under_load(&[&["admin", "backup", backup][..], &named].concat()).await;
    assert!(said["manifest"]["writes_held_ms"].as_f64().unwrap() < 2000.0, "{said}");
    let master = plan.keys.settings("registry")["NODKEY_DEPLOYMENT__MASTER_KEY"].clone();
    is_private(Path::new(backup), &[&master]);
    let restore = [&["admin", "restore", backup][..], &named].concat();
    assert!(refused(&restore).contains("is not empty"));
    site.tenant.backend.deactivate_user(&retired.0).await.unwrap();
    let gone = site.log_in(later()).await;

    topology.services().for_each(|service| service.kill(0));
    for service in &SERVICES[..4] {
        let name = plan.database(service);
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        nodkey_testkit::execute(&plan.postgres, &[&drop, &format!("CREATE DATABASE {name} OWNER {name}")]).await;
    }
    drop(nats);
    let nats = TestNats::start();
    let address: std::net::SocketAddr = nats.url().trim_start_matches("nats://").parse().unwrap();
    topology.services().for_each(|service| service.bus.set_targets([address]));
    let restoring = Instant::now();
    let restored = succeeds(&restore);
    says_what_to_repeat(&restored, &said["manifest"]);
    bound_devices_are_registered(|service| plan.url(service)).await;
    topology.services().for_each(|service| service.start(0));
    topology.ready().await;
    site.is_as_it_was(&gone, &retired).await;
    report("PostgreSQL", &said, gone.len(), restoring.elapsed(), drill.elapsed());
}

#[test]
fn what_is_no_installation_is_not_backed_up_and_leaves_nothing_behind() {
    let place = TempDir::new().unwrap();
    let (data, backup) = (place.path().join("data"), place.path().join("backup"));
    let (data, backup) = (data.to_str().unwrap(), backup.to_str().unwrap());
    assert!(refused(&["admin", "backup", backup, "--data-dir", data]).contains("is no data folder"));
    std::fs::create_dir(data).unwrap();
    for service in &SERVICES[..4] {
        std::fs::write(format!("{data}/{service}.db"), "").unwrap();
    }
    assert!(refused(&["admin", "backup", backup, "--data-dir", data]).contains("no database of Nodkey"));
    assert!(!Path::new(backup).exists());
    assert!(refused(&["admin", "restore", backup, "--data-dir", data]).contains("is no backup"));
    let urls = place.path().join("databases.env");
    std::fs::write(&urls, "registry=postgres://r:secret@127.0.0.1:1/r\n").unwrap();
    let wrong = nodkey(&["admin", "backup", backup, "--databases", urls.to_str().unwrap()]);
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(wrong.status.code() == Some(2) && said.contains("one line for binding") && !said.contains("secret"), "{said}");
}
