//! `nodkey admin doctor` finds what is broken on purpose, and nothing else.

use std::{sync::Mutex, time::Duration};

use nodkey_client::Endpoints;
use nodkey_kernel::time::Clock;
use serde_json::Value;
use tempfile::TempDir;

use super::drill::command;
use crate::{
    processes::{Plan, Topology},
    world::{World, eventually},
};

/// The exit code, and the checks that were not ok: state, check, subject and what was found.
type Found = (i32, Vec<[String; 4]>);

fn examine(endpoints: &Endpoints, operator_key: &str, more: &[&str]) -> Found {
    let Endpoints { registry, binding, trusonafication, notification, .. } = endpoints;
    let place = TempDir::new().unwrap();
    let grpc = format!("registry={registry},binding={binding},trusonafication={trusonafication},notification={notification}");
    let mut nodkey = command();
    nodkey.env("NODKEY_OPERATOR_KEY", operator_key).env("NODKEY_GRPC", grpc).current_dir(&place);
    let output = nodkey.args(["admin", "doctor", "--json"]).args(more).output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let checks = said["checks"].as_array().unwrap().iter().filter(|check| check["state"] != "ok");
    let text = |check: &Value, name: &str| check[name].as_str().unwrap().to_owned();
    let found = checks.map(|check| {
        assert!(!text(check, "do").is_empty(), "{check} says what to do");
        ["state", "check", "subject", "what"].map(|name| text(check, name))
    });
    (output.status.code().unwrap(), found.collect())
}

struct Patient {
    topology: Topology,
    urls: std::path::PathBuf,
    _place: TempDir,
}

impl Patient {
    async fn new() -> Self {
        let topology = Plan::new().run().await;
        let place = TempDir::new().unwrap();
        let urls = place.path().join("databases.env");
        topology.plan.name_databases(&urls);
        topology.world.tenant().await.active("ada").await;
        Self { topology, urls, _place: place }
    }

    fn examine(&self) -> Found {
        let world = &self.topology.world;
        let more = ["--http", &world.http, "--databases", self.urls.to_str().unwrap()];
        examine(&world.endpoints, world.operator_key(), &more)
    }

    /// Runs a statement in the database of a service.
    async fn spoil(&self, service: &str, statement: &str) {
        let (base, _) = self.topology.plan.postgres.rsplit_once('/').unwrap();
        nodkey_testkit::execute(&format!("{base}/{}", self.topology.plan.database(service)), &[statement]).await;
    }

    /// Waits until this is found, with this exit code, and nothing else.
    async fn has(&self, code: i32, expected: &[[&str; 3]]) {
        let last = Mutex::new(String::new());
        let what = format!("{expected:?}");
        let matched = eventually(&what, async || {
            let found = self.examine();
            let short: Vec<_> = found.1.iter().map(|[state, check, subject, _]| [state.as_str(), check, subject]).collect();
            let said = format!("{found:?}");
            if *last.lock().unwrap() != said {
                eprintln!("looking for {what}: {said}");
                *last.lock().unwrap() = said;
            }
            (found.0 == code && short == expected).then_some(())
        });
        matched.await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_is_found_and_a_sound_deployment_has_none() {
    let patient = Patient::new().await;
    patient.has(0, &[]).await;

    let (schema, unknown) =
        ("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)", "(9999, 'x', true, '', 0)");
    patient.spoil("binding", &format!("{schema} VALUES {unknown}")).await;
    // By the process, and by the database itself.
    patient.has(0, &[["warn", "schema", "binding"], ["warn", "schema", "binding"]]).await;
    patient.spoil("binding", "DELETE FROM _sqlx_migrations WHERE version = 9999").await;
    patient.spoil("binding", "UPDATE _sqlx_migrations SET success = false WHERE version = 1055").await;
    patient.has(1, &[["fail", "schema", "binding"], ["fail", "schema", "binding"]]).await;
    patient.spoil("binding", "UPDATE _sqlx_migrations SET success = true WHERE version = 1055").await;

    // One of several: the process is ready, and somebody will not be let in.
    patient.topology.world.tenant().await;
    let one = "WHERE id = (SELECT id FROM credential ORDER BY id LIMIT 1)";
    // Twice, and it is as it was.
    let turned = format!("UPDATE credential SET sealed_secret = set_byte(sealed_secret, 40, 255 - get_byte(sealed_secret, 40)) {one}");
    patient.spoil("registry", &turned).await;
    patient.has(1, &[["fail", "keys", "registry"]]).await;
    patient.spoil("registry", &turned).await;

    let letter = "INSERT INTO dead_letter VALUES ('c', gen_random_uuid(), 'evt.x', '', '{}', 'spoiled', now())";
    patient.spoil("notification", letter).await;
    patient.has(0, &[["warn", "dead letters", "notification"]]).await;
    patient.spoil("notification", "DELETE FROM dead_letter").await;

    let trusonafication = patient.topology.service("trusonafication");
    trusonafication.bus.refuse().await;
    trusonafication.bus.cut();
    patient.has(1, &[["fail", "bus", "trusonafication"]]).await;
    patient
        .spoil(
            "trusonafication",
            "INSERT INTO outbox (id, subject, payload, headers, created_at) VALUES (gen_random_uuid(), 'evt.x', '', '{}', now() - interval '5 minutes')",
        )
        .await;
    patient.has(1, &[["fail", "events", "trusonafication"], ["fail", "bus", "trusonafication"]]).await;
    patient.spoil("trusonafication", "DELETE FROM outbox").await;
    trusonafication.bus.heal();
    patient.has(0, &[]).await;

    patient.topology.service("binding").stop(0);
    patient.has(1, &[["fail", "reachability", "binding"]]).await;
    patient.topology.service("binding").start(0);
    patient.topology.service("gateway").stop(0);
    patient.has(1, &[["fail", "reachability", "gateway"]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_is_found_with_its_service_and_without() {
    let patient = Patient::new().await;
    let database = &patient.topology.service("registry").database;
    database.refuse().await;
    database.cut();
    let found = || patient.examine().1;
    let seen = eventually("the database is missed", async || {
        let found = found();
        found.iter().find(|[state, check, ..]| state == "fail" && check == "readiness").cloned().or_else(|| {
            // Without the registry nobody can be authenticated by a session, but the operator key needs no database.
            found.iter().find(|[_, check, ..]| check == "reachability").cloned()
        })
    });
    assert_eq!(seen.await[2], "registry");
    std::fs::write(
        &patient.urls,
        std::fs::read_to_string(&patient.urls).unwrap().replace("binding=postgres://", "binding=postgres://nobody_"),
    )
    .unwrap();
    let away = found().into_iter().find(|[_, check, ..]| check == "database").unwrap();
    assert_eq!((away[0].as_str(), away[2].as_str()), ("fail", "binding"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong_is_found_and_another_key_is_told_from_it() {
    let clock = Clock::manual(Clock::system().now() + Duration::from_secs(20));
    let world = World::embedded_by(clock).await;
    let (code, found) = examine(&world.endpoints, world.operator_key(), &[]);
    let clocks: Vec<_> = found.iter().filter(|[_, check, ..]| check == "clock").collect();
    assert!(code == 1 && clocks.len() == 1 && clocks[0][3].contains("ahead"), "{found:?}");
    let other = nodkey_kernel::operator_key::OperatorKey::generate(&nodkey_kernel::random::Random::system());
    let (code, found) = examine(&world.endpoints, &other.to_secret(), &[]);
    assert!(code == 1 && found.iter().filter(|[_, check, ..]| check == "reachability").count() == 4, "{found:?}");
}
