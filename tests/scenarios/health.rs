//! Readiness is the same everywhere: in `/readyz`, in `grpc.health.v1` by the full names of services, and in the log. A process that cannot
//! start names the settings that are wrong.

use std::{
    net::TcpListener,
    process::{Command, Output},
};

use futures_util::StreamExt as _;
use nodkey_testkit::TestPostgres;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{
    processes::{Plan, SERVICES, Topology, binaries, health, readiness, signal},
    world::eventually,
};

/// A service of each process, by its full name.
const NAMES: [(&str, &str); 4] = [
    ("registry", "nodkey.registry.v1.DeviceService"),
    ("binding", "nodkey.binding.v1.BindingService"),
    ("trusonafication", "nodkey.trusonafication.v1.TrusonaficationService"),
    ("notification", "nodkey.notification.v1.EndpointService"),
];

fn url(topology: &Topology, service: &str) -> String {
    format!("http://{}", topology.service(service).address(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_process_says_of_its_services_by_their_full_names_that_they_serve() {
    let topology = Plan::new().run().await;
    for (process, name) in NAMES {
        for known in ["", name, "nodkey.status.v1.StatusService"] {
            assert_eq!(health(&url(&topology, process), known).await, Ok(ServingStatus::Serving), "{process}: {known}");
        }
        for (_, other) in NAMES.iter().filter(|(other, _)| *other != process) {
            assert_eq!(health(&url(&topology, process), other).await, Err(tonic::Code::NotFound), "{process}: {other}");
        }
        // The gateway forwards the methods of each that backends may call.
        assert_eq!(health(&url(&topology, "gateway"), name).await, Ok(ServingStatus::Serving), "the gateway: {name}");
    }
    assert_eq!(health(&url(&topology, "gateway"), "").await, Ok(ServingStatus::Serving));
    assert_eq!(health(&url(&topology, "gateway"), "nodkey.status.v1.StatusService").await, Err(tonic::Code::NotFound));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_told_to_stop_serves_on_without_being_ready_until_it_is_drained_or_told_again() {
    let topology = Plan::new().set("NODKEY_SERVER__DRAIN_SECONDS", "600").run().await;
    for service in SERVICES {
        let (pid, url) = (topology.service(service).pid(0), url(&topology, service));
        signal(pid, "-TERM");
        let is = async |expected| (readiness(&url).await == expected).then_some(());
        eventually("it is not ready", async || is(Some(503)).await).await;
        // On a new connection, as from a load balancer that has not noticed.
        let alive = reqwest::Client::new().get(format!("{url}/livez")).send().await.unwrap();
        assert_eq!(alive.status(), 200, "{service}");
        signal(pid, "-TERM");
        eventually("it is gone", async || is(None).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_is_told_when_the_database_goes_and_when_it_is_back() {
    let server = TestPostgres::start();
    let topology = Plan::new().on_postgres(&server).run().await;
    let channel = tonic::transport::Endpoint::from_shared(url(&topology, "binding")).unwrap().connect_lazy();
    let request = HealthCheckRequest { service: "nodkey.binding.v1.BindingService".into() };
    let mut watch = HealthClient::new(channel).watch(request).await.unwrap().into_inner();
    let mut next = async || watch.next().await.unwrap().unwrap().status();
    assert_eq!(next().await, ServingStatus::Serving);
    server.stop();
    assert_eq!(next().await, ServingStatus::NotServing);
    server.restart(&[]);
    assert_eq!(next().await, ServingStatus::Serving);
    // It does not delay a stop.
    topology.service("binding").stop(0);
    assert_eq!(next().await, ServingStatus::NotServing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_whose_master_key_opens_nothing_of_its_database_is_not_ready_and_says_what_it_cannot_open() {
    let topology = Plan::new().run().await;
    topology.world.tenant().await;
    for (service, column) in [("registry", "credential.sealed_secret"), ("trusonafication", "signing_key.sealed_private")] {
        let running = topology.service(service);
        let address = url(&topology, service);
        eventually("there is something sealed", async || sealed(&topology, service, column).await.then_some(())).await;
        assert_eq!(readiness(&address).await, Some(200));
        let right = topology.plan.keys.settings(service)["NODKEY_DEPLOYMENT__MASTER_KEY"].clone();
        let wrong = "ab".repeat(32);
        running.stop(0);
        running.change(vec![("NODKEY_DEPLOYMENT__MASTER_KEY".into(), Some(wrong.clone()))]);
        running.start(0);
        let address = url(&topology, service);
        running.readiness(503).await;
        let said = reqwest::get(format!("{address}/readyz")).await.unwrap().text().await.unwrap();
        assert!(said.contains(column) && said.contains("master key"), "{said}");
        assert!(!said.contains(&wrong) && !said.contains(&right), "{said}");
        assert_eq!(health(&address, "").await, Ok(ServingStatus::NotServing));
        running.stop(0);
        running.change(vec![
            ("NODKEY_DEPLOYMENT__MASTER_KEY".into(), Some(wrong)),
            ("NODKEY_DEPLOYMENT__PREVIOUS_MASTER_KEYS".into(), Some(right)),
        ]);
        running.start(0);
        running.readiness(200).await;
    }
}

async fn sealed(topology: &Topology, service: &str, column: &str) -> bool {
    let (table, column) = column.split_once('.').unwrap();
    let base = topology.plan.postgres.rsplit_once('/').unwrap().0;
    let url = format!("{base}/{}", topology.plan.database(service));
    nodkey_testkit::number(&url, &format!("SELECT count(*) FROM {table} WHERE {column} IS NOT NULL")).await > 0
}

/// Runs a service with exactly these settings, until it ends by itself.
fn ended(service: &str, arguments: &[&str], settings: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(binaries().join(format!("nodkey-{service}")));
    let Output { status, stdout, stderr } = command.env_clear().args(arguments).envs(settings.iter().copied()).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn every_service_refuses_unknown_arguments_and_says_its_version_and_its_settings() {
    for service in SERVICES {
        let (code, _, said) = ended(service, &["--port", "7070"], &[]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("\"--port\"") && said.contains("--help"), "{said}");
        let (code, said, _) = ended(service, &["--version"], &[]);
        assert_eq!((code, said), (Some(0), format!("nodkey-{service} {}\n", env!("CARGO_PKG_VERSION"))));
        let (code, said, _) = ended(service, &["--help"], &[]);
        assert_eq!(code, Some(0));
        for part in ["healthcheck", "NODKEY_DB__URL", "NODKEY_DEPLOYMENT__PUBLIC_URL", "NODKEY_LOG"] {
            assert!(said.contains(part), "{service}: {part}: {said}");
        }
    }
}

#[test]
fn every_service_names_all_that_is_missing_at_once_with_the_variable_that_sets_it() {
    for service in SERVICES {
        let (code, _, said) = ended(service, &[], &[]);
        assert_eq!(code, Some(1), "{said}");
        let own: &[&str] =
            if service == "gateway" { &["NODKEY_SERVICE__COOKIE_KEY"] } else { &["NODKEY_DB__URL", "NODKEY_DEPLOYMENT__MASTER_KEY"] };
        let all = ["NODKEY_DEPLOYMENT__PUBLIC_URL", "NODKEY_DEPLOYMENT__SERVICE_KEY\n", "NODKEY_DEPLOYMENT__SERVICE_KEYS"];
        for part in all.iter().chain(own) {
            assert!(said.contains(part), "{service}: {part}: {said}");
        }
        let others = if service == "gateway" { "NODKEY_DB__URL" } else { "COOKIE_KEY" };
        assert!(!said.contains(others), "{service}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_and_nats_that_are_away_are_named_with_their_address_and_the_cause_in_words() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let topology = Plan::new().run().await;
    let registry = topology.service("registry");
    let said = registry.try_with("NODKEY_DB__URL", &format!("postgres://me:geheim@{nobody}/nodkey"));
    assert!(said.contains(&format!("PostgreSQL at {nobody}, database nodkey")) && said.contains("Connection refused"), "{said}");
    assert!(!said.contains("os error") && !said.contains("geheim"), "{said}");
    // Without a database it ends after it has tried NATS. While only NATS is away, it waits for it.
    let said = registry.try_with_all(&[
        ("NODKEY_BUS__URL", &format!("nats://{nobody}")),
        ("NODKEY_DB__URL", &format!("postgres://me:geheim@{nobody}/nodkey")),
    ]);
    assert!(said.contains("NATS cannot be reached") && said.contains(&format!("\"address\":\"{nobody}\"")), "{said}");
    assert!(said.contains("Connection refused") && !said.contains("os error"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_are_unknown_are_refused_and_those_without_effect_are_named() {
    let topology = Plan::new().run().await;
    let registry = topology.service("registry");
    let said = registry.try_with("NODKEY_DB__MAX_CONECTIONS", "7");
    assert!(said.contains("did you mean NODKEY_DB__MAX_CONNECTIONS?"), "{said}");
    let said = registry.try_with("NODKEY_SERVICE__COOKIE_KEY", &"c".repeat(32));
    assert!(said.contains("NODKEY_SERVICE__COOKIE_KEY is not a setting of this service"), "{said}");
    // The setting is named before anything fails.
    let said = registry.try_with_all(&[("NODKEY_DB_URL", "x"), ("NODKEY_DB__URL", "mysql://x")]);
    assert!(said.contains("NODKEY_DB_URL has no effect; did you mean NODKEY_DB__URL?"), "{said}");
}
