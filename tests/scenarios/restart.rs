//! `kill -9` right after an accept: the watcher and the callback still get it, once.

use std::{net::TcpListener, path::Path, process::Command};

use axum::http::StatusCode;
use nodkey_client::{NewTrusonafication, is_success};
use nodkey_mobile_sdk::{Decision, Outcome};
use tempfile::TempDir;

use crate::{
    processes::{Running, binaries, signal},
    receiver::receiver,
    world::{PATIENCE, World, asked, eventually},
};

/// Accepts, kills, and expects the watcher and the callback to get the result from the restarted process.
async fn told_in_spite_of(world: &World, kill: impl FnOnce()) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    // Refused once, so that only the restarted process can deliver the callback, or it is delivered twice under one id.
    let mut receiving = receiver(vec![StatusCode::SERVICE_UNAVAILABLE]).await;
    let new = NewTrusonafication::user("ada", "log in", "Acme").callback_url(&receiving.url);
    let id = tenant.backend.create_trusonafication(new).await.unwrap().trusonafication.id;
    let pending = asked(&phone).await;
    // Two wait on a stream from before the kill, which breaks with the server, and one begins while it is away.
    let waiting = [tenant.backend.clone(), tenant.backend.clone()].map(|backend| {
        let id = id.clone();
        tokio::spawn(async move { backend.wait(&id).await })
    });
    let answer = phone.respond(&pending, Decision::Accept, None).await.unwrap();
    // One waits for a trusonafication that is answered only afterwards.
    let later = tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme")).await.unwrap().trusonafication.id;
    let (backend, waited_for) = (tenant.backend.clone(), later.clone());
    let waiting_on = tokio::spawn(async move { backend.wait(&waited_for).await });
    kill();
    assert_eq!(answer.outcome, Outcome::Accepted);
    assert!(is_success(&tenant.backend.wait(&id).await.unwrap()));
    for waiting in waiting {
        assert!(is_success(&waiting.await.unwrap().unwrap()));
    }
    let told = receiving.next().await;
    assert_eq!((told.body["id"].as_str(), told.body["status"].as_str()), (Some(id.as_str()), Some("ACCEPTED")));
    let again = receiving.next().await;
    assert_eq!(told.id, again.id, "one delivery, whatever happened in between");
    assert_eq!(tenant.backend.trusonafication(&id).await.unwrap().version, 2);
    let pending =
        eventually("the phone is asked", async || phone.wait(PATIENCE).await.ok()?.into_iter().find(|pending| pending.id == later));
    phone.respond(&pending.await, Decision::Accept, None).await.unwrap();
    assert!(is_success(&waiting_on.await.unwrap().unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_of_the_embedded_process_loses_no_accept() {
    let dir = TempDir::new().unwrap();
    // The system has just assigned the ports. The same ones are needed after the restart.
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (http, grpc, data_dir) = (port(), port(), dir.path().to_str().unwrap().to_owned());
    let start = || {
        let mut command = Command::new(binaries().join("nodkey"));
        Running::start(command.args(["dev", "--http", &http, "--grpc", &grpc, "--data-dir", &data_dir]), "ready")
    };
    let running = start();
    let world = World::of_file(&std::fs::read_to_string(dir.path().join("dev.json")).unwrap());
    let mut restarted = None;
    told_in_spite_of(&world, || {
        running.kill();
        restarted = Some(start());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_of_a_service_loses_no_accept() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let dir = TempDir::new_in(top.join("target")).unwrap();
    let prefix = nodkey_testkit::unique_prefix();
    let mut command = Command::new(top.join("scripts/up-native"));
    let _native = Running::start(command.arg("--dir").arg(dir.path()).args(["--prefix", &prefix]), "nodkey is up");
    let world = World::of_file(&std::fs::read_to_string(dir.path().join("native.json")).unwrap());
    for service in ["trusonafication", "notification"] {
        told_in_spite_of(&world, || {
            let pid = std::fs::read_to_string(dir.path().join(format!("{service}.pid"))).unwrap();
            signal(pid.trim().parse().unwrap(), "-9");
        })
        .await;
    }
}
