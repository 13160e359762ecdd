//! The data folder of `nodkey dev`: one process's, and its owner's alone.

use std::{fs::Permissions, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    processes::{Running, binaries},
    world::World,
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
