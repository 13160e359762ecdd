//! Kills the process with `kill -9` while many write at the same time: confirmed writes are there, and unconfirmed ones are whole or
//! absent.

use std::{
    collections::BTreeSet,
    net::TcpListener,
    process::Command,
    sync::{Arc, Mutex},
};

use axum::http::StatusCode;
use nodkey_mobile_sdk::Decision;
use nodkey_proto::trusonafication::v1::{ListTrusonaficationsRequest, Status};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    processes::{Running, binaries},
    receiver::receiver,
    world::{PATIENCE, Tenant, World, eventually},
    writes::log_in,
};

/// How many users log in concurrently, so that their commits coincide.
const USERS: usize = 8;
/// The number of answers before the kill.
const ANSWERS: usize = 30;

/// The ids of confirmed writes.
#[derive(Debug, Default)]
struct Known {
    created: BTreeSet<String>,
    accepted: BTreeSet<String>,
}

/// Logs in again and again until the server is gone.
async fn log_in_until_it_ends(tenant: Arc<Tenant>, user: String, callback: String, known: Arc<Mutex<Known>>) {
    let phone = tenant.active(&user).await;
    while let Ok(created) = tenant.backend.create_trusonafication(log_in(&user).callback_url(&callback)).await {
        let id = created.trusonafication.id;
        known.lock().unwrap().created.insert(id.clone());
        let Ok(pending) = phone.wait(PATIENCE).await else { return };
        let Some(pending) = pending.into_iter().find(|pending| pending.id == id) else { continue };
        if phone.respond(&pending, Decision::Accept, None).await.is_err() {
            return;
        }
        known.lock().unwrap().accepted.insert(id);
    }
}

/// Everything that belongs to the relying party.
async fn all(tenant: &Tenant) -> Vec<(String, Status, i64)> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListTrusonaficationsRequest { page_token, ..ListTrusonaficationsRequest::default() };
        let page = tenant.backend.list_trusonafications(request).await.unwrap();
        all.extend(page.trusonafications.into_iter().map(|one| (one.id.clone(), one.status(), one.version)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_outlives_a_kill_and_what_was_not_is_whole_or_absent() {
    let dir = TempDir::new().unwrap();
    // The system has just assigned the ports. The same ones are needed after each restart.
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (http, grpc, data_dir) = (port(), port(), dir.path().to_str().unwrap().to_owned());
    let start = || {
        let mut command = Command::new(binaries().join("nodkey"));
        Running::start(command.args(["dev", "--http", &http, "--grpc", &grpc, "--data-dir", &data_dir]), "ready")
    };
    let mut running = start();
    let world = World::of_file(&std::fs::read_to_string(dir.path().join("dev.json")).unwrap());
    for round in 0..2 {
        let mut receiving = receiver(vec![StatusCode::NO_CONTENT]).await;
        let tenant = Arc::new(world.tenant().await);
        let known = Arc::new(Mutex::new(Known::default()));
        let mut users = JoinSet::new();
        for user in 0..USERS {
            users.spawn(log_in_until_it_ends(Arc::clone(&tenant), format!("user {user}"), receiving.url.clone(), Arc::clone(&known)));
        }
        eventually("enough was answered", async || (known.lock().unwrap().accepted.len() >= ANSWERS).then_some(())).await;
        running.kill();
        while users.join_next().await.is_some() {}
        running = start();

        let known = std::mem::take(&mut *known.lock().unwrap());
        let all = all(&tenant).await;
        let ids: BTreeSet<_> = all.iter().map(|(id, ..)| id.clone()).collect();
        assert_eq!(ids.len(), all.len());
        assert!(known.created.is_subset(&ids), "round {round}: what was created is there");
        let mut accepted = BTreeSet::new();
        for (id, status, version) in all {
            match (status, version) {
                (Status::InProgress, 1) => {}
                (Status::Accepted, 2) => drop(accepted.insert(id)),
                half => panic!("round {round}: {id} is half: {half:?}"),
            }
        }
        assert!(known.accepted.is_subset(&accepted), "round {round}: what was accepted counts");
        // Each answer has its event: the backend receives every one of them, and no other.
        let mut told = BTreeSet::new();
        while told != accepted {
            let id = receiving.next().await.body["id"].as_str().unwrap().to_owned();
            assert!(accepted.contains(&id), "round {round}: nobody accepted {id}");
            told.insert(id);
        }
    }
}
