//! The data folder of `nodkey dev`: used by one process at a time, and readable only by its owner.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{
    processes::{Running, binaries, health, readiness},
    world::{World, eventually, free_addresses},
};

fn dev(data_dir: &Path) -> Command {
    let mut command = Command::new(binaries().join("nodkey"));
    command.args(["dev", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_is_refused_and_is_told_of_the_first_which_goes_on() {
    let dir = TempDir::new().unwrap();
    let first = Running::start(&mut dev(dir.path()), "ready");
    let world = World::of_file(&std::fs::read_to_string(dir.path().join("dev.json")).unwrap());
    let refused = dev(dir.path()).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    for part in [&format!("in use by process {}", first.pid()), &world.http, "--data-dir"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    world.tenant().await.active("ada").await;
    // A process that was killed leaves no lock behind.
    first.kill();
    drop(Running::start(&mut dev(dir.path()), "ready"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_is_ready_no_sooner_than_everything_that_a_user_needs_is_there() {
    let dir = TempDir::new().unwrap();
    let (http, grpc) = free_addresses();
    let (data_dir, url) = (dir.path().join("data"), format!("http://{http}"));
    let mut command = Command::new(binaries().join("nodkey"));
    command.args(["dev", "--http", &http.to_string(), "--grpc", &grpc.to_string(), "--data-dir"]).arg(&data_dir);
    let mut starting = command.stdout(Stdio::null()).spawn().unwrap();
    eventually("it is ready", async || (readiness(&url).await == Some(200)).then_some(())).await;
    let file = std::fs::read_to_string(data_dir.join("dev.json"));
    let checked = health(&url, "").await;
    starting.kill().unwrap();
    starting.wait().unwrap();
    World::of_file(&file.unwrap());
    assert_eq!(checked, Ok(ServingStatus::Serving));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_whose_master_key_was_replaced_is_not_ready_and_what_cannot_be_opened_is_named() {
    let dir = TempDir::new().unwrap();
    Running::start(&mut dev(dir.path()), "ready").kill();
    let keys = dir.path().join("keys.json");
    let mut replaced: serde_json::Value = serde_json::from_slice(&std::fs::read(&keys).unwrap()).unwrap();
    replaced["master_key"] = "ab".repeat(32).into();
    std::fs::write(&keys, replaced.to_string()).unwrap();
    let _running =
        Running::start(&mut dev(dir.path()), "is running, but not ready: registry: the master keys do not open credential.sealed_secret");
    let world = World::of_file(&std::fs::read_to_string(dir.path().join("dev.json")).unwrap());
    assert_eq!(readiness(&world.http).await, Some(503));
    assert_eq!(health(&world.http, "nodkey.registry.v1.DeviceService").await, Ok(ServingStatus::NotServing));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_others_could_read_is_its_owners_alone_after_the_next_start() {
    let dir = TempDir::new().unwrap();
    let data_dir = dir.path().join("data");
    Running::start(&mut dev(&data_dir), "ready").kill();
    let files = || std::fs::read_dir(&data_dir).unwrap().map(|entry| entry.unwrap().path());
    for path in files().chain([data_dir.clone()]) {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let _running = Running::start(&mut dev(&data_dir), "ready");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data_dir), 0o700);
    let databases: Vec<_> = files().filter(|path| path.to_str().unwrap().contains(".db")).collect();
    assert!(databases.len() >= 4, "{databases:?}");
    for path in databases {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
