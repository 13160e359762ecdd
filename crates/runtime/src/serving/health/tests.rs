use futures_util::StreamExt as _;
use nodkey_db::DbConfig;
use tonic::{Code, Request};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_server::Health as _};

use super::*;

async fn database() -> (Db, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    (Db::connect(&DbConfig { max_connections: 1, ..DbConfig::new(url) }).await.unwrap(), folder)
}

async fn health() -> (Health, Db, tempfile::TempDir) {
    let (db, folder) = database().await;
    (Health::new(vec![("registry", db.clone())], Opening::default()), db, folder)
}

async fn status(health: &Health) -> StatusCode {
    *health.0.recent.lock().await = None;
    ready(State(health.clone())).await.0
}

fn asked(service: &str) -> Request<HealthCheckRequest> {
    Request::new(HealthCheckRequest { service: service.to_owned() })
}

const DEVICES: &str = "nodkey.registry.v1.DeviceService";

fn api(health: &Health) -> HealthApi {
    HealthApi::new(health.clone(), vec![DEVICES.to_owned()], true)
}

#[tokio::test]
async fn a_process_is_ready_once_it_said_that_everything_is_there_and_not_before() {
    let (health, _db, _folder) = health().await;
    assert_eq!((status(&health).await, health.problems().await), (StatusCode::SERVICE_UNAVAILABLE, vec!["starting".to_owned()]));
    health.started();
    assert_eq!((status(&health).await, health.problems().await), (StatusCode::OK, vec![]));
    health.stopping();
    assert_eq!((status(&health).await, health.problems().await), (StatusCode::SERVICE_UNAVAILABLE, vec!["stopping".to_owned()]));
}

#[tokio::test]
async fn a_database_that_takes_nothing_is_named() {
    let (health, db, _folder) = health().await;
    health.started();
    db.close().await;
    let problems = health.problems().await;
    assert!(problems.len() == 1 && problems[0].starts_with("registry: "), "{problems:?}");
    assert_eq!(status(&health).await, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn that_it_started_or_stops_is_told_at_once_whatever_was_found_before() {
    let (health, _db, _folder) = health().await;
    let long = Duration::from_hours(1);
    assert_eq!(health.recent_problems(long).await, ["starting"]);
    health.started();
    assert!(health.recent_problems(long).await.is_empty());
    health.stopping();
    assert_eq!(health.recent_problems(long).await, ["stopping"]);
}

#[tokio::test]
async fn grpc_health_says_what_readyz_says_of_every_service_by_its_full_name() {
    let (health, _db, _folder) = health().await;
    let api = api(&health);
    for (change, expected) in [
        (None, ServingStatus::NotServing),
        (Some(Health::started as fn(&Health)), ServingStatus::Serving),
        (Some(Health::stopping), ServingStatus::NotServing),
    ] {
        if let Some(change) = change {
            change(&health);
        }
        for service in ["", DEVICES] {
            assert_eq!(api.check(asked(service)).await.unwrap().into_inner().status(), expected, "{service}");
        }
    }
    for unknown in ["nodkey.binding.v1.BindingService", "DeviceService"] {
        assert_eq!(api.check(asked(unknown)).await.unwrap_err().code(), Code::NotFound, "{unknown}");
    }
}

#[tokio::test]
async fn a_watch_is_told_of_every_change_and_ends_with_the_process() {
    let (health, _db, _folder) = health().await;
    let mut watch = api(&health).watch(asked(DEVICES)).await.unwrap().into_inner();
    let mut next = async || watch.next().await.map(|answer| answer.unwrap().status());
    assert_eq!(next().await, Some(ServingStatus::NotServing));
    health.started();
    assert_eq!(next().await, Some(ServingStatus::Serving));
    health.stopping();
    assert_eq!(next().await, Some(ServingStatus::NotServing));
    assert_eq!(next().await, None, "so that the process can end");
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_told_that_the_database_fails() {
    let (health, db, _folder) = health().await;
    health.started();
    let mut watch = api(&health).watch(asked("")).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    db.close().await;
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
}

#[tokio::test]
async fn a_watch_of_what_is_not_here_says_so_and_stays() {
    let (health, _db, _folder) = health().await;
    let mut watch = api(&health).watch(asked("nodkey.Nothing")).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
    health.stopping();
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn one_address_holds_a_few_watches_at_a_public_door() {
    let (health, _db, _folder) = health().await;
    let api = HealthApi::new(health, vec![], false);
    let from = |address: [u8; 4]| {
        let mut request = asked("");
        request.extensions_mut().insert(axum::extract::ConnectInfo(std::net::SocketAddr::from((address, 1))));
        api.watch(request)
    };
    let mut held = Vec::new();
    let refused = loop {
        match from([192, 0, 2, 1]).await {
            Ok(watch) => held.push(watch),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(from([192, 0, 2, 2]).await.is_ok());
    held.pop();
    assert!(from([192, 0, 2, 1]).await.is_ok(), "what is given back may be had");
}
