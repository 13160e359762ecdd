//! A full disk that has space again: `nodkey dev` in a mount namespace of its own, with a small file system as its data folder.

use std::{
    fs::File,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    processes::{Running, binaries, readiness},
    world::{World, eventually},
    writes::Writers,
};

/// Starts it with this much space for its data. Returns it, and the path of its data as seen from here.
fn start(dir: &TempDir, room: &str) -> (Running, PathBuf) {
    let script = r#"mount -t tmpfs -o size="$2" tmpfs "$3" && exec "$1" dev --http 127.0.0.1:0 --grpc 127.0.0.1:0 --data-dir "$3""#;
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(binaries().join("nodkey")).arg(room).arg(dir.path());
    let running = Running::start(&mut command, "ready");
    let data_dir = Path::new("/proc").join(running.pid().to_string()).join("root").join(dir.path().strip_prefix("/").unwrap());
    (running, data_dir)
}

/// Writes until nothing fits any more.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    // Down to the last bytes: the rest of a page is enough for a small write.
    for size in [1 << 20, 4096, 1] {
        let chunk = vec![0; size];
        loop {
            match file.write_all(&chunk) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::StorageFull => break,
                Err(e) => panic!("{e}"),
            }
        }
    }
}

async fn metrics(world: &World) -> String {
    reqwest::get(format!("{}/metrics", world.endpoints.registry)).await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_for_now_and_everything_works_when_there_is_room() {
    let dir = TempDir::new().unwrap();
    let (_running, data_dir) = start(&dir, "64m");
    let world = World::of_file(&std::fs::read_to_string(data_dir.join("dev.json")).unwrap());
    let writers = Writers::new(&world).await;
    writers.log_in().await;
    let filler = data_dir.join("filler");
    for _ in 0..2 {
        fill(&filler);
        writers.each_is_unavailable().await;
        eventually("it is not ready", async || (readiness(&world.http).await == Some(503)).then_some(())).await;
        writers.phone.status().await.unwrap();
        assert!(!writers.tenant.backend.user_devices("ada").await.unwrap().is_empty());
        std::fs::remove_file(&filler).unwrap();
        writers.each_is_made().await;
        eventually("it is ready", async || (readiness(&world.http).await == Some(200)).then_some(())).await;
        writers.log_in().await;
        writers.answers_count().await;
    }
    let metrics = metrics(&world).await;
    let given_up = metrics.lines().filter(|line| line.contains(r#"outcome="dead""#) && !line.ends_with(" 0")).count();
    assert_eq!(given_up, 0, "no event was given up: {metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_while_the_disk_is_full_has_lost_nothing() {
    let dir = TempDir::new().unwrap();
    let (running, data_dir) = start(&dir, "64m");
    let world = World::of_file(&std::fs::read_to_string(data_dir.join("dev.json")).unwrap());
    let writers = Writers::new(&world).await;
    fill(&data_dir.join("filler"));
    writers.each_is_unavailable().await;
    // The file system vanishes with its last process, so its contents are copied as a power cut would leave them.
    running.pause();
    let copy = TempDir::new().unwrap();
    for entry in std::fs::read_dir(&data_dir).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() != "filler" && !path.to_str().unwrap().ends_with("-shm") {
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    running.kill();
    let (http, grpc) = (world.http.strip_prefix("http://").unwrap(), world.endpoints.registry.strip_prefix("http://").unwrap());
    let mut command = Command::new(binaries().join("nodkey"));
    let _again = Running::start(command.args(["dev", "--http", http, "--grpc", grpc, "--data-dir"]).arg(copy.path()), "ready");
    writers.each_is_made().await;
    writers.log_in().await;
    writers.answers_count().await;
}
